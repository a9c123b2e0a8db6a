package main

import (
	"fmt"

	"bintubridge/bridge/admin"

	"github.com/spf13/cobra"
)

func newHealth(environ []string) *cobra.Command {
	return &cobra.Command{
		Use: "health", Short: "Ask the consumer that runs with this environment whether it is ready, and exit with 0 or 1", Args: cobra.NoArgs,
		Long: `Asks the consumer at CONSUMER_ADMIN_LISTEN, which needs a port of its own for that, whether it
is ready, and exits with 0 or 1. It is what a container's health check runs.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load[commonConfig](environ)
			if err != nil {
				return err
			}
			if err := admin.Probe(cmd.Context(), cfg.AdminListen); err != nil {
				return fmt.Errorf("CONSUMER_ADMIN_LISTEN=%s: %w", cfg.AdminListen, err)
			}
			return nil
		},
	}
}
