package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"bintubridge/consumers/notify"

	"github.com/spf13/cobra"
)

func newNotify(environ []string) *cobra.Command {
	cmd := newConsumer(environ, notify.Name, "Tells subscribers of events and sessions, by signed webhooks and by shoutrrr",
		func(ctx context.Context, cfg notify.Config, s service) error {
			return notify.Run(ctx, s.js, newCourier(cfg.Guard()), s.monitor, s.log)
		})
	cmd.AddCommand(newSubscribe(environ), newUnsubscribe(environ), newSubscriptions(environ), newNotifyTest(environ), newDeliveries(environ))
	return cmd
}

// withBook connects and gives f the subscriptions.
func withBook(environ []string, cmd *cobra.Command, f func(context.Context, *notify.Book, notify.Config) error) error {
	cfg, err := load[struct {
		Own    notify.Config
		Common commonConfig
	}](environ)
	if err != nil {
		return err
	}
	js, err := cfg.Common.NATS.connectNow("notify")
	if err != nil {
		return err
	}
	defer js.Conn().Close()
	return f(cmd.Context(), notify.NewBook(js), cfg.Own)
}

func newSubscribe(environ []string) *cobra.Command {
	var d notify.Document
	var rotate bool
	cmd := &cobra.Command{
		Use: "subscribe KEY", Short: "Add a subscription, or replace one", Args: cobra.ExactArgs(1),
		Long: `Adds the subscription KEY, or replaces it. --url is https://... for a webhook signed by the
Standard Webhooks scheme, or any URL of shoutrrr; with --url - it is read from standard
input. A new webhook gets a secret, which is printed; one that is replaced keeps its own.
With --rotate it gets a new one, and the last one goes on signing too: rotate again when
all receivers have the new one. Nothing is delivered of what happened before the first start
of consumer notify.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if d.URL == "-" {
				text, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), 64<<10))
				if err != nil {
					return fmt.Errorf("read the URL: %w", err)
				}
				d.URL = strings.TrimSpace(string(text))
			}
			return withBook(environ, cmd, func(ctx context.Context, b *notify.Book, _ notify.Config) error {
				secret, err := b.Subscribe(ctx, args[0], d, rotate)
				if err != nil {
					return err
				}
				if secret != "" {
					fmt.Fprintln(cmd.OutOrStdout(), secret)
				}
				began, err := b.Began(ctx)
				if err == nil && !began {
					fmt.Fprintln(cmd.ErrOrStderr(), "consumer notify has not run yet: what happens before its first start is not delivered")
				}
				return err
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&d.Who, "who", "", "whose it is, for people")
	flags.StringArrayVar(&d.Subjects, "subject", nil, "NATS filter, as stream.publish or session.>; may be repeated; needed for a new one")
	flags.StringArrayVar(&d.Names, "name", nil, "stream name, * is any run of bytes; may be repeated; none is all")
	flags.StringVar(&d.URL, "url", "", "where to; needed for a new one")
	flags.BoolVar(&rotate, "rotate", false, "make a new secret")
	return cmd
}

func newUnsubscribe(environ []string) *cobra.Command {
	return &cobra.Command{
		Use: "rm KEY", Short: "Remove a subscription and what waits for it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withBook(environ, cmd, func(ctx context.Context, b *notify.Book, _ notify.Config) error { return b.Remove(ctx, args[0]) })
		},
	}
}

func newSubscriptions(environ []string) *cobra.Command {
	return &cobra.Command{
		Use: "ls", Short: "List the subscriptions, one JSON object each, without their secrets", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withBook(environ, cmd, func(ctx context.Context, b *notify.Book, _ notify.Config) error {
				return printAll(ctx, cmd, b.List)
			})
		},
	}
}

func newDeliveries(environ []string) *cobra.Command {
	return &cobra.Command{
		Use: "deliveries [KEY]", Short: "List what waits, one JSON object a delivery", Args: cobra.MaximumNArgs(1),
		Long: `Lists the deliveries that wait, or are tried again by the schedule. Those that were given up are in the
stream DEAD; consumer redrive notify-KEY sends them again.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return withBook(environ, cmd, func(ctx context.Context, b *notify.Book, _ notify.Config) error {
				list := func(ctx context.Context) ([]notify.Waiting, error) { return b.Deliveries(ctx, strings.Join(args, "")) }
				return printAll(ctx, cmd, list)
			})
		},
	}
}

func newNotifyTest(environ []string) *cobra.Command {
	return &cobra.Command{
		Use: "test KEY", Short: "Send one notification of the type notify.test now, and say what became of it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withBook(environ, cmd, func(ctx context.Context, b *notify.Book, cfg notify.Config) error {
				if err := b.Test(ctx, args[0], newCourier(cfg.Guard())); err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), "delivered")
				return nil
			})
		},
	}
}

func printAll[T any](ctx context.Context, cmd *cobra.Command, list func(context.Context) ([]T, error)) error {
	all, err := list(ctx)
	if err != nil {
		return err
	}
	out := json.NewEncoder(cmd.OutOrStdout())
	for _, one := range all {
		if err := out.Encode(one); err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
	return nil
}
