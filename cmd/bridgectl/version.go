package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"bintubridge/bridge/buildinfo"
)

func newVersion() *cobra.Command {
	output := formats("text", "json")
	cmd := &cobra.Command{
		Use: "version", Short: "Show what this program was built from", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			info := buildinfo.Read()
			if output.name == "json" {
				return writeJSON(cmd.OutOrStdout(), info)
			}
			fmt.Fprint(cmd.OutOrStdout(), info.Text("bridgectl"))
			return nil
		},
	}
	cmd.Flags().VarP(output, "output", "o", "form of the result")
	return cmd
}
