package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"bintubridge/subjects"
)

// rollout is which bridge runs which revision of a bucket.
type rollout struct {
	Bucket   string       `json:"bucket"`
	Revision uint64       `json:"revision"` // of the newest push
	Invalid  []shownEntry `json:"invalid"`  // documents that do not compile
	Bridges  []arrival    `json:"bridges"`
}

func newRulesStatus(env environment) *cobra.Command {
	output := formats("text", "json")
	flags := bucketFlags{environment: env}
	cmd := &cobra.Command{
		Use: "status", Short: "Show which bridge runs which revision", Args: atMost(0),
		Long: `Shows the newest revision of the bucket, the documents in it that do not compile,
and which revision each bridge runs. A bridge that refuses more documents than it names
is unknown. The exit code is 1 when a document is invalid, a bridge is behind, refuses
one or is unknown, or no bridge follows the bucket.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := readRollout(cmd.Context(), flags)
			if err != nil {
				return err
			}
			if output.name == "json" {
				err = writeJSON(cmd.OutOrStdout(), r)
			} else {
				err = r.print(cmd.OutOrStdout())
			}
			return errors.Join(err, r.verdict())
		},
	}
	flags.add(cmd)
	cmd.Flags().VarP(output, "output", "o", "form of the result")
	return cmd
}

func readRollout(ctx context.Context, flags bucketFlags) (*rollout, error) {
	b, err := flags.open(ctx)
	if err != nil {
		return nil, err
	}
	defer b.close()
	r := &rollout{Bucket: b.name, Revision: b.stream.CachedInfo().State.LastSeq, Invalid: []shownEntry{}}
	entries, err := b.all(ctx)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, e := range entries {
		keys = append(keys, e.key)
		if s := show(e); s.Error != "" {
			r.Invalid = append(r.Invalid, s)
		}
	}
	fleet, err := readFleet(ctx, flags)
	if err != nil {
		return nil, err
	}
	present := map[string]arrival{}
	for _, s := range fleet {
		if s.Rules.Bucket == b.name {
			present[subjects.BridgeKey(s.Bridge)] = arrivalOf(s, b.created(), r.Revision, keys)
		}
	}
	r.Bridges = arrivals(present)
	return r, nil
}

func (r *rollout) print(w io.Writer) error {
	fmt.Fprintf(w, "bucket %s is at revision %d\n", shown(r.Bucket), r.Revision)
	for _, s := range r.Invalid {
		fmt.Fprintf(w, "INVALID: %s, revision %d: %s\n", shown(s.Key), s.Revision, firstLine(s.Error))
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "BRIDGE\tREVISION\tSTATE\tDETAIL")
	for _, a := range r.Bridges {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\n", shown(a.Bridge), a.Revision, a.State, firstLine(a.Detail))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

func (r *rollout) verdict() error {
	var invalid error
	if n := len(r.Invalid); n > 0 {
		invalid = fmt.Errorf("%s in the bucket %s not compile; what each bridge knew of it before stays in force there", plural(n, "document"), does(n))
	}
	return errors.Join(invalid, verdict(r.Bridges, r.Revision, r.Bucket))
}
