package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"bintubridge/bridge/decide"
)

func newRulesRollback(env environment) *cobra.Command {
	output := formats("text", "json")
	flags := bucketFlags{environment: env}
	p := push{}
	var to uint64
	cmd := &cobra.Command{
		Use: "rollback KEY", Short: "Make an older version the newest", Args: exactly(1),
		Long: `Pushes an older version of a document once more, byte for byte: the one that --to
names, or else the newest one before the present that differs from it and compiles.
A deleted key comes back.

A version with a TTL comes back for what is left of it; --ttl sets another, --ttl 0
none, so that it stays.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkKey(args[0]); err != nil {
				return usageError{err}
			}
			if err := checkTTL(p.ttl); err != nil {
				return err
			}
			b, err := flags.open(cmd.Context())
			if err != nil {
				return err
			}
			defer b.close()
			present, target, err := b.rollbackTarget(cmd.Context(), args[0], to)
			if err != nil {
				return err
			}
			if err := compile(args[0], target.data); err != nil {
				return err
			}
			if !cmd.Flags().Changed("ttl") {
				if p.ttl, err = target.left(b.opened()); err != nil {
					return err
				}
			}
			p.bucket, p.out, p.json = b, cmd.OutOrStdout(), output.name == "json"
			p.print("back to revision %d of %s\n", target.revision, target.at.UTC().Format("2006-01-02T15:04:05Z"))
			return p.put(cmd.Context(), args[0], target.data, present)
		},
	}
	flags.add(cmd)
	cmd.Flags().Uint64Var(&to, "to", 0, "revision to go back to")
	cmd.Flags().DurationVar(&p.ttl, "ttl", 0, "delete the key by itself after this time; 0: never (default: what is left of that version's TTL)")
	cmd.Flags().BoolVar(&p.dryRun, "dry-run", false, "only show what would change")
	p.wait.add(cmd)
	cmd.Flags().VarP(output, "output", "o", "form of the result")
	return cmd
}

// rollbackTarget returns the present version of a key and the one to go back to.
func (b *bucket) rollbackTarget(ctx context.Context, key string, to uint64) (present, target *entry, err error) {
	versions, err := b.history(ctx, key)
	if err != nil {
		return nil, nil, err
	}
	if len(versions) == 0 {
		return nil, nil, fmt.Errorf("there is no key %s in bucket %s", key, b.name)
	}
	present = versions[len(versions)-1]
	if to != 0 {
		target, err = b.version(ctx, key, to)
		return present, target, err
	}
	for i := len(versions) - 2; i >= 0; i-- {
		v := versions[i]
		if v.deleted || !present.deleted && bytes.Equal(v.data, present.data) {
			continue
		}
		if _, err := decide.Compile(key, v.data); err == nil {
			return present, v, nil
		}
	}
	return nil, nil, errors.New("the bucket keeps no earlier version of " + key + " that differs and compiles; see bridgectl rules history " + key)
}
