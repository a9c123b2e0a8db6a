package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

const reportHelp = `
--output json is for scripts: fields are added over time, never renamed. Times are RFC 3339, the rest
has its unit in its name:

  {"since":"…","until":"…","events":3,"refused":1,"audience":[{"at":"…","viewers":2}],
   "streams":[{"name","app","plays","watched_seconds","delivered_bytes","peak_viewers"}],
   "days":[{"day","plays","watched_seconds","received_bytes","delivered_bytes"}],
   "refusals":[{"rule","addr","call","refused","last"}],
   "uptime":[{"name","app","publishes","reconnects","lost","live_seconds","uptime"}]}

`

func newReport(environ []string) *cobra.Command {
	var since time.Duration
	var html, output string
	cmd := &cobra.Command{
		Use: "report", Short: "Show what happened, from the database", Args: cobra.NoArgs,
		Long: "Shows what happened, from the database; NATS is not asked. Times are UTC.\n" + reportHelp + settings.Usage[analytics.Database](),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if since < 0 {
				return fmt.Errorf("--since %v: want a time that is past, as in 24h", since)
			}
			if output != "text" && output != "json" || output == "json" && html != "" {
				return fmt.Errorf("--output %q: want text or json, and no --html with json", output)
			}
			cfg, err := load[analytics.Database](environ)
			if err != nil {
				return err
			}
			report, err := read(cmd.Context(), cfg.DSN, since)
			if err != nil {
				return err
			}
			switch {
			case html != "":
				return writePage(html, report)
			case output == "json":
				return writeJSON(cmd.OutOrStdout(), report)
			default:
				return report.WriteText(cmd.OutOrStdout())
			}
		},
	}
	cmd.Flags().DurationVar(&since, "since", 24*time.Hour, "how far back")
	cmd.Flags().StringVarP(&output, "output", "o", "text", "form of the report, text or json")
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

func writeJSON(w io.Writer, report *analytics.Report) error {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	if err := out.Encode(report); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
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
