package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"bintubridge/bridge/decide"
)

func newRules(env environment) *cobra.Command {
	rules := newGroup("rules", "Push, look at, check and replay rule documents", `
One key of the KV bucket is one document. What writes compiles first, shows what
changes, and writes only if nobody else has written meanwhile.`)
	rules.AddCommand(
		newRulesPut(env), newRulesGet(env), newRulesLs(env), newRulesRm(env), newRulesEdit(env),
		newRulesHistory(env), newRulesRollback(env), newRulesStatus(env),
		newRulesImport(env), newRulesExport(env),
		newRulesLint(env), newRulesTest(env), newRulesReplay(env),
	)
	return rules
}

// push writes one document and tells of it.
type push struct {
	bucket *bucket
	wait   waitFlag
	dryRun bool
	ttl    time.Duration
	out    io.Writer
	json   bool
}

// pushed is the result of a push.
type pushed struct {
	Key      string       `json:"key"`
	Was      uint64       `json:"was"`      // revision that was replaced, 0: none
	Revision uint64       `json:"revision"` // 0: nothing was written
	DryRun   bool         `json:"dry_run,omitempty"`
	Changes  []ruleChange `json:"changes"`
	TTL      string       `json:"ttl,omitempty"`     // as asked for
	Warning  string       `json:"warning,omitempty"` // it will end at another time
	Bridges  []arrival    `json:"bridges,omitempty"` // with --wait
}

// put makes data the document of the key whose newest version is old.
func (p *push) put(ctx context.Context, key string, data []byte, old *entry) error {
	var before []byte
	if !old.gone() {
		before = old.data
	}
	changes, err := diffRules(before, data)
	if err != nil {
		return err
	}
	result := pushed{Key: key, Was: old.last(), DryRun: p.dryRun, Changes: changes}
	if p.ttl > 0 {
		result.TTL = p.ttl.String()
	}
	same := sameDocument(old, data)
	p.print("%s\n", describePut(key, old, same, p.ttl))
	if !p.json {
		printChanges(p.out, changes)
	}
	needless := same && p.ttl == 0 && old.ttl == 0
	if !p.dryRun && !needless {
		if result.Revision, err = p.bucket.write(ctx, key, data, old.last(), p.ttl); err != nil {
			return err
		}
		p.print("%s is at revision %d\n", key, result.Revision)
		if p.ttl > 0 {
			result.Warning = p.bucket.ttlWarning(ctx, result.Revision, p.ttl)
		}
		if result.Warning != "" {
			p.print("warning: %s\n", result.Warning)
		}
	}
	return p.finish(ctx, result)
}

// remove deletes the key whose newest version is old.
func (p *push) remove(ctx context.Context, old *entry) error {
	changes, _ := diffRules(old.data, nil)
	result := pushed{Key: old.key, Was: old.revision, DryRun: p.dryRun, Changes: changes}
	deleted := "would be deleted"
	if !p.dryRun {
		var err error
		if result.Revision, err = p.bucket.remove(ctx, old.key, old.revision); err != nil {
			return err
		}
		deleted = "is deleted"
	}
	p.print("%s: revision %d %s\n", shown(old.key), old.revision, deleted)
	if !p.json {
		printChanges(p.out, changes)
	}
	if !p.dryRun {
		p.print("%s is deleted, revision %d\n", shown(old.key), result.Revision)
	}
	return p.finish(ctx, result)
}

// finish waits for the bridges where that was asked for, and prints the result.
func (p *push) finish(ctx context.Context, result pushed) error {
	var err error
	if p.wait.d > 0 && !p.dryRun {
		revision := max(result.Revision, result.Was)
		result.Bridges, err = awaitFleet(ctx, p.bucket, p.wait.d, revision, []string{result.Key}, p.print)
	}
	if p.json {
		return errors.Join(writeJSON(p.out, result), err)
	}
	return err
}

func (p *push) print(format string, args ...any) {
	if !p.json {
		fmt.Fprintf(p.out, format, args...)
	}
}

// sameDocument says whether the newest version of a key has this text.
func sameDocument(newest *entry, data []byte) bool {
	return !newest.gone() && bytes.Equal(newest.data, data)
}

func describePut(key string, old *entry, same bool, ttl time.Duration) string {
	what := key + ": new"
	switch {
	case old.gone():
	case same:
		what = fmt.Sprintf("%s: the same as revision %d", key, old.revision)
	default:
		what = fmt.Sprintf("%s: replaces revision %d", key, old.revision)
	}
	switch {
	case ttl > 0:
		what += ", ends " + ttl.String() + " after the push, and its earlier versions go now"
	case !old.gone() && old.ttl > 0:
		what += fmt.Sprintf(", which would end at %s: the new one stays", expiry(old))
	}
	return what
}

func expiry(e *entry) string { return e.at.Add(e.ttl).UTC().Format(time.RFC3339) }

// readDocument reads a document from a file or, for -, from standard input.
func readDocument(cmd *cobra.Command, file string) ([]byte, error) {
	var in io.Reader
	if file == "-" {
		in = cmd.InOrStdin()
	} else {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("read the document: %w", err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, decide.MaxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	return data, nil
}

// compile refuses a document as a bridge would.
func compile(key string, data []byte) error {
	if _, err := decide.Compile(key, data); err != nil {
		return fmt.Errorf("%w\nnothing was written: a bridge would refuse this document", err)
	}
	return nil
}
