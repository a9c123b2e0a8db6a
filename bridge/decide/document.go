package decide

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"bintubridge/subjects"
)

// MaxDocument is the largest document Compile reads, in bytes. It is the
// largest message a NATS server takes by default.
const MaxDocument = 1 << 20

// Document is one compiled rule document. It is immutable and may be part of
// any number of tables.
type Document struct {
	key   string
	rules []rule
}

// Key returns the key the document was compiled for.
func (d *Document) Key() string { return d.key }

// Rules returns how many rules the document has. None is valid.
func (d *Document) Rules() int { return len(d.rules) }

// Compile reads the rule document stored under key. A document is good as a
// whole or not at all: the error joins a *RuleError for each mistake, the first
// 20 in full. Data is not kept.
func Compile(key string, data []byte) (*Document, error) {
	c := compiler{mistakes: mistakes{document: key}}
	rules := c.document(data)
	if err := c.err(); err != nil {
		return nil, err
	}
	return &Document{key: key, rules: rules}, nil
}

// compiler reads one document.
type compiler struct {
	mistakes
	ids map[string]int // rule id -> 1-based position
}

const wantDocument = `one JSON object as {"rules":[…]}`

func (c *compiler) document(data []byte) []rule {
	if len(data) > MaxDocument {
		c.add("", fmt.Sprintf("%d bytes", len(data)), fmt.Sprintf("at most %d bytes; split the document into several keys", MaxDocument))
		return nil
	}
	raw, err := readJSON(data)
	if err != nil {
		c.add("", err.Error(), wantDocument)
		return nil
	}
	if kindOf(raw) != kindObject {
		c.add("", show(raw), wantDocument)
		return nil
	}
	var list json.RawMessage
	for _, m := range c.members("", raw) {
		if m.key == "rules" {
			list = m.value
		} else {
			c.unknown("", m.key, "rules")
		}
	}
	return c.rules(list)
}

func (c *compiler) rules(list json.RawMessage) []rule {
	const want = `a list of rules; "rules":[] for none`
	if list == nil {
		c.add("rules", "", want)
		return nil
	}
	if kindOf(list) != kindList {
		c.add("rules", show(list), want)
		return nil
	}
	elements, err := elementsOf(list)
	if err != nil {
		c.add("rules", err.Error(), want)
		return nil
	}
	c.ids = make(map[string]int, len(elements))
	rules := make([]rule, len(elements))
	for i, element := range elements {
		rules[i] = c.rule(element, i+1)
	}
	return rules
}

const ruleFields = "id, effect, calls, priority, name, app, addr, custom, not_before, expires_at, shadow, reason"

// rule reads the rule at a 1-based position. What it returns is only meaningful
// when no mistake was added.
func (c *compiler) rule(raw json.RawMessage, position int) rule {
	c.mistakes.rule = "#" + strconv.Itoa(position)
	defer func() { c.mistakes.rule = "" }()
	if kindOf(raw) != kindObject {
		c.add("", show(raw), `an object as {"id":"…","effect":"allow",…}`)
		return rule{}
	}
	members := c.members("", raw)
	for _, m := range members {
		if m.key == "id" {
			c.id(m.value, position)
		}
	}
	r := rule{
		name:  c.mistakes.document + "/" + c.mistakes.rule,
		calls: 1<<subjects.Publish | 1<<subjects.Play,
	}
	hasEffect := false
	var more conditions
	for _, m := range members {
		hasEffect = hasEffect || m.key == "effect"
		c.field(&r, &more, m)
	}
	if !hasEffect {
		c.add("effect", "", wantEffect)
	}
	if !more.notBefore.IsZero() && !more.expiresAt.IsZero() && !more.notBefore.Before(more.expiresAt) {
		c.add("expires_at", "a time not after not_before", "a later time than not_before, else the rule never applies")
	}
	r.pack(&more)
	return r
}

// field reads one member into the rule or its conditions.
func (c *compiler) field(r *rule, more *conditions, m member) {
	switch m.key {
	case "id": // read before, for it names the rule in errors
	case "effect":
		r.effect = c.effect(m.value)
	case "calls":
		r.calls = c.calls(m.value)
	case "priority":
		r.priority = c.priority(m.value)
	case "name":
		more.streams, more.globs = c.names(m.value)
	case "app":
		more.apps = c.apps(m.value)
	case "addr":
		more.networks = c.networks(m.value)
	case "custom":
		more.custom = c.custom(m.value)
	case "not_before":
		more.notBefore = c.time(m)
	case "expires_at":
		more.expiresAt = c.time(m)
	case "reason":
		more.reason = c.reason(m.value)
	case "shadow":
		if string(m.value) != "false" {
			c.notEvaluated(m)
		}
	case "token", "when":
		c.notEvaluated(m)
	default:
		c.unknown("", m.key, ruleFields)
	}
}

// notEvaluated refuses a field of the contract that is not built yet. Leaving it
// unread would make an allow rule weaker than it reads.
func (c *compiler) notEvaluated(m member) {
	c.add(m.key, show(m.value), "the field left out: this version does not evaluate "+m.key+
		" yet, and the document is refused so that nothing is silently weaker")
}

// members returns the members of an object and adds a mistake for each repeated
// key.
func (c *compiler) members(path string, raw json.RawMessage) []member {
	list, err := membersOf(raw)
	if err != nil {
		c.add(path, err.Error(), "an object")
		return nil
	}
	seen := make(map[string]bool, len(list))
	for _, m := range list {
		if seen[m.key] {
			c.add(join(path, m.key), "it more than once", "it once")
		}
		seen[m.key] = true
	}
	return list
}

// unknown adds a mistake for a field that is not among known, a list joined by
// ", ".
func (c *compiler) unknown(path, key, known string) {
	want := "a field of this version: " + known
	for name := range strings.SplitSeq(known, ", ") {
		if strings.EqualFold(name, key) {
			want = quote(name) + ", in lower case"
		}
	}
	c.add(join(path, key), "an unknown field", want)
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

// id reads the rule's id and makes it the rule's name for the mistakes to come.
func (c *compiler) id(raw json.RawMessage, position int) {
	text, ok := textOf(raw)
	if !ok || !isID(text) {
		c.add("id", show(raw), "1 to 64 characters of A-Z a-z 0-9 . _ -")
		return
	}
	if first, taken := c.ids[text]; taken {
		c.add("id", show(raw), fmt.Sprintf("an id of its own: rule #%d has this one", first))
		return
	}
	c.ids[text] = position
	c.mistakes.rule = text
}
