package main

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bintubridge/cmd/bridgectl/evening"
)

const (
	maxStreams     = 10_000
	maxViewers     = 1_000_000
	maxConnections = 4096 // what a bridge takes
)

// simulateFlags are the command line of simulate.
type simulateFlags struct {
	url, dialect, rate string
	keep               bool
	connections        int
	duration           time.Duration
	opts               evening.Options
}

func newSimulate(env environment) *cobra.Command {
	output := formats("text", "json")
	var f simulateFlags
	cmd := &cobra.Command{
		Use: "simulate", Short: "Play an evening of streams as a media server would report it", Args: atMost(0),
		Long: `Sends the webhooks of an evening to a running bridge: publishers and viewers who come,
stay and leave, and what goes wrong. Some fall silent without a done, some are back within
seconds; second publishers take a live name; strangers are there who should be refused,
and clients who write fields of the media server behind their stream name. Who is refused
gives up, or tries once more; whose update is refused is cut.

Publishers come from ` + evening.Publishers + `, viewers from ` + evening.Viewers + ` and ` + evening.ViewersV6 + `,
strangers from ` + evening.Strangers + `. This document lets in whom it should:

  {"rules":[
   {"id":"publishers","effect":"allow","calls":["publish"],"name":["sim-*"],"addr":["` + evening.Publishers + `"]},
   {"id":"viewers","effect":"allow","calls":["play"],"name":["sim-*"],"addr":["` + evening.Viewers + `","` + evening.ViewersV6 + `","` + evening.Publishers + `"]}]}

The evening is --speed times as long as --duration. It is not the clocks that run
faster: seconds and bytes on the wire are those that pass, and so are those that consumers
record. With --rate the evening's own times do not count: evenings follow each other at
that rate, whether answers come or not, until --duration is over. Latencies are measured
from the moment a request was due.

The URL is that of the bridge's environment (BRIDGE_LISTEN, BRIDGE_HOOK_PATH,
BRIDGE_HOOK_SECRETS, BRIDGE_TLS_CERT), or --url; its path is never shown. SSL_CERT_FILE
names a certificate to trust. An interrupt ends the evening: everybody leaves.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			sim, err := f.simulation(env.getenv)
			if err != nil {
				return err
			}
			sim.progress = progressTerminal(cmd, output, false)
			if err := sim.hook.reach(cmd.Context(), env.connect); err != nil {
				return err
			}
			s := sim.run(cmd.Context())
			if output.name == "json" {
				err = writeJSON(cmd.OutOrStdout(), s)
			} else {
				s.print(cmd.OutOrStdout())
			}
			if s.nobodyPublished() {
				fmt.Fprintln(cmd.ErrOrStderr(), "note: every publish was refused; bridgectl simulate --help has a rule document")
			}
			return errors.Join(err, s.verdict())
		},
	}
	f.add(cmd)
	addQuiet(cmd)
	cmd.Flags().VarP(output, "output", "o", "form of the result")
	return cmd
}

func (f *simulateFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.url, "url", "", "webhook to call (default: the bridge's environment, or http://127.0.0.1:8080/hook)")
	flags.StringVar(&f.dialect, "dialect", "", "order of the fields, bintu or nginx-rtmp (default: BRIDGE_DIALECT, or bintu)")
	flags.IntVar(&f.opts.Streams, "streams", 5, "how many streams")
	flags.IntVar(&f.opts.Viewers, "viewers", 200, "how many viewers come in the course of the evening")
	flags.StringVar(&f.opts.Prefix, "prefix", "sim-", "what the names of the streams begin with")
	flags.DurationVar(&f.duration, "duration", 2*time.Minute, "how long it takes")
	flags.Float64Var(&f.opts.Speed, "speed", 60, "how many times as long the evening is")
	flags.DurationVar(&f.opts.Updates, "updates", 30*time.Second, "from one update of a session to the next, of the evening's time; 0s: none")
	flags.StringVar(&f.rate, "rate", "", "requests a second, or max (default: as the evening goes)")
	flags.Uint64Var(&f.opts.Seed, "seed", 0, "the same seed and answers give the same requests; 0: a random one")
	flags.IntVar(&f.connections, "connections", 64, "how many requests may wait for their answers")
	flags.BoolVar(&f.keep, "keep-alive", false, "keep connections, by HTTP/1.1; a media server makes one for each request")
}

// simulation checks the flags.
func (f *simulateFlags) simulation(getenv func(string) string) (*simulation, error) {
	var problems []error
	wrong := func(is bool, text string) {
		if is {
			problems = append(problems, usageError{errors.New(text)})
		}
	}
	wrong(f.opts.Streams < 1 || f.opts.Streams > maxStreams, fmt.Sprintf("--streams: want 1 to %d", maxStreams))
	wrong(f.opts.Viewers < 0 || f.opts.Viewers > maxViewers, fmt.Sprintf("--viewers: want 0 to %d", maxViewers))
	wrong(f.connections < 1 || f.connections > maxConnections, fmt.Sprintf("--connections: want 1 to %d", maxConnections))
	wrong(f.duration < time.Second || f.duration > 30*24*time.Hour, "--duration: want 1s to 720h")
	wrong(!(f.opts.Speed >= 0.01 && f.opts.Speed <= 10_000), "--speed: want 0.01 to 10000") //nolint:staticcheck // NaN is wrong, too
	wrong(f.opts.Updates < 0, "--updates: want 0s or more")
	rate, err := rateOf(f.rate)
	problems = append(problems, err)
	opts := f.opts
	opts.Dialect, err = dialectOf(f.dialect, getenv)
	problems = append(problems, err)
	to, err := hookOf(f.url, getenv)
	problems = append(problems, err)
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	opts.Length = time.Duration(float64(f.duration) * opts.Speed)
	opts.Seed = cmp.Or(opts.Seed, rand.Uint64N(1_000_000)+1) //nolint:gosec // any will do
	return &simulation{hook: to, keep: f.keep, connections: f.connections, rate: rate, duration: f.duration, opts: opts}, nil
}

// rateOf reads requests per second: 0 is the evening's own time, +Inf as fast as it goes.
func rateOf(text string) (float64, error) {
	switch text {
	case "":
		return 0, nil
	case "max":
		return math.Inf(1), nil
	}
	rate, err := strconv.ParseFloat(strings.TrimSuffix(text, "/s"), 64)
	if err != nil || !(rate > 0 && rate <= 1_000_000) { //nolint:staticcheck // NaN is wrong, too
		return 0, usageError{fmt.Errorf("--rate %s: want requests a second, as 500 or 500/s, or max", shown(text))}
	}
	return rate, nil
}
