package main

import (
	"context"

	"bintubridge/consumers/sessions"

	"github.com/spf13/cobra"
)

func newSessions(environ []string) *cobra.Command {
	return newConsumer(environ, sessions.Name, "Derives sessions from events, and keeps who is live in KV live",
		func(ctx context.Context, cfg sessions.Config, s service) error {
			return sessions.Run(ctx, s.js, cfg, s.monitor, s.log)
		})
}
