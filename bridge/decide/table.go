package decide

import (
	"time"

	"bintubridge/subjects"
)

// Table answers requests by the rules of all its documents. It is immutable and
// safe for concurrent use. The zero Table has no rules and denies publish and
// play.
type Table struct {
	revision uint64
	defaults Defaults
	rules    int
	keys     keys
	shadow   *Table // of the shadow rules; nil: none

	// Rules that cut a running stream do not stand in the way of one that
	// starts. A rule of both kinds of calls is in both.
	starting index // publish, play
	running  index // update_publish, update_play, connect
}

const startingCalls callSet = 1<<subjects.Publish | 1<<subjects.Play

// NewTable joins documents into one table. Their keys must differ. Revision is
// the version of the rule set and is only handed back.
func NewTable(revision uint64, d Defaults, docs []*Document) *Table {
	edit := (&Table{defaults: d}).Edit()
	for _, doc := range docs {
		edit.Replace(nil, doc)
	}
	return edit.Table(revision)
}

// Revision returns the revision the table was made with.
func (t *Table) Revision() uint64 { return t.revision }

// Rules returns how many rules the table has, shadow rules included.
func (t *Table) Rules() int {
	if t.shadow == nil {
		return t.rules
	}
	return t.rules + t.shadow.rules
}

// Decide answers one request at the time now. A call that only tells gets the
// zero Effect with ReasonNotAsked. It does not allocate, as long as the address
// is one or is plainly none.
func (t *Table) Decide(in *Input, now time.Time) Decision {
	if d, ok := undecided(in); ok {
		return d
	}
	s := search{query: query{in: in, now: now}}
	t.index(in.Call).visit(&s, t.keys)
	return t.decision(&s)
}

// undecided answers what no rule is asked about.
func undecided(in *Input) (Decision, bool) {
	if !in.Call.Asks() {
		return Decision{Reason: ReasonNotAsked}, true
	}
	if in.Name == "" && (in.Call == subjects.Publish || in.Call == subjects.Play) {
		return Decision{Reason: ReasonEmptyName}, true
	}
	if len(in.Name) > senderName { // from no media server, and looking for patterns in it would take long
		return Decision{Reason: ReasonLongName}, true
	}
	return Decision{}, false
}

func (t *Table) index(call subjects.Call) *index {
	if startingCalls.has(call) {
		return &t.starting
	}
	return &t.running
}

func (t *Table) decision(s *search) Decision {
	best := s.decider()
	if best == nil {
		return t.defaults.decide(s.in.Call)
	}
	return Decision{Effect: best.effect, Rule: best.name, Reason: s.reason(best)}
}

// search looks for the rule that decides a query.
type search struct {
	query
	best *rule    // of those that match so far; with all the last of its rules, once it is full
	bare bareRule // in the place of best where it stands in the table as bytes; without a name: it does not
	all  *Shadows // nil unless all that match are wanted

	// What gets the candidates in the search's place; nil: nothing does. They are no
	// interface, which would have every search allocated.
	trail *trail
	cover *coverSearch
}

// decider returns the best rule of those that match so far, nil when there is none.
func (s *search) decider() *rule {
	if s.bare.name != "" {
		return &s.bare.rule // which best cannot point to, for then every search would be allocated
	}
	return s.best
}

// reason returns the reason of the decider.
func (s *search) reason(decider *rule) string {
	if decider == &s.bare.rule {
		return s.bare.conditions.reason()
	}
	return decider.reason()
}

// open reports whether a part of an index can have a rule that matters.
func (s *search) open(r reach) bool {
	best := s.decider()
	return r.entries > 0 && (best == nil || r.rank >= best.rank())
}

// settled reports whether r, and whatever goes after it, cannot become the best.
func (s *search) settled(r *rule) bool {
	best := s.decider()
	return best != nil && best.compare(r) <= 0
}

// visit offers the candidates of a posting, which may be nil, best first, as
// long as they matter.
func (s *search) visit(p *posting, index Index) {
	if p == nil || p.empty() || s.settled(p.first.rule) {
		return
	}
	s.offer(p.first, index)
	if p.rest != nil {
		p.rest.visit(s, index)
	}
}

// wantsAll reports whether it is asked for candidates that cannot match, too.
func (s *search) wantsAll() bool { return s.trail != nil || s.cover != nil }

// offer checks one candidate.
func (s *search) offer(c candidate, index Index) {
	switch {
	case s.trail != nil:
		s.trail.offered(s, c, index)
	case s.cover != nil:
		s.cover.offered(s, c)
	case c.fails(&s.query) == NoCondition:
		s.matched(c.rule)
	}
}

func (s *search) matched(r *rule) {
	if s.all != nil {
		s.best = s.all.add(r)
	} else if !s.settled(r) {
		s.lead(r)
	}
}

// lead makes r the best rule.
func (s *search) lead(r *rule) { s.best, s.bare = r, bareRule{} }
