package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newRulesPut(env environment) *cobra.Command {
	output := formats("text", "json")
	flags := bucketFlags{environment: env}
	p := push{}
	var revision uint64
	cmd := &cobra.Command{
		Use: "put KEY FILE|-", Short: "Push a document", Args: exactly(2),
		Long: `Compiles the document, shows which rules it adds, removes and changes, and writes
it if the key is still at the revision that was shown. A document that does not
compile is refused with all its mistakes.

--ttl ends it by itself; the key's earlier versions go at once, for the server would
put the last of them in force again. When the server makes another TTL of it, a warning
says so. --wait waits until every bridge in KV bridges runs the new revision,
and fails when one does not, within 10s or the time given: --wait=1m.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkKey(args[0]); err != nil {
				return usageError{err}
			}
			if err := checkTTL(p.ttl); err != nil {
				return err
			}
			data, err := readDocument(cmd, args[1])
			if err != nil {
				return err
			}
			if err := compile(args[0], data); err != nil {
				return err
			}
			b, err := flags.open(cmd.Context())
			if err != nil {
				return err
			}
			defer b.close()
			old, err := b.get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("revision") && !isAt(old, revision) {
				return fmt.Errorf("key %s: %w: it is at revision %d, not %d", args[0], errConflict, presentRevision(old), revision)
			}
			p.bucket, p.out, p.json = b, cmd.OutOrStdout(), output.name == "json"
			return p.put(cmd.Context(), args[0], data, old)
		},
	}
	flags.add(cmd)
	cmd.Flags().Uint64Var(&revision, "revision", 0, "write only if the key is at this revision; 0: only if there is none")
	cmd.Flags().DurationVar(&p.ttl, "ttl", 0, "delete the key by itself after this time")
	cmd.Flags().BoolVar(&p.dryRun, "dry-run", false, "only show what would change")
	p.wait.add(cmd)
	cmd.Flags().VarP(output, "output", "o", "form of the result")
	return cmd
}

// presentRevision is the revision of the key's document, 0 when it has none.
func presentRevision(e *entry) uint64 {
	if e.gone() {
		return 0
	}
	return e.revision
}

func isAt(e *entry, revision uint64) bool { return presentRevision(e) == revision }
