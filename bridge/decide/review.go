package decide

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"bintubridge/subjects"
)

// redactedPrefix and redactedDigits are how an event shows a value that may not
// leave the process: the first digits of its SHA-256.
const (
	redactedPrefix = "sha256:"
	redactedDigits = 16
)

// Redacted reports whether the value of a recorded field stands for one that was
// not recorded.
func Redacted(value string) bool {
	digits, ok := strings.CutPrefix(value, redactedPrefix)
	return ok && len(digits) == redactedDigits && strings.Trim(digits, "0123456789abcdef") == ""
}

// Review decides recorded requests again. Of some custom values only a part of the
// SHA-256 was recorded: that shows that a value is not the one a rule wants, and
// never that it is. What such a value decides is not guessed. A Review is immutable
// and safe for concurrent use.
type Review struct {
	table *Table // all rules: for requests with nothing redacted

	// The same rules, apart.
	tokens   bool                 // some want a token
	urls     bool                 // some may look at a URL
	plain    *Table               // those that no custom value matters to
	named    map[string][]private // the others, best first: by exact stream name
	patterns []private            // with a pattern, or without any name
	shadow   []private            // shadow rules that custom values matter to: they are explained
}

// private is a rule that custom values matter to.
type private struct {
	rule   *rule
	public rule // the same without its conditions on custom values
	custom []privateCondition
	token  *Token // nil: none wanted
	when   *when  // nil: none
}

// privateCondition is a condition on a custom field, and how the values it
// wants would have been recorded.
type privateCondition struct {
	customCondition
	recorded []string
}

// NewReview prepares documents, whose keys must differ, as NewTable does.
func NewReview(d Defaults, docs []*Document) *Review {
	r := &Review{table: NewTable(0, d, docs), named: map[string][]private{}}
	plain := make([]*Document, 0, len(docs))
	for _, doc := range docs {
		kept := &Document{key: doc.key}
		for i := range doc.rules {
			switch rule := &doc.rules[i]; {
			case rule.private():
				r.add(newPrivate(rule))
			default:
				kept.rules = append(kept.rules, *rule)
			}
		}
		plain = append(plain, kept)
		if trials := doc.trials(); trials != nil {
			for i := range trials.rules {
				if rule := &trials.rules[i]; rule.private() {
					r.shadow = append(r.shadow, newPrivate(rule))
				}
			}
		}
	}
	r.plain = NewTable(0, d, plain)
	for _, list := range r.named {
		slices.SortFunc(list, private.compare)
	}
	slices.SortFunc(r.patterns, private.compare)
	return r
}

func (p private) compare(other private) int { return p.rule.compare(other.rule) }

// private reports whether a custom value matters to the rule.
func (r *rule) private() bool {
	return r.more != nil && (len(r.more.custom) > 0 || r.more.token != nil || r.more.when != nil)
}

func newPrivate(r *rule) private {
	p := private{rule: r, public: *r}
	more := *r.more
	for _, c := range more.custom {
		condition := privateCondition{customCondition: c}
		for _, value := range c.equal {
			sum := sha256.Sum256([]byte(value))
			condition.recorded = append(condition.recorded, recorded(sum))
		}
		for _, sum := range c.sums {
			condition.recorded = append(condition.recorded, recorded(sum))
		}
		p.custom = append(p.custom, condition)
	}
	p.token, p.when = more.token, more.when
	more.custom, more.token, more.when = nil, nil, nil
	p.public.more = &more
	return p
}

// recorded is how an event shows a value of this sum.
func recorded(sum [sha256.Size]byte) string {
	return redactedPrefix + hex.EncodeToString(sum[:])[:redactedDigits]
}

func (r *Review) add(p private) {
	r.tokens = r.tokens || p.token != nil
	r.urls = r.urls || p.token != nil || p.when != nil
	streams := p.rule.exactNames()
	for _, name := range streams {
		r.named[name] = append(r.named[name], p)
	}
	if len(streams) == 0 || len(p.rule.more.globs) > 0 {
		r.patterns = append(r.patterns, p)
	}
}

// Verdict is what is known of a request that is decided twice.
type Verdict uint8

// The verdicts. The zero value claims nothing.
const (
	Undecidable Verdict = iota // it depends on a redacted value
	Same                       // both let it in, or both refuse it, whatever the redacted values were
	Flips                      // one lets it in and the other refuses it, whatever the redacted values were
)

// Compare decides a recorded request by two sets of rules, at the time it was
// received. Where it is decided by a redacted value, the decisions are those of one
// possible value; the verdict stands for all of them.
func Compare(before, after *Review, in *Input, received time.Time) (was, is Decision, v Verdict) {
	if !before.doubts(in) && !after.doubts(in) {
		was, is = before.table.Decide(in, received), after.table.Decide(in, received)
		return was, is, verdict(was, is)
	}
	var w worlds
	for first := true; w.next(); first = false {
		a, b := before.decide(in, received, &w), after.decide(in, received, &w)
		if first {
			was, is, v = a, b, verdict(a, b)
		} else if verdict(a, b) != v || v == Flips && a.Effect != was.Effect {
			return was, is, Undecidable
		}
	}
	if w.many || w.spent {
		v = Undecidable
	}
	return was, is, v
}

func verdict(was, is Decision) Verdict {
	if was.Effect == is.Effect {
		return Same
	}
	return Flips
}

// doubts reports whether something that rules may ask for was not recorded.
func (r *Review) doubts(in *Input) bool {
	return len(r.named)+len(r.patterns) > 0 && (r.tokens && in.Keys == nil || in.redactedValue() || r.urls && in.redactedURL())
}

// decide is Table.Decide in one of the worlds.
func (r *Review) decide(in *Input, received time.Time, w *worlds) Decision {
	if d, ok := undecided(in); ok {
		return d
	}
	s := search{query: query{in: in, now: received}}
	r.plain.index(in.Call).visit(&s, r.plain.keys)
	for _, list := range [][]private{r.named[in.Name], r.patterns} {
		for i := range list {
			if s.settled(list[i].rule) {
				break
			}
			if list[i].matches(&s.query, w) {
				s.lead(list[i].rule)
				break
			}
		}
	}
	return r.plain.decision(&s)
}

func (p *private) matches(q *query, w *worlds) bool {
	c := newCandidate(&p.public, anyGlob)
	if c.fails(q) != NoCondition {
		return false
	}
	for i := range p.custom {
		if !p.custom[i].holds(q, w) {
			return false
		}
	}
	return (p.token == nil || p.tokenHolds(q, w)) && (p.when == nil || p.whenHolds(q, w))
}

func (c *privateCondition) holds(q *query, w *worlds) bool {
	value := q.in.custom(c.field)
	holds := c.customCondition.holds(q)
	if !Redacted(value) || len(c.recorded) == 0 {
		return holds
	}
	return c.presence != presenceNo && (holds || slices.Contains(c.recorded, value)) && w.holds(question{field: c.field})
}

// tokenHolds checks the token where it was recorded, and everything it vouches for.
func (p *private) tokenHolds(q *query, w *worlds) bool {
	value := q.in.custom(p.token.field)
	if value == "" {
		return false
	}
	if q.in.Keys != nil && !Redacted(value) && !q.in.redactedURL() {
		holds := p.token.holds(q, p.rule.effect)
		w.spent = w.spent || errors.Is(q.why, ErrTokenCost)
		return holds
	}
	if p.token.jwt != nil {
		return w.holds(question{rule: p.rule}) // its claims may differ from other rules'
	}
	return w.holds(question{token: p.token.id})
}

// whenHolds evaluates the expression where nothing was redacted: it may look at
// anything.
func (p *private) whenHolds(q *query, w *worlds) bool {
	if !q.in.Redacted() {
		holds := p.when.holds(q, p.rule.effect)
		w.spent = w.spent || errors.Is(q.why, errCost)
		return holds
	}
	return w.holds(question{expression: p.rule})
}

// Redacted reports whether a part of a recorded request was not recorded: a custom
// value, or something in a URL.
func (in *Input) Redacted() bool { return in.redactedValue() || in.redactedURL() }

// redactedValue reports whether a custom value was not recorded.
func (in *Input) redactedValue() bool {
	return in.Custom != nil && slices.ContainsFunc(in.Custom.List(), func(f subjects.Field) bool { return Redacted(f.Value) })
}

// redactedURL reports whether a part of a URL was not recorded.
func (in *Input) redactedURL() bool {
	return strings.Contains(in.TCURL, redactedPrefix) || strings.Contains(in.PageURL, redactedPrefix) || strings.Contains(in.SWFURL, redactedPrefix)
}

func (in *Input) custom(field string) string {
	if in.Custom == nil {
		return ""
	}
	value, _ := in.Custom.Get(field)
	return value
}

func (in *Input) has(field string) bool {
	if in.Custom == nil {
		return false
	}
	_, ok := in.Custom.Get(field)
	return ok
}

// maxWorlds bounds how many possibilities are looked at for one request.
const maxWorlds = 64

// worlds goes through all that redacted values may have been: each field that a
// rule asks for is once what the rules want, and once not. The zero value stands
// before the first world.
type worlds struct {
	started bool
	many    bool // there are more than maxWorlds
	spent   bool // a request that costs too much is decided by the order in which a table looks at its rules
	seen    int
	asked   []answer // in this world, in the order they came up
	known   int      // how many of asked came up in this world
}

// question is what a world has one answer to.
type question struct {
	field      string   // whether its value is what rules want that its digits fit
	token      [32]byte // whether it is good, by Token.id
	rule       *rule    // whether its token is good
	expression *rule    // whether its expression holds
}

type answer struct {
	question
	holds bool
}

// next begins the next world, and reports false behind the last one.
func (w *worlds) next() bool {
	if !w.started {
		w.started = true
		return true
	}
	w.asked = w.asked[:w.known]
	for len(w.asked) > 0 && w.asked[len(w.asked)-1].holds {
		w.asked = w.asked[:len(w.asked)-1]
	}
	if len(w.asked) == 0 {
		return false
	}
	w.asked[len(w.asked)-1].holds = true
	w.known = 0
	w.seen++
	w.many = w.seen >= maxWorlds
	return !w.many
}

// holds answers a question: in one world always the same.
func (w *worlds) holds(q question) bool {
	for i := range w.asked {
		if w.asked[i].question == q {
			w.known = max(w.known, i+1)
			return w.asked[i].holds
		}
	}
	w.asked = append(w.asked, answer{question: q})
	w.known = len(w.asked)
	return false
}
