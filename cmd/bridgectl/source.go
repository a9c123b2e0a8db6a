package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bintubridge/bridge/decide"
	"bintubridge/bridge/keys"
	"bintubridge/bridge/rulestore"
)

// ruleSet is the documents that a command decides by.
type ruleSet struct {
	docs  []*decide.Document
	from  string
	notes []string // of documents that are not in force as they stand
}

// sourceFlags say which rules, defaults and keys a command decides by.
type sourceFlags struct {
	bucketFlags
	paths                       []string
	snapshot                    string
	defaultPublish, defaultPlay string
	keysFile                    string
}

func (f *sourceFlags) addRules(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.paths, "rules", nil, "folder or .json file of documents, may be given several times (default: the live bucket)")
}

func (f *sourceFlags) addDefaults(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.defaultPublish, "default-publish", "", "allow or deny, where no rule matches (default: BRIDGE_DEFAULT_PUBLISH, or deny)")
	cmd.Flags().StringVar(&f.defaultPlay, "default-play", "", "the same for play (default: BRIDGE_DEFAULT_PLAY, or deny)")
	f.addKeys(cmd)
}

func (f *sourceFlags) addKeys(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.keysFile, "keys-file", "", "file of the keys that tokens are checked with (default: BRIDGE_KEYS_FILE)")
}

func (f *sourceFlags) defaults() (decide.Defaults, error) {
	publish, err := effectOf("publish", cmp.Or(f.defaultPublish, f.getenv("BRIDGE_DEFAULT_PUBLISH")))
	play, err2 := effectOf("play", cmp.Or(f.defaultPlay, f.getenv("BRIDGE_DEFAULT_PLAY")))
	return decide.Defaults{Publish: publish, Play: play}, errors.Join(err, err2)
}

func effectOf(call, text string) (decide.Effect, error) {
	effect, err := decide.ParseEffect(cmp.Or(text, "deny"))
	if err != nil {
		return decide.Deny, usageError{fmt.Errorf("default of %s: %w", call, err)}
	}
	return effect, nil
}

// keysPath names the file of the keys of tokens, empty for none.
func (f *sourceFlags) keysPath() string { return cmp.Or(f.keysFile, f.getenv("BRIDGE_KEYS_FILE")) }

// keys returns the keys of tokens, or nil when no file is named.
func (f *sourceFlags) keys() (*decide.Keys, error) {
	path := f.keysPath()
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	k, err := keys.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("keys file %s: %w", shown(path), err)
	}
	return k, nil
}

// load returns the rules: of files when some are named, else those that bridges
// have in force by the bucket.
func (f *sourceFlags) load(ctx context.Context) (*ruleSet, error) {
	if f.snapshot != "" {
		return loadSnapshot(f.snapshot)
	}
	if len(f.paths) > 0 {
		return loadFiles(f.paths, f.progress)
	}
	b, err := f.open(ctx)
	if err != nil {
		return nil, err
	}
	defer b.close()
	return loadBucket(ctx, b)
}

// loadSnapshot reads what a bridge has in force, or had when it stopped.
func loadSnapshot(path string) (*ruleSet, error) {
	s, err := rulestore.ReadSnapshot(path)
	if err != nil {
		return nil, err
	}
	set := &ruleSet{docs: s.Documents, from: fmt.Sprintf("snapshot %s of bucket %s, revision %d, last confirmed at %s",
		clean(path), clean(s.Bucket), s.Revision, s.Contact.UTC().Format(time.RFC3339))}
	for _, d := range s.Refused {
		set.notes = append(set.notes, fmt.Sprintf("%s, revision %d, is refused: %s", shown(d.Key), d.Revision, firstLine(d.Err)))
	}
	return set, nil
}

// loadFiles compiles all documents of folders and files, or says what is wrong
// with them.
func loadFiles(paths []string, p *progress) (*ruleSet, error) {
	set := &ruleSet{from: strings.Join(paths, ", ")}
	seen := map[string]string{}
	var bad []error
	for _, path := range paths {
		files, err := readPath(path)
		bad = append(bad, err)
		p.next("document", uint64(len(files)))
		for _, file := range files {
			p.add(1)
			if file.key == "" { // its name is bad
				continue
			}
			if first, ok := seen[file.key]; ok {
				bad = append(bad, fmt.Errorf("%s: key %s is %s already", shown(file.path), file.key, shown(first)))
				continue
			}
			seen[file.key] = file.path
			doc, err := decide.Compile(file.key, file.data)
			if err != nil {
				bad = append(bad, fmt.Errorf("%s: %w", shown(file.path), err))
				continue
			}
			set.docs = append(set.docs, doc)
		}
	}
	return set, errors.Join(bad...)
}

func readPath(path string) ([]ruleFile, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	if info.IsDir() {
		return readFolder(path)
	}
	if !strings.HasSuffix(path, fileSuffix) {
		return nil, usageError{fmt.Errorf("%s is neither a folder nor a file KEY%s", shown(path), fileSuffix)}
	}
	file, err := readFile(path)
	return []ruleFile{file}, err
}

// loadBucket compiles what is live. Of a document that a bridge refuses, the newest
// good version since its last delete is in force.
func loadBucket(ctx context.Context, b *bucket) (*ruleSet, error) {
	entries, err := b.all(ctx)
	if err != nil {
		return nil, err
	}
	set := &ruleSet{from: fmt.Sprintf("bucket %s, revision %d", b.name, b.stream.CachedInfo().State.LastSeq)}
	b.progress.next("document", uint64(len(entries)))
	for _, e := range entries {
		b.progress.add(1)
		doc, bad := compileEntry(e)
		if bad == nil {
			set.docs = append(set.docs, doc)
			continue
		}
		note := fmt.Sprintf("%s, revision %d, is refused: %s", shown(e.key), e.revision, firstLine(bad.Error()))
		good, revision, err := b.lastGood(ctx, e.key)
		switch {
		case err != nil:
			return nil, err
		case good == nil:
			note += "; no good version is kept"
		default:
			set.docs = append(set.docs, good)
			note += fmt.Sprintf("; revision %d is taken", revision)
		}
		set.notes = append(set.notes, note)
	}
	return set, nil
}

func (b *bucket) lastGood(ctx context.Context, key string) (*decide.Document, uint64, error) {
	if badKey := checkKey(key); badKey != nil {
		return nil, 0, nil //nolint:nilerr // there is none that could be asked for
	}
	versions, err := b.history(ctx, key)
	if err != nil {
		return nil, 0, err
	}
	for i := len(versions) - 1; i >= 0 && !versions[i].deleted; i-- {
		if doc, bad := decide.Compile(key, versions[i].data); bad == nil {
			return doc, versions[i].revision, nil
		}
	}
	return nil, 0, nil
}

// tell prints the notes for the person at the terminal.
func (s *ruleSet) tell(cmd *cobra.Command) {
	for _, note := range s.notes {
		fmt.Fprintln(cmd.ErrOrStderr(), "note:", note)
	}
}
