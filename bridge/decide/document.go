package decide

import (
	"fmt"
	"strconv"
	"strings"

	"bintubridge/subjects"
)

// MaxDocument is the largest document Compile reads, in bytes. It is the
// largest message a NATS server takes by default.
const MaxDocument = 1 << 20

// Document is one compiled rule document. It is immutable and may be part of
// any number of tables. It keeps a copy of its text, for the texts of its rules
// are parts of it.
type Document struct {
	key    string
	source string
	rules  []rule
	shadow *Document // its shadow rules, which are not among rules; nil: none
}

// Key returns the key the document was compiled for.
func (d *Document) Key() string { return d.key }

// Source returns the text the document was compiled from, byte for byte. It is
// the document's own copy: who keeps the document need not keep another.
func (d *Document) Source() string { return d.source }

// Rules returns how many rules the document has. None is valid.
func (d *Document) Rules() int {
	n := len(d.rules)
	if d.shadow != nil {
		n += len(d.shadow.rules)
	}
	return n
}

// Compile reads the rule document stored under key. A document is good as a
// whole or not at all: the error joins a *RuleError for each mistake, the first
// 20 in full. Data is copied.
func Compile(key string, data []byte) (*Document, error) {
	c := compiler{mistakes: mistakes{document: key}}
	if len(data) > MaxDocument {
		c.add(RuleError{
			Value: fmt.Sprintf("%d bytes", len(data)),
			Want:  fmt.Sprintf("at most %d bytes; split the document into several keys", MaxDocument),
		})
		return nil, c.err()
	}
	doc := c.document(string(data))
	if err := c.err(); err != nil {
		return nil, err
	}
	doc.key, doc.source = key, c.text
	if len(doc.rules) > 0 {
		doc.key = doc.rules[0].name[:len(key)] // one text less to keep
	}
	if c.hasShadow {
		doc.rules, doc.shadow = splitShadow(doc.key, doc.rules)
	}
	return doc, nil
}

// single is a document of one rule. It is one object, for the garbage collector
// looks at each of a million.
type single struct {
	Document
	one [1]rule
}

// newDocument returns a document with room for n rules.
func newDocument(n int) *Document {
	if n == 1 {
		d := new(single)
		d.rules = d.one[:]
		return &d.Document
	}
	return &Document{rules: make([]rule, n)}
}

// compiler reads one document.
type compiler struct {
	tree
	mistakes
	ids firsts

	// The rule being read; 0 is the document itself.
	base     value
	position int    // 1-based
	id       string // "" when it has none

	hasShadow bool // a rule of the document is a shadow rule
	whens     int  // bytes of expressions so far
}

// refuse adds a mistake: the value is not what is wanted.
func (c *compiler) refuse(v value, want string) { c.refuseAs(v, c.show(v), want) }

// refuseAs is refuse for a mistake that showing the value would not tell.
func (c *compiler) refuseAs(v value, got, want string) {
	if len(c.list) == maxMistakes {
		c.more++ // finding the path takes longer the larger the document is
		return
	}
	c.add(RuleError{Rule: c.ruleLabel(), Field: c.path(c.base, v), Value: got, Want: want})
}

// ruleLabel is how errors name the rule being read.
func (c *compiler) ruleLabel() string {
	if c.base == 0 {
		return ""
	}
	return string(appendLabel(nil, c.id, c.position))
}

func appendLabel(b []byte, id string, position int) []byte {
	if id != "" {
		return append(b, id...)
	}
	return strconv.AppendInt(append(b, '#'), int64(position), 10)
}

const wantDocument = `one JSON object as {"rules":[…]}`

func (c *compiler) document(text string) *Document {
	if !c.read(text) {
		c.add(RuleError{Value: whyNoJSON(c.text).Error(), Want: wantDocument})
		return nil
	}
	if !c.is(0, kindObject) {
		c.refuse(0, wantDocument)
		return nil
	}
	c.once(0)
	var list value
	for name, v := range c.members(0) {
		if key, _ := c.string(name); key == "rules" {
			list = v
		} else {
			c.unknown(key, v, "rules")
		}
	}
	return c.rules(list)
}

// rules reads the list of rules; 0 is none.
func (c *compiler) rules(list value) *Document {
	const want = `a list of rules; "rules":[] for none`
	if list == 0 {
		c.add(RuleError{Field: "rules", Want: want})
		return nil
	}
	if !c.is(list, kindList) {
		c.refuse(list, want)
		return nil
	}
	doc := newDocument(c.count(list))
	for i, v := range c.elements(list) {
		c.base, c.position, c.id = v, i+1, ""
		c.rule(&doc.rules[i], v)
	}
	return doc
}

const ruleFields = "id, effect, calls, priority, name, app, addr, custom, token, when, not_before, expires_at, shadow, reason"

// rule reads one rule. What it makes of it is only meaningful when no mistake
// was added.
func (c *compiler) rule(r *rule, object value) {
	if !c.is(object, kindObject) {
		c.refuse(object, `an object as {"id":"…","effect":"allow",…}`)
		return
	}
	c.once(object)
	for name, v := range c.members(object) {
		if key, _ := c.string(name); key == "id" {
			c.readID(v)
		}
	}
	r.name = c.ruleName()
	r.calls = 1<<subjects.Publish | 1<<subjects.Play
	var more conditions
	var effect, expires value
	for name, v := range c.members(object) {
		key, _ := c.string(name)
		switch key {
		case "effect":
			effect = v
		case "expires_at":
			expires = v
		}
		c.field(r, &more, key, v)
	}
	if effect == 0 {
		c.add(RuleError{Rule: c.ruleLabel(), Field: "effect", Want: wantEffect})
	}
	if !more.notBefore.IsZero() && !more.expiresAt.IsZero() && !more.notBefore.Before(more.expiresAt) {
		c.refuseAs(expires, "a time not after not_before", "a later time than not_before, else the rule never applies")
	}
	r.pack(&more)
}

// ruleName is what decisions call the rule being read: "<document>/<id>".
func (c *compiler) ruleName() string {
	var few [96]byte
	return string(appendLabel(append(append(few[:0], c.mistakes.document...), '/'), c.id, c.position))
}

// field reads one member into the rule or its conditions.
func (c *compiler) field(r *rule, more *conditions, key string, v value) {
	switch key {
	case "id": // read before, for it names the rule in errors
	case "effect":
		r.effect = c.effect(v)
	case "calls":
		r.calls = c.calls(v)
	case "priority":
		r.priority = c.priority(v)
	case "name":
		more.streams, more.globs = c.names(v)
	case "app":
		more.apps = c.apps(v)
	case "addr":
		more.networks = c.networks(v)
	case "custom":
		more.custom = c.custom(v)
	case "not_before":
		more.notBefore = c.time(v)
	case "expires_at":
		more.expiresAt = c.time(v)
	case "reason":
		more.reason = c.reason(v)
	case "shadow":
		r.shadow, _ = c.boolean(v)
		c.hasShadow = c.hasShadow || r.shadow
	case "token":
		more.token = c.token(v)
	case "when":
		more.when = c.when(v)
	default:
		c.unknown(key, v, ruleFields)
	}
}

// once adds a mistake for each name of an object that came before.
func (c *compiler) once(object value) {
	var names firsts
	for name, v := range c.members(object) {
		key, _ := c.string(name)
		if _, again := names.add(key, 0); again {
			c.refuseAs(v, "it more than once", "it once")
		}
	}
}

// unknown adds a mistake for a member that is not among known, a list joined by
// ", ".
func (c *compiler) unknown(key string, v value, known string) {
	want := "a field of this version: " + known
	for name := range strings.SplitSeq(known, ", ") {
		if strings.EqualFold(name, key) {
			want = quote(name) + ", in lower case"
		}
	}
	c.refuseAs(v, "an unknown field", want)
}

// join returns the path of a member: custom.team, or custom["a b"] when the key
// is not plain.
func join(path, key string) string {
	switch {
	case path == "":
		return key
	case isID(key):
		return path + "." + key
	}
	return path + "[" + quote(key) + "]"
}

// isID reports whether text is 1 to 64 characters of A-Z a-z 0-9 . _ -
func isID(text string) bool {
	const others = "._-"
	for i := range len(text) {
		b := text[i]
		if (b < '0' || b > '9') && (b < 'A' || b > 'Z') && (b < 'a' || b > 'z') && strings.IndexByte(others, b) < 0 {
			return false
		}
	}
	return len(text) >= 1 && len(text) <= 64
}

// readID reads the id of the rule being read, which names it in the mistakes to
// come.
func (c *compiler) readID(v value) {
	text, ok := c.string(v)
	if !ok || !isID(text) {
		c.refuse(v, "1 to 64 characters of A-Z a-z 0-9 . _ -")
		return
	}
	if first, again := c.ids.add(text, c.position); again {
		c.refuse(v, fmt.Sprintf("an id of its own: rule #%d has this one", first))
		return
	}
	c.id = text
}

// firsts finds texts that came before. The few of a good document are compared
// one by one; the map keeps a hostile one cheap.
type firsts struct {
	few  [16]first
	used int
	many map[string]int
}

type first struct {
	text  string
	place int
}

// add returns the place of the first text that is the same, if there was one.
func (f *firsts) add(text string, place int) (firstPlace int, again bool) {
	for i := range f.used {
		if f.few[i].text == text {
			return f.few[i].place, true
		}
	}
	if f.used < len(f.few) {
		f.few[f.used] = first{text, place}
		f.used++
		return 0, false
	}
	if firstPlace, again = f.many[text]; again {
		return firstPlace, true
	}
	if f.many == nil {
		f.many = make(map[string]int)
	}
	f.many[text] = place
	return 0, false
}
