package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bintubridge/cmd/bridgectl/bench"
)

func newBenchSoak() *cobra.Command {
	o := bench.Options{}
	var out benchOutput
	cmd := &cobra.Command{
		Use: "soak", Short: "Drive a bridge for long at a steady rate, and see whether it grows", Args: atMost(0),
		Long: `Starts a NATS server and a bridge, drives the bridge at a steady rate, and samples every 5 s
what both hold: memory, goroutines, open files, threads. The first tenth of the time is
warm-up, the rest falls into fifths. The exit code is 1 when the last fifth's median is above
that of the second by more than 10 % (memory), 20 % (heap in use) or 4 (the others), and when
the stream did not hold the event of each answer exactly once. Events are read and purged
meanwhile, so that the disk holds seconds of them. Linux only.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Progress = out.start(cmd)
			report, err := bench.Soak(cmd.Context(), o)
			out.shown.end()
			if err != nil {
				return benchError(cmd, err)
			}
			return errors.Join(out.write(cmd, report), report.Flat())
		},
	}
	flags := cmd.Flags()
	benchLoadFlags(flags, &o)
	flags.IntVar(&o.Rules, "rules", 100_000, "rule documents, of one rule each")
	flags.IntVar(&o.Rate, "rate", 0, "events a second (default: half of what it answers at most in 5 s)")
	flags.DurationVar(&o.Duration, "duration", 20*time.Minute, "of the load")
	flags.DurationVar(&o.Sample, "sample", 5*time.Second, "between two samples")
	out.flags(flags)
	return cmd
}

func newBenchMemory() *cobra.Command {
	o := bench.Options{}
	var out benchOutput
	var after []time.Duration
	cmd := &cobra.Command{
		Use: "memory", Short: "Measure what a bridge with NATS in it holds, at rest and after many events", Args: atMost(0),
		Long: `Starts a bridge with NATS in it and without rules, and prints what it holds: at rest, after
many events, and some time after these. Every event is read from the stream, counted and
purged meanwhile. NATS keeps the ids of ten minutes to tell duplicates: wait for longer to
see what is left then. Linux only.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Progress = out.start(cmd)
			report, err := bench.AtRest(cmd.Context(), o, after)
			out.shown.end()
			if err != nil {
				return benchError(cmd, err)
			}
			return out.write(cmd, report)
		},
	}
	flags := cmd.Flags()
	benchLoadFlags(flags, &o)
	flags.DurationVar(&o.Duration, "rest", 30*time.Second, "from the start to the first look")
	flags.Uint64Var(&o.Events, "events", 10_000_000, "events in all")
	flags.IntVar(&o.Rate, "rate", 0, "events a second (default: as fast as it answers)")
	flags.DurationSliceVar(&after, "after", []time.Duration{time.Minute, 12 * time.Minute}, "`times` after the events to look again, comma-separated")
	flags.Lookup("names").Usage = "stream names in the requests; there are no rules"
	out.flags(flags)
	return cmd
}

// benchOutput is how a bench tells.
type benchOutput struct {
	form  *format
	quiet bool
	shown *progress
}

func (b *benchOutput) flags(flags *pflag.FlagSet) {
	b.form = formats("text", "json")
	flags.VarP(b.form, "output", "o", "form of the result; json has every measurement")
	flags.BoolVarP(&b.quiet, "quiet", "q", false, "do not tell what runs, and for how long still")
}

// start returns what tells of each step: on a terminal in one line, until shown ends, and else
// line by line. With JSON or --quiet it tells nothing.
func (b *benchOutput) start(cmd *cobra.Command) func(bench.Step) {
	b.shown = startProgress(cmd, b.form, false, "step", 0)
	b.shown.say(func(time.Duration) string { return "starting" })
	w := cmd.ErrOrStderr()
	return func(s bench.Step) {
		line := func(after time.Duration) string { return timeLeft(s, after) }
		switch {
		case b.shown != nil:
			b.shown.say(line)
		case !b.quiet && b.form.name != "json" && terminal(w) == nil:
			fmt.Fprintln(w, line(0))
		}
	}
}

// timeLeft is a step with the time that is left some time after its start, to the second.
func timeLeft(s bench.Step, after time.Duration) string {
	left := (max(s.Takes-after, 0) + s.Then).Round(time.Second)
	switch {
	case s.Takes == 0 && s.Then == 0:
		return s.Name
	case s.Takes == 0:
		return fmt.Sprintf("%s; about %s behind it", s.Name, left)
	default:
		return fmt.Sprintf("%s; about %s left", s.Name, left)
	}
}

func (b *benchOutput) write(cmd *cobra.Command, report interface{ Print(io.Writer) error }) error {
	if b.form.name == "json" {
		return writeJSON(cmd.OutOrStdout(), report)
	}
	return report.Print(cmd.OutOrStdout())
}

// benchLoadFlags are those of every bench.
func benchLoadFlags(flags *pflag.FlagSet, o *bench.Options) {
	flags.StringVar(&o.Bridge, "bridge", "", "bridge to measure (default: the one in this program)")
	flags.StringArrayVar(&o.Env, "env", nil, "NAME=value for the bridge, as BRIDGE_SPOOL_SYNC=always; may be repeated")
	flags.StringVar(&o.Dir, "dir", "", "where the temporary folder is made (default: the system's)")
	flags.IntVar(&o.Names, "names", 10_000, "stream names in the requests; those beyond --rules are refused")
	flags.IntVar(&o.Body, "body", 0, "size of a request's body in bytes, from about 100 on (default: about 300)")
	flags.IntVar(&o.Conns, "connections", 64, "connections, with a request each")
}
