// Command bridge is the server: it takes its configuration from the environment
// and runs until SIGTERM or SIGINT. A second signal ends it at once.
package main

import (
	"context"
	"flag"
	"fmt"
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
	health := flag.Bool("health", false, "ask the bridge that runs with this environment whether it is ready, and exit 0 or 1")
	version := flag.Bool("version", false, "show what this program was built from, as the argument version does")
	flag.Usage = func() {
		fmt.Printf("usage: bridge [-health | -version]\n\nAnswers bintu's webhooks and forwards every event to NATS JetStream.\nIts configuration comes from the environment:\n\n%s", bridge.Usage())
	}
	flag.Parse()
	if *version || flag.NArg() == 1 && flag.Arg(0) == "version" {
		fmt.Print(buildinfo.Read().Text("bridge"))
		return nil
	}
	if flag.NArg() > 0 {
		return fmt.Errorf("no arguments are wanted, there is %q: the configuration comes from the environment, see bridge -h", flag.Arg(0))
	}
	cfg, err := bridge.Load(os.Environ())
	if err != nil {
		return fmt.Errorf("the configuration has mistakes (bridge -h explains every variable)\n%w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // from the first signal on, the next one kills

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
