package main

import (
	"fmt"

	"bintubridge/bridge/buildinfo"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show what this program was built from", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), buildinfo.Read().Text("consumer"))
			return err
		},
	}
}

// buildMetric is consumer_build_info.
func buildMetric() prometheus.Collector {
	build := buildinfo.Read()
	metric := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "consumer_build_info", Help: "1, with the version, the commit and the Go this consumer was built from.",
		ConstLabels: prometheus.Labels{"version": build.Version, "revision": build.Revision, "go_version": build.Go},
	})
	metric.Set(1)
	return metric
}
