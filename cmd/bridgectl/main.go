// Command bridgectl is the operator's tool: it makes the streams and buckets, pushes,
// checks, explains and replays rules, shows the bridges that run, looks into a bridge's
// spool, repairs it, sends again what could not be delivered, shows events as they come,
// registers the webhook with bintu, and plays evenings of webhooks to a bridge.
//
// It exits with 0 when all is well, 1 when it found a problem or failed, and 2
// when it was called wrongly.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	carryOut(environment{getenv: os.Getenv, connect: 3 * time.Second, request: 5 * time.Second, propose: 500 * time.Millisecond})
}

// carryOut runs the process's command line, and ends the process.
func carryOut(env environment) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	code := run(ctx, streams{out: os.Stdout, err: os.Stderr}, env, os.Args[1:])
	stop()
	os.Exit(code)
}
