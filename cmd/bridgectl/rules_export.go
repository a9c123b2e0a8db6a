package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bintubridge/bridge/decide"
	"bintubridge/bridge/rulestore"
)

const (
	fileSuffix   = ".json"
	encodedSlash = "%2F"
	maxFileName  = 255 // of usual file systems
)

// fileName is the name of a key's file. A key has no %, so that one standing for
// a slash is never taken for the key's own.
func fileName(key string) string { return strings.ReplaceAll(key, "/", encodedSlash) + fileSuffix }

// keyOf is the inverse of fileName.
func keyOf(name string) (string, error) {
	key := strings.ReplaceAll(strings.TrimSuffix(name, fileSuffix), encodedSlash, "/")
	return key, checkKey(key)
}

// ruleFile is a document in a folder.
type ruleFile struct {
	key, path string
	data      []byte
}

// readFolder reads the documents of a folder, one for each *.json, by key. Hidden
// files and folders are not for us, nor what is no document.
func readFolder(dir string) ([]ruleFile, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	files := []ruleFile{}
	var bad error
	for _, f := range list {
		if f.Name()[0] == '.' {
			continue
		}
		if f.IsDir() {
			bad = errors.Join(bad, checkSubfolder(filepath.Join(dir, f.Name())))
			continue
		}
		if !strings.HasSuffix(f.Name(), fileSuffix) {
			if strings.EqualFold(filepath.Ext(f.Name()), fileSuffix) {
				bad = errors.Join(bad, fmt.Errorf("%s: the name of a document ends in %s; rename it", shown(filepath.Join(dir, f.Name())), fileSuffix))
			}
			continue
		}
		file, err := readFile(filepath.Join(dir, f.Name()))
		bad = errors.Join(bad, err)
		files = append(files, file)
	}
	slices.SortFunc(files, func(a, b ruleFile) int { return strings.Compare(a.key, b.key) })
	return files, bad
}

// checkSubfolder refuses a folder that has documents: they would be left out.
func checkSubfolder(dir string) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("rules: %w", err)
	}
	for _, f := range list {
		if !f.IsDir() && f.Name()[0] != '.' && strings.EqualFold(filepath.Ext(f.Name()), fileSuffix) {
			return fmt.Errorf("%s: folders in folders are not read; a slash in a key is %s in the file's name", shown(filepath.Join(dir, f.Name())), encodedSlash)
		}
	}
	return nil
}

func readFile(path string) (ruleFile, error) {
	key, err := keyOf(filepath.Base(path))
	if err != nil {
		return ruleFile{}, fmt.Errorf("%s: its name is no key's: %w", shown(path), err)
	}
	return readFileOf(key, path)
}

// readFileOf reads the document of a key from a file of any name.
func readFileOf(key, path string) (ruleFile, error) {
	info, err := os.Stat(path)
	if err != nil {
		return ruleFile{}, fmt.Errorf("rules: %w", err)
	}
	if info.Size() > decide.MaxDocument {
		return ruleFile{}, fmt.Errorf("%s: %d bytes, a document has at most %d", shown(path), info.Size(), decide.MaxDocument)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return ruleFile{}, fmt.Errorf("rules: %w", err)
	}
	return ruleFile{key: key, path: path, data: data}, nil
}

func newRulesExport(env environment) *cobra.Command {
	output := formats("text", "json")
	flags := bucketFlags{environment: env}
	var dryRun, prune bool
	var snapshot string
	cmd := &cobra.Command{
		Use: "export DIR", Short: "Write each document to a file", Args: exactly(1),
		Long: `Writes each key of the bucket to DIR/KEY.json, byte for byte; a slash in a key
becomes %2F. Files that are the same already stay as they are. --prune removes the
.json files that have no key. A key that a bridge refuses for its characters, or that
is too long for the name of a file, gets none: it is told, and the exit code is 1.

--snapshot takes the documents that a bridge has in force, without NATS: what is left of
a bucket that is lost. Copy the file before the bucket is made anew.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			entries, old, err := toExport(cmd.Context(), &flags, snapshot)
			if err != nil {
				return err
			}
			entries, refused := exportable(entries)
			refused = errors.Join(old, refused)
			x := folderExport{dir: args[0], result: exportResult{DryRun: dryRun, Written: []string{}, Removed: []string{}}}
			if output.name != "json" {
				x.out = cmd.OutOrStdout()
			}
			x.progress = startProgress(cmd, output, true, "document", uint64(len(entries)))
			err = x.write(entries)
			x.progress.end()
			if err != nil {
				return err
			}
			if prune {
				if err := x.prune(entries); err != nil {
					return err
				}
			}
			x.result.Unchanged = len(entries) - len(x.result.Written)
			if output.name == "json" {
				return errors.Join(refused, writeJSON(cmd.OutOrStdout(), x.result))
			}
			text := "%s: %s written, %d unchanged, %d removed\n"
			if dryRun {
				text = "%s: %s would be written, %d unchanged, %d would be removed\n"
			}
			x.print(text, shown(args[0]), plural(len(x.result.Written), "file"), x.result.Unchanged, len(x.result.Removed))
			return refused
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only show what would change")
	cmd.Flags().BoolVar(&prune, "prune", false, "remove .json files that have no key")
	cmd.Flags().StringVar(&snapshot, "snapshot", "", "file that a bridge keeps its rules in (rules.snapshot in its data folder), instead of the live bucket")
	addQuiet(cmd)
	cmd.Flags().VarP(output, "output", "o", "form of the result")
	return cmd
}

// toExport returns the documents of a snapshot, if one is named, else those of the bucket.
// What this version of the program refuses of a snapshot is in an error of its own.
func toExport(ctx context.Context, flags *bucketFlags, snapshot string) (list []*entry, refused, err error) {
	if snapshot == "" {
		b, err := flags.open(ctx)
		if err != nil {
			return nil, nil, err
		}
		defer b.close()
		list, err = b.all(ctx)
		return list, nil, err
	}
	s, err := rulestore.ReadSnapshot(snapshot)
	if err != nil {
		return nil, nil, err
	}
	for _, doc := range s.Documents {
		list = append(list, &entry{key: doc.Key(), data: []byte(doc.Source())})
	}
	slices.SortFunc(list, func(x, y *entry) int { return strings.Compare(x.key, y.key) })
	for _, d := range s.Refused {
		refused = errors.Join(refused, fmt.Errorf("not exported: %s, revision %d, is refused: %s", shown(d.Key), d.Revision, firstLine(d.Err)))
	}
	return list, refused, nil
}

// exportable returns the keys that a file can be named for, and an error that tells the
// others: a plain publish can store what no KV tool can, and a key may be long.
func exportable(entries []*entry) (good []*entry, refused error) {
	for _, e := range entries {
		err := checkKey(e.key)
		if n := len(fileName(e.key)); err == nil && n > maxFileName {
			err = fmt.Errorf("key %s: the name of its file would have %d bytes, over %d; rules get prints it", shown(e.key), n, maxFileName)
		}
		if err != nil {
			refused = errors.Join(refused, fmt.Errorf("not exported: %w; rules rm deletes it", err))
			continue
		}
		good = append(good, e)
	}
	return good, refused
}

// exportResult is the result of an export: paths of files, and how many were the same already.
type exportResult struct {
	DryRun    bool     `json:"dry_run,omitempty"`
	Written   []string `json:"written"`
	Removed   []string `json:"removed"`
	Unchanged int      `json:"unchanged"`
}

// folderExport writes keys to files.
type folderExport struct {
	dir    string
	out    io.Writer // nil: nothing is told
	result exportResult

	progress *progress
}

func (x *folderExport) print(format string, args ...any) {
	if x.out != nil {
		fmt.Fprintf(x.out, format, args...)
	}
}

func (x *folderExport) write(entries []*entry) error {
	if !x.result.DryRun {
		if err := os.MkdirAll(x.dir, 0o755); err != nil {
			return fmt.Errorf("export: %w", err)
		}
	}
	for _, e := range entries {
		x.progress.add(1)
		path := filepath.Join(x.dir, fileName(e.key))
		there, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("export: %w", err)
		}
		if err == nil && bytes.Equal(there, e.data) {
			continue
		}
		x.result.Written = append(x.result.Written, path)
		x.print("write %s\n", path)
		if x.result.DryRun {
			continue
		}
		if err := replaceFile(path, e.data); err != nil {
			return fmt.Errorf("export: %w", err)
		}
	}
	return nil
}

func (x *folderExport) prune(entries []*entry) error {
	files, err := filepath.Glob(filepath.Join(x.dir, "*"+fileSuffix))
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	kept := make(map[string]bool, len(entries))
	for _, e := range entries {
		kept[fileName(e.key)] = true
	}
	for _, path := range files {
		name := filepath.Base(path)
		if name[0] == '.' || kept[name] {
			continue
		}
		x.result.Removed = append(x.result.Removed, path)
		x.print("remove %s\n", shown(path))
		if x.result.DryRun {
			continue
		}
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("export: %w", err)
		}
	}
	return nil
}

// replaceFile writes a file whole or not at all.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".export-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
