package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"bintubridge/bridge/spool"
)

func newInspect(getenv func(string) string) *cobra.Command {
	output := formats("text", "json")
	cmd := &cobra.Command{
		Use: "inspect [DIR]", Short: "Show segments, cursor and how many events wait", Args: atMost(1),
		Long: `Shows the segments of the spool, how far JetStream has acked it, how many events
wait, and what is damaged. DIR is the spool's folder or the bridge's data folder;
without it BRIDGE_DATA_DIR, or ./bridge-data. It only reads, and may be used while
the bridge runs. Damage is shown and is no failure; see verify.`,
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
				return writeJSON(cmd.OutOrStdout(), in)
			}
			return printInspection(cmd.OutOrStdout(), in)
		},
	}
	addQuiet(cmd)
	cmd.Flags().VarP(output, "output", "o", "form of the result")
	return cmd
}

func printInspection(w io.Writer, in *spool.Inspection) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "acked\t%s\n", describeCursor(in.Cursor))
	fmt.Fprintf(t, "waiting\t%s, %s\n", plural(in.Waiting, "event"), plural(uint64(in.WaitingBytes), "byte"))
	for _, name := range in.SetAside {
		fmt.Fprintf(t, "set aside\t%s\n", name)
	}
	fmt.Fprintln(t)
	fmt.Fprintln(t, "SEGMENT\tSPOOL ID\tFIRST\tLAST\tRECORDS\tBYTES\tFILE\tCREATED\tPROBLEMS")
	for _, s := range in.Segments {
		created := "-"
		if !s.Created.IsZero() {
			created = s.Created.Format(time.RFC3339)
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\t%d\n",
			s.File, orDash(s.SpoolID), s.First, s.Last, s.Records, s.Bytes, s.FileBytes, created, s.Problems)
	}
	if len(in.Problems) > 0 {
		fmt.Fprintln(t)
	}
	for _, p := range in.Problems {
		fmt.Fprintln(t, p)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

func describeCursor(c spool.CursorInfo) string {
	switch {
	case c.Seq == 0:
		return "nothing"
	case c.StreamSeq == 0:
		return fmt.Sprintf("up to sequence %d (event %s-%d, not in the stream)", c.Seq, c.SpoolID, c.Seq)
	default:
		return fmt.Sprintf("up to sequence %d (event %s-%d, stream sequence %d)", c.Seq, c.SpoolID, c.Seq, c.StreamSeq)
	}
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
