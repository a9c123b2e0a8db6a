package main

import (
	"context"

	"bintubridge/consumers/chat"
	"bintubridge/consumers/outbound"

	"github.com/spf13/cobra"
)

func newChat(environ []string) *cobra.Command {
	return newConsumer(environ, chat.Name, "Posts the life of streams into chat rooms, by shoutrrr",
		func(ctx context.Context, cfg chat.Config, s service) error {
			return chat.Run(ctx, s.js, cfg, newCourier(outbound.Anywhere()), s.monitor, s.log)
		})
}
