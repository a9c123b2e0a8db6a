package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"bintubridge/bridge/spool"
)

func newVerify(getenv func(string) string) *cobra.Command {
	output := formats("text", "json")
	cmd := &cobra.Command{
		Use: "verify [DIR]", Short: "Read every byte and report damage", Args: atMost(1),
		Long: `Reads every byte of the spool and reports each problem with its file and offset.
Exits with 1 when something is damaged or missing. The torn end of a record that was
being written is reported, and no failure: nothing is missing. It only reads, and
may be used while the bridge runs.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := spoolDir(args, getenv)
			if err != nil {
				return err
			}
			shown := startProgress(cmd, output, false, "segment", 0)
			in, err := spool.Inspect(dir, shown.segments)
			shown.end()
			if err != nil {
				return err
			}
			if output.name == "json" {
				err = writeJSON(cmd.OutOrStdout(), struct {
					Dir      string          `json:"dir"`
					Problems []spool.Problem `json:"problems"`
				}{in.Dir, in.Problems})
				if err != nil {
					return err
				}
			} else {
				printVerdict(cmd, in)
			}
			if n := len(in.Damaged()); n > 0 {
				return fmt.Errorf("%s in %s; bridgectl spool repair --dry-run says what can be saved", plural(n, "problem"), dir)
			}
			return nil
		},
	}
	addQuiet(cmd)
	cmd.Flags().VarP(output, "output", "o", "form of the result")
	return cmd
}

func printVerdict(cmd *cobra.Command, in *spool.Inspection) {
	w := cmd.OutOrStdout()
	for _, p := range in.Problems {
		fmt.Fprintln(w, p)
	}
	records, lost := 0, 0
	for _, s := range in.Segments {
		records, lost = records+s.Records, lost+s.Lost
	}
	fmt.Fprintf(w, "%s, %s", plural(len(in.Segments), "segment"), plural(records, "whole record"))
	if lost > 0 {
		fmt.Fprintf(w, ", %d of them behind damage", lost)
	}
	fmt.Fprintln(w)
}
