package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"bintubridge/bridge/decide"
)

func newRulesImport(env environment) *cobra.Command {
	output := formats("text", "json")
	flags := bucketFlags{environment: env}
	im := folderImport{}
	var yes bool
	cmd := &cobra.Command{
		Use: "import DIR", Short: "Push each document of a folder", Args: exactly(1),
		Long: `Pushes each file DIR/KEY.json to its key; a slash in a key is %2F in the name. All
files are compiled before anything is written. Keys that have the same document
already, and no TTL, stay as they are. Each key is written for itself, if nobody else has
written it meanwhile; the others go on when one cannot be.

--prune deletes the keys that have no file, after asking; --yes does not ask.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			files, err := readFolder(args[0])
			if err = errors.Join(err, compileFiles(files)); err != nil {
				return fmt.Errorf("%w\nnothing was written", err)
			}
			if len(files) == 0 {
				return fmt.Errorf("%s has no %s file", shown(args[0]), fileSuffix)
			}
			b, err := flags.open(cmd.Context())
			if err != nil {
				return err
			}
			defer b.close()
			im.bucket, im.out, im.json = b, cmd.OutOrStdout(), output.name == "json"
			if err := im.plan(cmd.Context(), files); err != nil {
				return err
			}
			if n := len(im.removes); n > 0 && !yes && !im.dryRun {
				im.print("")
				if err := confirm(cmd, fmt.Sprintf("delete %s?", plural(n, "key"))); err != nil {
					return err
				}
			}
			im.progress = startProgress(cmd, output, true, "document", uint64(len(im.puts)+len(im.removes)+im.unchanged))
			im.progress.add(uint64(im.unchanged))
			defer im.progress.end()
			return im.run(cmd.Context())
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&im.dryRun, "dry-run", false, "only show what would change")
	cmd.Flags().BoolVar(&im.prune, "prune", false, "delete the keys that have no file")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	im.wait.add(cmd)
	addQuiet(cmd)
	cmd.Flags().VarP(output, "output", "o", "form of the result")
	return cmd
}

// compileFiles refuses all files when one does not compile.
func compileFiles(files []ruleFile) error {
	var bad []error
	for _, f := range files {
		if f.key == "" { // its name is bad
			continue
		}
		if _, err := decide.Compile(f.key, f.data); err != nil {
			bad = append(bad, fmt.Errorf("%s: %w", shown(f.path), err))
		}
	}
	return errors.Join(bad...)
}

// folderImport makes keys what files say.
type folderImport struct {
	bucket *bucket
	wait   waitFlag
	dryRun bool
	prune  bool
	out    io.Writer
	json   bool

	progress *progress

	puts      []importPut
	removes   []*entry
	unchanged int
}

type importPut struct {
	file ruleFile
	old  *entry
}

// imported is the result of an import.
type imported struct {
	DryRun    bool      `json:"dry_run,omitempty"`
	Keys      []pushed  `json:"keys"`
	Unchanged int       `json:"unchanged"`
	Failed    int       `json:"failed"`
	Bridges   []arrival `json:"bridges,omitempty"`
}

// plan compares the files with the bucket.
func (im *folderImport) plan(ctx context.Context, files []ruleFile) error {
	entries, err := im.bucket.all(ctx)
	if err != nil {
		return err
	}
	present := map[string]*entry{}
	for _, e := range entries {
		present[e.key] = e
	}
	for _, f := range files {
		old := present[f.key]
		delete(present, f.key)
		if old == nil { // its marker may be there
			if old, err = im.bucket.get(ctx, f.key); err != nil {
				return err
			}
		}
		if sameDocument(old, f.data) && old.ttl == 0 {
			im.unchanged++
			continue
		}
		im.puts = append(im.puts, importPut{file: f, old: old})
	}
	for _, e := range entries {
		if im.prune && present[e.key] != nil {
			im.removes = append(im.removes, e)
		}
	}
	return nil
}

// run writes what plan has found. A key that cannot be written does not stop the others.
func (im *folderImport) run(ctx context.Context) error {
	result := imported{DryRun: im.dryRun, Keys: []pushed{}, Unchanged: im.unchanged}
	var failures []error
	var keys []string
	revision := im.bucket.stream.CachedInfo().State.LastSeq
	note := func(p pushed, err error) {
		im.progress.add(1)
		if err != nil {
			failures = append(failures, err)
			return
		}
		result.Keys, keys = append(result.Keys, p), append(keys, p.Key)
		revision = max(revision, p.Revision)
	}
	for _, put := range im.puts {
		note(im.put(ctx, put))
	}
	for _, e := range im.removes {
		note(im.remove(ctx, e))
	}
	result.Failed = len(failures)
	done := "written or deleted"
	if im.dryRun {
		done = "would be " + done
	}
	im.print("%s %s, %d unchanged, %d failed\n", plural(len(result.Keys), "key"), done, im.unchanged, len(failures))
	if im.wait.d > 0 && !im.dryRun {
		arrived, err := awaitFleet(ctx, im.bucket, im.wait.d, revision, keys, im.print)
		result.Bridges = arrived
		failures = append(failures, err)
	}
	if im.json {
		failures = append(failures, writeJSON(im.out, result))
	}
	return errors.Join(failures...)
}

func (im *folderImport) put(ctx context.Context, put importPut) (pushed, error) {
	var before []byte
	if !put.old.gone() {
		before = put.old.data
	}
	changes, err := diffRules(before, put.file.data)
	if err != nil {
		return pushed{}, err
	}
	p := pushed{Key: put.file.key, Was: presentRevision(put.old), DryRun: im.dryRun, Changes: changes}
	im.print("%s\n", describePut(put.file.key, put.old, sameDocument(put.old, put.file.data), 0))
	if !im.json {
		printChanges(im.out, changes)
	}
	if !im.dryRun {
		p.Revision, err = im.bucket.write(ctx, put.file.key, put.file.data, put.old.last(), 0)
	}
	return p, err
}

func (im *folderImport) remove(ctx context.Context, e *entry) (pushed, error) {
	changes, _ := diffRules(e.data, nil)
	p := pushed{Key: e.key, Was: e.revision, DryRun: im.dryRun, Changes: changes}
	deleted := "would be deleted"
	if !im.dryRun {
		var err error
		if p.Revision, err = im.bucket.remove(ctx, e.key, e.revision); err != nil {
			return p, err
		}
		deleted = "is deleted"
	}
	im.print("%s: revision %d %s\n", shown(e.key), e.revision, deleted)
	return p, nil
}

func (im *folderImport) print(format string, args ...any) {
	if !im.json {
		fmt.Fprintf(im.out, format, args...)
	}
}
