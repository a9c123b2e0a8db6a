package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"bintubridge/bridge/settings"
	"bintubridge/consumers/analytics"

	"github.com/spf13/cobra"
)

func newAnalytics(environ []string) *cobra.Command {
	cmd := newConsumer(environ, analytics.Name, "Keeps events and sessions in SQLite or PostgreSQL",
		func(ctx context.Context, cfg analytics.Config, s service) error {
			return analytics.Run(ctx, s.js, cfg, s.monitor, s.log)
		})
	cmd.AddCommand(newReport(environ))
	return cmd
}

func newReport(environ []string) *cobra.Command {
	var since time.Duration
	var html string
	cmd := &cobra.Command{
		Use: "report", Short: "Show what happened, from the database", Args: cobra.NoArgs,
		Long: "Shows what happened, from the database; NATS is not asked. Times are UTC.\n\n" + settings.Usage[analytics.Database](),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if since < 0 {
				return fmt.Errorf("--since %v: want a time that is past, as in 24h", since)
			}
			cfg, err := load[analytics.Database](environ)
			if err != nil {
				return err
			}
			report, err := read(cmd.Context(), cfg.DSN, since)
			if err != nil {
				return err
			}
			if html == "" {
				return report.WriteText(cmd.OutOrStdout())
			}
			return writePage(html, report)
		},
	}
	cmd.Flags().DurationVar(&since, "since", 24*time.Hour, "how far back")
	cmd.Flags().StringVar(&html, "html", "", "write a page with plots to this file instead")
	return cmd
}

func read(ctx context.Context, dsn string, since time.Duration) (*analytics.Report, error) {
	store, err := analytics.OpenExisting(dsn)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	err = store.Migrate(ctx)
	var report *analytics.Report
	if err == nil {
		report, err = store.Report(ctx, now.Add(-since), now)
	}
	return report, errors.Join(err, store.Close())
}

func writePage(path string, report *analytics.Report) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("--html: %w", err)
	}
	if err := errors.Join(report.WriteHTML(file), file.Close()); err != nil {
		return fmt.Errorf("--html: %w", err)
	}
	return nil
}
