// Command bridge is the server: it takes its configuration from the environment
// and runs until SIGTERM or SIGINT. A second signal ends it at once.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"bintubridge/bridge"
	"bintubridge/bridge/admin"
	"bintubridge/bridge/buildinfo"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bridge:", err)
		os.Exit(1)
	}
}

func run() error {
	flags := flag.NewFlagSet("bridge", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // run's caller prints
	health := flags.Bool("health", false, "")
	version := flags.Bool("version", false, "")
	err := flags.Parse(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Print(usage + bridge.Usage())
		return nil
	case err != nil:
		return fmt.Errorf("%w, see bridge -h", err)
	case *version || flags.NArg() == 1 && flags.Arg(0) == "version":
		fmt.Print(buildinfo.Read().Text("bridge"))
		return nil
	case flags.NArg() > 0:
		return fmt.Errorf("no arguments are wanted, there is %q: the configuration comes from the environment, see bridge -h", flags.Arg(0))
	}
	cfg, err := bridge.Load(os.Environ())
	if err != nil {
		return fmt.Errorf("the configuration has mistakes (bridge -h explains every variable)\n%w", err)
	}
	signalled, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	ctx, cancel := context.WithCancel(context.Background())
	context.AfterFunc(signalled, func() { stop(); cancel() }) // once it is stopping, the next signal kills

	if *health {
		return admin.Probe(ctx, cfg.AdminListen)
	}
	log := bridge.NewLog(cfg, os.Stderr)
	for _, name := range bridge.Unknown(os.Environ()) {
		log.Warn("this variable means nothing to this version of the bridge, see bridge -h", "variable", name)
	}
	b, err := bridge.Open(cfg, log)
	if err != nil {
		return err
	}
	return b.Run(ctx)
}
