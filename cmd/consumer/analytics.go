package main

import (
	"context"

	"bintubridge/consumers/analytics"

	"github.com/spf13/cobra"
)

func newAnalytics(environ []string) *cobra.Command {
	return newConsumer(environ, analytics.Name, "Keeps events and sessions in SQLite or PostgreSQL",
		func(ctx context.Context, cfg analytics.Config, s service) error {
			return analytics.Run(ctx, s.js, cfg, s.monitor, s.log)
		})
}
