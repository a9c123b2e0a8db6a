package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"bintubridge/cmd/bridgectl/bench"
)

func newBench() *cobra.Command {
	var o bench.Options
	var out benchOutput
	cmd := &cobra.Command{
		Use: "bench", Short: "Measure a bridge beside a bare HTTP server, on this machine", Args: atMost(0),
		Long: `Starts a bare fasthttp server that answers 200, a NATS server and a bridge with rules, as
processes of their own on loopback, and drives both servers in turn with webhooks: as fast
as they answer, and at a fixed rate, where latency counts from the moment a request was
due. CPU is the server's alone, microseconds an event, until JetStream has acked it; NATS and
LOAD are those of the other processes. DRAINED is how long after the last answer the stream
had all events, STORED the bytes of one there.

The exit code is 1 when the stream does not hold the event of each answer exactly once.
Linux only. Nothing that runs is touched; data goes to a temporary folder that is removed:
see that it lies on the disk you want to measure (--dir).`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Progress = out.start(cmd)
			report, err := bench.Run(cmd.Context(), o)
			out.shown.end()
			if err != nil {
				return benchError(cmd, err)
			}
			return out.write(cmd, report)
		},
	}
	flags := cmd.Flags()
	benchLoadFlags(flags, &o)
	flags.IntVar(&o.Rules, "rules", 100_000, "rule documents, of one rule each")
	flags.IntVar(&o.Rate, "rate", 5000, "events a second of the open loop")
	flags.BoolVar(&o.HTTP10, "http10", false, "measure HTTP/1.0 with one connection a request too")
	flags.IntVar(&o.Rounds, "rounds", 3, "turns of each load")
	flags.DurationVar(&o.Warmup, "warmup", time.Second, "load of each server before the first round")
	flags.DurationVar(&o.Duration, "duration", 5*time.Second, "of each load")
	flags.Uint64Var(&o.Events, "events", 0, "of each load at most (default: no limit)")
	flags.DurationVar(&o.Outage, "outage", 0, "kill NATS for so long, in one more load three times as long, at the fixed rate; with --http10 in one more of that, too; --duration and --events do not bound it")
	flags.IntVar(&o.Push, "push", 0, "rules a second pushed during one more load at the fixed rate, and during another one into a bucket that nobody reads; never while a server is driven as fast as it answers")
	out.flags(flags)
	cmd.AddCommand(newBenchSoak(), newBenchMemory())
	return cmd
}

// benchError tells mistakes on the command line, and that somebody ended the bench, from what it
// found.
func benchError(cmd *cobra.Command, err error) error {
	if bad := (bench.BadOption{}); errors.As(err, &bad) {
		return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	}
	if cmd.Context().Err() != nil {
		return errors.New("interrupted, there is no result")
	}
	return err
}

// newBenchServe is a process of a bench.
func newBenchServe() *cobra.Command {
	return &cobra.Command{
		Use: bench.ServeCommand, Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{fmt.Errorf("a role is wanted")}
			}
			return bench.Serve(cmd.Context(), args[0], args[1:])
		},
	}
}
