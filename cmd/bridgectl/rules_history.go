package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func newRulesHistory(env environment) *cobra.Command {
	output := formats("text", "json")
	flags := bucketFlags{environment: env}
	cmd := &cobra.Command{
		Use: "history KEY", Short: "List the versions of a document", Args: exactly(1),
		Long: `Lists the versions of a key that the bucket keeps, the oldest first, deletes too.
get --revision prints one, rollback makes it the newest.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkStored(args[0]); err != nil {
				return usageError{err}
			}
			b, err := flags.open(cmd.Context())
			if err != nil {
				return err
			}
			defer b.close()
			versions, err := b.history(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if len(versions) == 0 {
				return fmt.Errorf("there is no key %s in bucket %s", shown(args[0]), b.name)
			}
			return printEntries(cmd.OutOrStdout(), output.name, versions)
		},
	}
	flags.add(cmd)
	cmd.Flags().VarP(output, "output", "o", "form of the result")
	return cmd
}

// version returns one version of a key that has a document.
func (b *bucket) version(ctx context.Context, key string, revision uint64) (*entry, error) {
	versions, err := b.history(ctx, key)
	if err != nil {
		return nil, err
	}
	for _, e := range versions {
		if e.revision == revision && !e.deleted {
			return e, nil
		}
	}
	return nil, fmt.Errorf("bucket %s has no document of key %s at revision %d; see bridgectl rules history %s", b.name, key, revision, key)
}
