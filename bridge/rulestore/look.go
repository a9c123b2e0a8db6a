package rulestore

import (
	"iter"
	"time"

	"bintubridge/bridge/decide"
	"bintubridge/subjects"
)

// For the operator's page. None of it is on the request path.

// Explain decides as Decide does, and tells of each rule that was considered what became
// of it. It allocates.
func (s *Store) Explain(in *decide.Input, now time.Time) (x decide.Explanation, revision uint64, ageMS int64) {
	table := s.view.Load().table
	age := s.age(now)
	x = table.Explain(in, now)
	if d, denied := s.tooOld(in, age); denied {
		x = decide.Explanation{Decision: d}
	}
	return x, table.Revision(), age.Milliseconds()
}

// tooOld answers for stale rules that must not decide.
func (s *Store) tooOld(in *decide.Input, age time.Duration) (decide.Decision, bool) {
	if s.opts.StaleDeny && s.stale(age) && (in.Call == subjects.Publish || in.Call == subjects.Play) {
		return decide.Decision{Effect: decide.Deny, Reason: ReasonStale}, true
	}
	return decide.Decision{}, false
}

// Document returns the version in force of a key, nil when there is none.
func (s *Store) Document(key string) *decide.Document {
	s.mine.Lock()
	defer s.mine.Unlock()
	return s.ledger.docs.get(key).document()
}

// Text is a document in force as it was pushed.
type Text struct {
	Key, Source string
	Revision    uint64
}

// Texts returns the documents in force, as they are now, in no order.
func (s *Store) Texts() iter.Seq[Text] {
	s.mine.Lock()
	docs := s.ledger.docs.freeze()
	s.mine.Unlock()
	return func(yield func(Text) bool) {
		for r := range docs.all() {
			if !yield(Text{Key: r.key, Source: r.source, Revision: r.revision}) {
				return
			}
		}
	}
}
