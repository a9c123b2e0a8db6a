package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"bintubridge/bridge/decide"
)

func newRulesReplay(env environment) *cobra.Command {
	output := formats("text", "json")
	r := replay{flags: sourceFlags{bucketFlags: bucketFlags{environment: env}}}
	var since time.Duration
	var dialect string
	var failOn uint64
	cmd := &cobra.Command{
		Use: "replay", Short: "Decide recorded events again under other rules", Args: atMost(0),
		Long: `Decides the publishes, plays, updates and connects of the stream EVENTS again, each
as of the time it was received: by the rules of the live bucket, and beside them by
those of --rules, or by the live ones with some keys exchanged (--put KEY=FILE; an
empty FILE takes the key out). Shows what would change.

Values that were redacted are known by a part of their SHA-256, which shows that a
value is not the one a rule wants, and never that it is. Where an answer
depends on one, the event is undecidable: counted, and not guessed.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (len(r.flags.paths) > 0) == (len(r.puts) > 0) {
				return usageError{errors.New("one of --rules and --put is wanted")}
			}
			if since <= 0 {
				return usageError{errors.New("--since: want a time, as 24h")}
			}
			var err error
			if r.dialect, err = dialectOf(dialect, env.getenv); err != nil {
				return err
			}
			r.since = time.Now().Add(-since)
			result, err := r.run(cmd, output)
			if err != nil {
				return err
			}
			if output.name == "json" {
				err = writeJSON(cmd.OutOrStdout(), result)
			} else {
				result.print(cmd.OutOrStdout())
			}
			if cmd.Flags().Changed("fail-on-flips") && result.Flips > failOn {
				err = errors.Join(err, fmt.Errorf("%s would be decided otherwise, %d are allowed", plural(result.Flips, "request"), failOn))
			}
			return err
		},
	}
	r.flags.add(cmd)
	r.flags.addRules(cmd)
	r.flags.addDefaults(cmd)
	cmd.Flags().Lookup("rules").Usage = "folder or .json file of the rules to try, may be given several times"
	cmd.Flags().StringArrayVar(&r.puts, "put", nil, "KEY=FILE: try the live rules with this document, may be given several times")
	cmd.Flags().DurationVar(&since, "since", 24*time.Hour, "how far back")
	cmd.Flags().Uint64Var(&failOn, "fail-on-flips", 0, "fail when more requests than this would be decided otherwise")
	cmd.Flags().StringVar(&dialect, "dialect", "", "order of the fields in raw bodies, bintu or nginx-rtmp (default: BRIDGE_DIALECT, or bintu)")
	addQuiet(cmd)
	cmd.Flags().VarP(output, "output", "o", "form of the result")
	return cmd
}

const replayGCPercent = 400

// replay decides recorded events by two sets of rules.
type replay struct {
	flags sourceFlags
	puts  []string
	tallyOptions

	progress *progress
}

// run reads and decides all events.
func (r *replay) run(cmd *cobra.Command, output *format) (*replayed, error) {
	ctx := cmd.Context()
	defaults, err := r.flags.defaults()
	if err != nil {
		return nil, err
	}
	if r.keys, err = r.flags.keys(); err != nil {
		return nil, err
	}
	after, before, err := r.rules(ctx)
	if err != nil {
		return nil, err
	}
	before.tell(cmd)
	r.before, r.after = decide.NewReview(defaults, before.docs), decide.NewReview(defaults, after.docs)

	// An event lives for a microsecond: rare collections are worth their memory.
	defer debug.SetGCPercent(debug.SetGCPercent(replayGCPercent))
	began := time.Now()
	js, nc, err := connect(r.flags.url, r.flags.environment)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	parts, err := replayParts(ctx, js, r.since, uint64(runtime.GOMAXPROCS(0)))
	if err != nil {
		return nil, err
	}
	total := uint64(0)
	for _, part := range parts {
		total += part.to - part.from + 1
	}
	r.progress = startProgress(cmd, output, false, "event", total)
	sum, err := r.readAll(ctx, parts)
	r.progress.end()
	if err != nil {
		return nil, err
	}
	return newReplayed(sum, before.from, after.from, time.Since(began)), nil
}

// rules returns the rules to try and the present ones. Documents that are in
// both are the same ones.
func (r *replay) rules(ctx context.Context) (after, before *ruleSet, err error) {
	b, err := r.flags.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer b.close()
	if before, err = loadBucket(ctx, b); err != nil {
		return nil, nil, err
	}
	if len(r.puts) > 0 {
		after, err = before.with(r.puts)
	} else {
		after, err = loadFiles(r.flags.paths, nil)
	}
	if err != nil {
		return nil, nil, err
	}
	after.share(before)
	return after, before, nil
}

// with returns the set with some documents exchanged.
func (s *ruleSet) with(puts []string) (*ruleSet, error) {
	changed := map[string]*decide.Document{}
	for _, put := range puts {
		key, path, ok := strings.Cut(put, "=")
		if !ok || key == "" {
			return nil, usageError{fmt.Errorf("--put %s: want KEY=FILE", shown(put))}
		}
		if err := checkKey(key); err != nil {
			return nil, usageError{err}
		}
		changed[key] = nil
		if path == "" {
			continue
		}
		file, err := readFileOf(key, path)
		if err != nil {
			return nil, err
		}
		if changed[key], err = decide.Compile(key, file.data); err != nil {
			return nil, fmt.Errorf("%s: %w", shown(path), err)
		}
	}
	with := &ruleSet{from: s.from + " with " + strings.Join(puts, ", ")}
	for _, doc := range s.docs {
		if _, ok := changed[doc.Key()]; !ok {
			with.docs = append(with.docs, doc)
		}
	}
	for _, doc := range changed {
		if doc != nil {
			with.docs = append(with.docs, doc)
		}
	}
	return with, nil
}

// share puts the documents of another set in the place of equal ones.
func (s *ruleSet) share(other *ruleSet) {
	known := map[string]*decide.Document{}
	for _, doc := range other.docs {
		known[doc.Key()] = doc
	}
	for i, doc := range s.docs {
		if same := known[doc.Key()]; same != nil && same.Source() == doc.Source() {
			s.docs[i] = same
		}
	}
}

// readAll reads the parts side by side, each over a connection of its own.
func (r *replay) readAll(ctx context.Context, parts []replayPart) (*tally, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tallies, failures := make([]*tally, len(parts)), make([]error, len(parts))
	var readers sync.WaitGroup
	for i, part := range parts {
		tallies[i] = newTally(r.tallyOptions)
		readers.Go(func() {
			if failures[i] = r.read(ctx, part, tallies[i]); failures[i] != nil {
				cancel()
			}
		})
	}
	readers.Wait()
	sum := newTally(r.tallyOptions)
	for _, t := range tallies {
		sum.add(t)
	}
	return sum, firstCause(failures)
}

// firstCause leaves out those that were only told to stop.
func firstCause(failures []error) error {
	var stopped error
	for _, err := range failures {
		if errors.Is(err, context.Canceled) {
			stopped = cmp.Or(stopped, err)
		} else if err != nil {
			return err
		}
	}
	return stopped
}

func (r *replay) read(ctx context.Context, part replayPart, t *tally) error {
	js, nc, err := connect(r.flags.url, r.flags.environment)
	if err != nil {
		return err
	}
	defer nc.Close()
	return readPart(ctx, js, part, func(subject string, data []byte) {
		t.take(subject, data)
		r.progress.add(1)
	})
}

// replayed is the result of a replay.
type replayed struct {
	Before      string      `json:"before"` // which rules
	After       string      `json:"after"`
	Since       time.Time   `json:"since"`
	Seconds     float64     `json:"seconds"`
	Events      uint64      `json:"events"`
	Told        uint64      `json:"told"`
	Unreadable  uint64      `json:"unreadable"`
	Earlier     uint64      `json:"earlier"`
	Asks        uint64      `json:"asks"`
	Flips       uint64      `json:"flips"`
	Undecidable uint64      `json:"undecidable"`
	Drift       uint64      `json:"drift"`
	Calls       []callCount `json:"calls"`
	Rules       []ruleCount `json:"rules"`
	Names       []nameCount `json:"names"`
	OtherNames  uint64      `json:"other_names"` // flips of names that are not among Names
	Examples    []example   `json:"examples"`
}

type callCount struct {
	Call   string `json:"call"`
	Change string `json:"change"`
	Count  uint64 `json:"count"`
}

type ruleCount struct {
	Was    string `json:"was"` // "": the default
	Is     string `json:"is"`
	Change string `json:"change"`
	Count  uint64 `json:"count"`
}

type nameCount struct {
	Name  string `json:"name"`
	Count uint64 `json:"count"`
}

func newReplayed(t *tally, before, after string, took time.Duration) *replayed {
	r := &replayed{
		Before: before, After: after, Since: t.since.UTC(), Seconds: took.Seconds(),
		Events: t.Events, Told: t.Told, Unreadable: t.Unreadable, Earlier: t.Earlier,
		Asks: t.Asks, Flips: t.Flips, Undecidable: t.Undecidable, Drift: t.Drift,
		Calls: []callCount{}, Rules: []ruleCount{}, Names: []nameCount{},
		OtherNames: t.Flips, Examples: append([]example{}, t.examples...),
	}
	for _, k := range top(t.calls, 0, func(a, b callChange) int { return cmp.Or(cmp.Compare(a.call, b.call), cmp.Compare(a.change, b.change)) }) {
		r.Calls = append(r.Calls, callCount{k.call, k.change, t.calls[k]})
	}
	for _, k := range top(t.rules, topRules, func(a, b ruleFlip) int {
		return cmp.Or(cmp.Compare(a.was, b.was), cmp.Compare(a.is, b.is), cmp.Compare(a.change, b.change))
	}) {
		r.Rules = append(r.Rules, ruleCount{k.was, k.is, k.change, t.rules[k]})
	}
	for _, name := range top(t.names, topNames, strings.Compare) {
		r.Names = append(r.Names, nameCount{name, t.names[name]})
		r.OtherNames -= t.names[name]
	}
	return r
}

func (r *replayed) print(w io.Writer) {
	fmt.Fprintf(w, "%s since %s in %.1f s, %.0f a second\n", plural(r.Events, "event"), r.Since.Format(time.RFC3339), r.Seconds, float64(r.Events)/r.Seconds)
	fmt.Fprintf(w, "  %d asks, %d told, %d received before, %d unreadable\n", r.Asks, r.Told, r.Earlier, r.Unreadable)
	fmt.Fprintf(w, "present rules: %s\nrules to try:  %s\n", clean(r.Before), clean(r.After))
	if r.Drift > 0 {
		fmt.Fprintf(w, "%d of the asks with nothing redacted were answered otherwise then than the present rules answer\n", r.Drift)
	}
	fmt.Fprintf(w, "\n%s would be decided otherwise, %d cannot be told\n", plural(r.Flips, "request"), r.Undecidable)
	for _, c := range r.Calls {
		fmt.Fprintf(w, "  %s: %s: %d\n", c.Call, c.Change, c.Count)
	}
	if len(r.Rules) > 0 {
		fmt.Fprintln(w, "by rule:")
	}
	for _, c := range r.Rules {
		fmt.Fprintf(w, "  %s -> %s: %s: %d\n", ruleOrDefault(c.Was), ruleOrDefault(c.Is), c.Change, c.Count)
	}
	if len(r.Names) > 0 {
		fmt.Fprintln(w, "names most affected:")
	}
	for _, c := range r.Names {
		fmt.Fprintf(w, "  %s: %d\n", word(c.Name), c.Count)
	}
	if r.OtherNames > 0 {
		fmt.Fprintf(w, "  others: %d\n", r.OtherNames)
	}
	if len(r.Examples) > 0 {
		fmt.Fprintln(w, "examples:")
	}
	for _, e := range r.Examples {
		fmt.Fprintf(w, "  %s %s %s %s from %s: %s by %s -> %s by %s\n", e.ReceivedAt.UTC().Format(time.RFC3339), word(e.Event), word(e.Call), word(e.Name), word(e.Addr),
			e.Was.Effect, ruleOrDefault(e.Was.Rule), e.Is.Effect, ruleOrDefault(e.Is.Rule))
	}
}

func ruleOrDefault(rule string) string {
	if rule == "" {
		return "(default)"
	}
	return shown(rule)
}
