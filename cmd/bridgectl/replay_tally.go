package main

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"bintubridge/bridge/decide"
	"bintubridge/bridge/webhook"
	"bintubridge/subjects"
)

const (
	maxExamples = 10
	// maxTallied bounds how many different names, or rules, are counted one by
	// one: publishers choose names.
	maxTallied = 1 << 20
	topNames   = 10
	topRules   = 50
)

// tallyOptions say how events are decided.
type tallyOptions struct {
	before, after *decide.Review
	keys          *decide.Keys // nil: no token can be checked
	dialect       webhook.Dialect
	since         time.Time // events received before do not count
}

// tally is what a replay has found. It belongs to one reader, until they are
// added up.
type tally struct {
	tallyOptions
	event recorded

	Events      uint64 // in the stream since then
	Told        uint64 // of them not decided: a done, an unknown call, what could not be read
	Unreadable  uint64 // of them no event
	Earlier     uint64 // of them received before, and stored late
	Asks        uint64 // of them decided
	Flips       uint64 // of the asks
	Undecidable uint64 // of the asks
	Drift       uint64 // of the asks with nothing redacted: the present rules answer otherwise than was answered then

	calls    map[callChange]uint64
	rules    map[ruleFlip]uint64
	names    map[string]uint64
	examples []example
}

type callChange struct{ call, change string }

// ruleFlip is two rules, and what becomes of the requests that go from one to the other.
type ruleFlip struct{ was, is, change string }

const undecidable = "undecidable"

// example is one event that would be decided otherwise.
type example struct {
	Event      string    `json:"event"`
	ReceivedAt time.Time `json:"received_at"`
	Call       string    `json:"call"`
	Name       string    `json:"name"`
	Addr       string    `json:"addr"`
	Was        outcome   `json:"was"`
	Is         outcome   `json:"is"`
}

func newTally(opts tallyOptions) *tally {
	return &tally{tallyOptions: opts, calls: map[callChange]uint64{}, rules: map[ruleFlip]uint64{}, names: map[string]uint64{}}
}

// take decides one event again.
func (t *tally) take(subject string, data []byte) {
	t.Events++
	if !asks(subject) {
		t.Told++
		return
	}
	if err := t.event.read(data); err != nil {
		t.Unreadable++
		return
	}
	e := &t.event.event
	in := recordedInput(e, t.dialect)
	switch {
	case e.ReceivedAt.Before(t.since):
		t.Earlier++
		return
	case !in.Call.Asks() || e.Decision == nil:
		t.Told++
		return
	}
	in.Keys = t.keys
	t.Asks++
	was, is, verdict := decide.Compare(t.before, t.after, &in, e.ReceivedAt)
	if was.Effect.String() != e.Decision.Effect && !in.Redacted() {
		t.Drift++
	}
	switch verdict {
	case decide.Flips:
		t.flip(e, was, is)
	case decide.Undecidable:
		t.Undecidable++
		t.calls[callChange{in.Call.String(), undecidable}]++
		t.count(ruleFlip{was.Rule, is.Rule, undecidable})
	}
}

func (t *tally) flip(e *subjects.Event, was, is decide.Decision) {
	t.Flips++
	change := was.Effect.String() + " -> " + is.Effect.String()
	t.calls[callChange{subjects.ParseCall(e.Call).String(), change}]++
	t.count(ruleFlip{was.Rule, is.Rule, change})
	if _, ok := t.names[e.Name]; ok {
		t.names[e.Name]++
	} else if len(t.names) < maxTallied {
		t.names[strings.Clone(e.Name)] = 1 // e.Name keeps the whole event
	}
	if len(t.examples) < maxExamples {
		t.examples = append(t.examples, example{
			Event: e.ID, ReceivedAt: e.ReceivedAt, Call: e.Call, Name: e.Name, Addr: e.Addr, Was: outcomeOf(was), Is: outcomeOf(is),
		})
	}
}

func (t *tally) count(f ruleFlip) {
	if _, ok := t.rules[f]; !ok && len(t.rules) >= maxTallied {
		f.was, f.is = "(others)", "(others)"
	}
	t.rules[f]++
}

// asks reports whether a subject may be that of a call that is decided.
func asks(subject string) bool {
	call, _ := strings.CutPrefix(subject, "stream.")
	call, _ = strings.CutPrefix(call, "denied.")
	call, _, _ = strings.Cut(call, ".")
	return subjects.ParseCall(call).Asks()
}

// add adds what another reader has found, in later events.
func (t *tally) add(o *tally) {
	t.Events += o.Events
	t.Told += o.Told
	t.Unreadable += o.Unreadable
	t.Earlier += o.Earlier
	t.Asks += o.Asks
	t.Flips += o.Flips
	t.Undecidable += o.Undecidable
	t.Drift += o.Drift
	addCounts(t.calls, o.calls)
	addCounts(t.rules, o.rules)
	addCounts(t.names, o.names)
	t.examples = append(t.examples, o.examples...)
	t.examples = t.examples[:min(len(t.examples), maxExamples)]
}

func addCounts[K comparable](to, from map[K]uint64) {
	for key, n := range from {
		to[key] += n
	}
}

// top returns the keys with the highest counts, at most n; 0 is all.
func top[K comparable](counts map[K]uint64, n int, compare func(a, b K) int) []K {
	keys := slices.SortedFunc(maps.Keys(counts), func(a, b K) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), compare(a, b))
	})
	if n > 0 {
		keys = keys[:min(n, len(keys))]
	}
	return keys
}
