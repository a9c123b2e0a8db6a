package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"bintubridge/subjects"
)

func newStatus(env environment) *cobra.Command {
	output := formats("text", "json")
	flags := bucketFlags{environment: env}
	cmd := &cobra.Command{
		Use: "status", Short: "Show the bridges that run", Args: atMost(0),
		Long: `Shows what each running bridge says of itself in KV bridges: version, revision and
age of its rules, documents it refuses, what waits in its spool, and its rates. A
bridge that is gone disappears within 30 s. The exit code is 1 when there is none, or
one has a problem.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			fleet, err := readFleet(cmd.Context(), flags)
			if err != nil {
				return err
			}
			if output.name == "json" {
				if err := writeJSON(cmd.OutOrStdout(), fleet); err != nil {
					return err
				}
			} else if err := printFleet(cmd.OutOrStdout(), fleet, time.Now()); err != nil {
				return err
			}
			return fleetTrouble(fleet)
		},
	}
	cmd.Flags().StringVar(&flags.url, "nats-url", "", "NATS server (default: NATS_URL, or the embedded server's address)")
	cmd.Flags().VarP(output, "output", "o", "form of the result")
	return cmd
}

func printFleet(w io.Writer, fleet []subjects.BridgeStatus, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "BRIDGE\tVERSION\tUP\tSEEN\tREVISION\tRULES\tINVALID\tCONFIRMED\tWAITING\tOLDEST\tANSWERED/S\tDENIED/S\tLOST")
	for _, s := range fleet {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s ago\t%d\t%d\t%d\t%s ago\t%d\t%s\t%.1f\t%.1f\t%d\n",
			shown(s.Bridge), shown(s.Version), age(s.Started, now), age(s.Time, now),
			s.Rules.Revision, s.Rules.Rules, s.Rules.InvalidCount, milliseconds(s.Rules.AgeMS),
			s.Spool.Events, milliseconds(s.Spool.OldestMS), s.Events.AnsweredRate, s.Events.DeniedRate, s.Events.Lost)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	for _, s := range fleet {
		for _, problem := range problems(s) {
			fmt.Fprintf(w, "%s: %s\n", shown(s.Bridge), problem)
		}
		printInvalid(w, s)
	}
	return nil
}

func milliseconds(ms int64) string {
	return (time.Duration(ms) * time.Millisecond).Round(100 * time.Millisecond).String()
}

// printInvalid names the first documents that a bridge refuses.
func printInvalid(w io.Writer, s subjects.BridgeStatus) {
	const most = 10
	named := s.Rules.Invalid[:min(len(s.Rules.Invalid), most)]
	for _, bad := range named {
		fmt.Fprintf(w, "%s: refuses %s, revision %d: %s\n", shown(s.Bridge), shown(bad.Key), bad.Revision, firstLine(bad.Error))
	}
	if more := s.Rules.InvalidCount - len(named); more > 0 {
		fmt.Fprintf(w, "%s: refuses %d more\n", shown(s.Bridge), more)
	}
}

// problems are what an operator should look at.
func problems(s subjects.BridgeStatus) []string {
	var list []string
	add := func(is bool, text string) {
		if is {
			list = append(list, text)
		}
	}
	add(s.Shared, "another bridge has this name too: give each a BRIDGE_NAME of its own")
	add(s.Rules.Source == "none", "has no rules: the defaults decide")
	add(s.Rules.Source == "snapshot", "decides by its snapshot, and has not seen the bucket since it started")
	add(s.Rules.Stale, "its rules are stale")
	add(s.Rules.Trouble != "", clean(s.Rules.Trouble))
	add(s.Events.LostRate > 0, "loses events: its spool takes none")
	add(!s.NATS.Watching, "does not reach NATS for its rules")
	return list
}

func fleetTrouble(fleet []subjects.BridgeStatus) error {
	if len(fleet) == 0 {
		return fmt.Errorf("no bridge shows in KV bridges: none runs, or none reaches this NATS")
	}
	bad := 0
	for _, s := range fleet {
		if len(problems(s)) > 0 || s.Rules.InvalidCount > 0 {
			bad++
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %s with a problem", bad, plural(len(fleet), "bridge"))
	}
	return nil
}
