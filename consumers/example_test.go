package consumers_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"bintubridge/consumers"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A whole consumer: it tells of every publish that was accepted.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	nc, err := nats.Connect(nats.DefaultURL, nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true))
	if err != nil {
		panic(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		panic(err)
	}
	tell := func(_ context.Context, m *consumers.Message) error {
		fmt.Printf("%s is live from %s\n", m.Event.Name, m.Event.Addr)
		return nil
	}
	opts := consumers.Options{Name: "teller", Subjects: []string{"stream.publish"}}
	if err := consumers.Run(ctx, js, opts, tell); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}
