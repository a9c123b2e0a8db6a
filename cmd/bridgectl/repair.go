package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"bintubridge/bridge/spool"
)

func newRepair(getenv func(string) string) *cobra.Command {
	output, dryRun := formats("text", "json"), false
	cmd := &cobra.Command{
		Use: "repair [DIR]", Short: "Put whole events behind damage back into the log", Args: atMost(1),
		Long: `Puts the whole events that stand behind damage back into the log, where the bridge
will send them: in order and with the ids they always had. The damaged file is
kept as *.damaged. The bridge must be stopped; with --dry-run it may run, and
nothing is written.

Segments that JetStream has acked are left alone, because the bridge does not send what
lies behind its cursor: export --lost and redrive do that. So they do with events
whose sequences a later run of the bridge has given away. A segment whose header
cannot be rebuilt is left alone too, and shown.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := spoolDir(args, getenv)
			if err != nil {
				return err
			}
			if !dryRun {
				lock, err := lockSpool(dir)
				if err != nil {
					return err
				}
				if lock != nil {
					defer lock.Close()
				}
			}
			shown := startProgress(cmd, output, false, "segment", 0)
			done, err := spool.Repair(dir, dryRun, shown.segments)
			shown.end()
			if output.name == "json" {
				err = errors.Join(err, writeJSON(cmd.OutOrStdout(), done))
			} else if err == nil || len(done) > 0 {
				printRepair(cmd.OutOrStdout(), done, dryRun)
			}
			if err != nil {
				return err
			}
			return leftOver(done)
		},
	}
	cmd.Flags().VarP(output, "output", "o", "form of the result")
	addQuiet(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be done")
	return cmd
}

// leftOver is an error when something stays damaged.
func leftOver(done []spool.RepairedSegment) error {
	n := 0
	for _, r := range done {
		if r.Left != "" {
			n++
		}
	}
	if n > 0 {
		return fmt.Errorf("%s could not be repaired; the reason stands with each", plural(n, "segment"))
	}
	return nil
}

func printRepair(w io.Writer, done []spool.RepairedSegment, dryRun bool) {
	if len(done) == 0 {
		fmt.Fprintln(w, "no damage; nothing to do")
	}
	for _, r := range done {
		for _, p := range r.Problems {
			fmt.Fprintln(w, p)
		}
		if r.Left != "" {
			fmt.Fprintf(w, "%s: left as it is: %s\n", r.File, r.Left)
			continue
		}
		verb := "is"
		if dryRun {
			verb = "would be"
		}
		fmt.Fprintf(w, "%s: %s replaced by %s, with %s from behind the damage; the original %s kept as %s\n",
			r.File, verb, orNothing(r.Written), plural(r.Salvaged, "event"), verb, r.KeptAs)
		if r.Taken > 0 {
			fmt.Fprintf(w, "%s: %s cannot go back, a later run has given their sequences away; see bridgectl spool export --lost\n",
				r.File, plural(r.Taken, "event"))
		}
	}
}

func orNothing(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}
