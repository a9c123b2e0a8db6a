package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func newRulesLs(env environment) *cobra.Command {
	output := formats("text", "json")
	flags := bucketFlags{environment: env}
	cmd := &cobra.Command{
		Use: "ls", Short: "List the documents", Args: atMost(0),
		Long: `Lists the keys of the bucket with revision, number of rules, age, when their TTL
ends, and what a bridge refuses of them.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := flags.open(cmd.Context())
			if err != nil {
				return err
			}
			defer b.close()
			entries, err := b.all(cmd.Context())
			if err != nil {
				return err
			}
			return printEntries(cmd.OutOrStdout(), output.name, entries)
		},
	}
	flags.add(cmd)
	cmd.Flags().VarP(output, "output", "o", "form of the result")
	return cmd
}

func printEntries(w io.Writer, output string, entries []*entry) error {
	list := make([]shownEntry, 0, len(entries))
	for _, e := range entries {
		list = append(list, show(e))
	}
	if output == "json" {
		return writeJSON(w, list)
	}
	now := time.Now()
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KEY\tREVISION\tRULES\tBYTES\tAGE\tEXPIRES\tSTATE")
	for _, s := range list {
		expires, state, rules := "-", "valid", fmt.Sprint(s.Rules)
		if s.Expires != nil {
			expires = s.Expires.Format(time.RFC3339)
		}
		switch {
		case s.Deleted:
			state, rules = "deleted", "-"
		case s.Error != "":
			state, rules = "INVALID: "+firstLine(s.Error), "-"
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%d\t%s\t%s\t%s\n", shown(s.Key), s.Revision, rules, s.Bytes, age(s.Time, now), expires, state)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}
