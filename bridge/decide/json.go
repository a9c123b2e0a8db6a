package decide

import (
	"encoding/json"
	"iter"
	"strconv"
	"strings"
	"unicode/utf8"
)

// encoding/json into structs is too lenient for rules: it takes "Effect" for
// "effect", the last of two equal keys, and changes broken text silently. It is
// also too slow to start with a million documents. Here the whole text is read
// once into a tree, and objects are walked member by member.

// kind is the type of a JSON value.
type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindNumber
	kindString
	kindList
	kindObject
)

// tree is a JSON text and its values, in the order of the text: behind an object
// stand its names and values in turn, behind a list its elements.
type tree struct {
	text string
	few  [64]span // enough for a document of one rule; no memory of its own
	many []span   // those behind few
	used value    // how many there are
}

// span is where one value stands, or the name of a member.
type span struct {
	start, end int32 // in the text, with the quotes or brackets
	next       value // the first value behind this one and all inside it
	kind       kind
	escaped    bool // a string that is not what stands between its quotes
}

// value is a value's place in its tree. 0 is the whole text.
type value int32

func (t *tree) span(v value) *span {
	if int(v) < len(t.few) {
		return &t.few[v]
	}
	return &t.many[int(v)-len(t.few)]
}

func (t *tree) is(v value, k kind) bool { return t.span(v).kind == k }
func (t *tree) raw(v value) string      { n := t.span(v); return t.text[n.start:n.end] }
func (t *tree) empty(v value) bool      { return t.span(v).next == v+1 }

// members walks the names and values of an object as they stand, repeated names
// too.
func (t *tree) members(object value) iter.Seq2[value, value] {
	return func(yield func(name, v value) bool) {
		for name := object + 1; name < t.span(object).next; name = t.span(name + 1).next {
			if !yield(name, name+1) {
				return
			}
		}
	}
}

// count returns how many elements a list has.
func (t *tree) count(list value) int {
	n := 0
	for range t.elements(list) {
		n++
	}
	return n
}

// elements walks a list, with positions from 0.
func (t *tree) elements(list value) iter.Seq2[int, value] {
	return func(yield func(i int, v value) bool) {
		i := 0
		for v := list + 1; v < t.span(list).next; v = t.span(v).next {
			if !yield(i, v) {
				return
			}
			i++
		}
	}
}

// string returns the text of a string, and false for any other kind. It is a
// part of the tree's text unless it has escapes.
func (t *tree) string(v value) (string, bool) {
	n := t.span(v)
	if n.kind != kindString {
		return "", false
	}
	if !n.escaped {
		return t.text[n.start+1 : n.end-1], true
	}
	var text string
	err := json.Unmarshal([]byte(t.raw(v)), &text)
	return text, err == nil
}

// show returns a value as an error may print it: a string quoted and cut, a
// number or word as it stands, lists and objects by their kind.
func (t *tree) show(v value) string {
	switch t.span(v).kind {
	case kindString:
		text, _ := t.string(v)
		return quote(text)
	case kindList:
		if t.empty(v) {
			return "an empty list"
		}
		return "a list"
	case kindObject:
		if t.empty(v) {
			return "an empty object"
		}
		return "an object"
	}
	raw := t.raw(v)
	if len(raw) > maxShown {
		return raw[:maxShown] + "…"
	}
	return raw
}

// path returns where a value stands inside another: custom.team[0].
func (t *tree) path(from, to value) string {
	path := ""
	for from != to {
		from, path = t.step(from, to, path)
	}
	return path
}

// step goes one level down from a list or object, to what holds the value to.
func (t *tree) step(from, to value, path string) (value, string) {
	if t.is(from, kindObject) {
		for name, v := range t.members(from) {
			if to < t.span(v).next {
				text, _ := t.string(name)
				return v, join(path, text)
			}
		}
	}
	for i, v := range t.elements(from) {
		if to < t.span(v).next {
			return v, path + "[" + strconv.Itoa(i) + "]"
		}
	}
	return to, path
}

// maxDepth bounds how deep lists and objects may nest, as encoding/json does.
const maxDepth = 10_000

// read reads the tree of exactly one JSON value in clean UTF-8 (RFC 8259), and
// reports whether the text is that; whyNoJSON tells what is wrong. Half a
// surrogate pair is: it has no meaning.
func (t *tree) read(text string) bool {
	t.text = text
	// Each value but the first stands behind one of these bytes.
	most := 1 + strings.Count(text, ",") + strings.Count(text, ":") + strings.Count(text, "[") + strings.Count(text, "{")
	if most > len(t.few) {
		t.many = make([]span, most-len(t.few))
	}
	end, ok := t.scanValue(skipSpace(text, 0), 0)
	return ok && skipSpace(text, end) == len(text) && utf8.ValidString(text)
}

// scanValue reads the value that starts at an offset and returns where it ends.
func (t *tree) scanValue(at, depth int) (end int, ok bool) {
	if at == len(t.text) {
		return at, false
	}
	v := t.used
	t.used++
	k, escaped := kindNumber, false
	switch t.text[at] {
	case '"':
		k = kindString
		end, escaped, ok = scanString(t.text, at)
	case '{':
		k = kindObject
		end, ok = t.scanObject(at, depth+1)
	case '[':
		k = kindList
		end, ok = t.scanList(at, depth+1)
	case 't':
		k = kindBool
		end, ok = scanWord(t.text, at, "true")
	case 'f':
		k = kindBool
		end, ok = scanWord(t.text, at, "false")
	case 'n':
		k = kindNull
		end, ok = scanWord(t.text, at, "null")
	default:
		end, ok = scanNumber(t.text, at)
	}
	*t.span(v) = span{start: int32(at), end: int32(end), next: t.used, kind: k, escaped: escaped}
	return end, ok
}

func (t *tree) scanObject(at, depth int) (end int, ok bool) {
	if depth > maxDepth {
		return at, false
	}
	at = skipSpace(t.text, at+1)
	if has(t.text, at, '}') {
		return at + 1, true
	}
	for has(t.text, at, '"') {
		if at, ok = t.scanValue(at, depth); !ok {
			return at, false
		}
		if at = skipSpace(t.text, at); !has(t.text, at, ':') {
			return at, false
		}
		if at, ok = t.scanValue(skipSpace(t.text, at+1), depth); !ok {
			return at, false
		}
		at = skipSpace(t.text, at)
		if has(t.text, at, '}') {
			return at + 1, true
		}
		if !has(t.text, at, ',') {
			return at, false
		}
		at = skipSpace(t.text, at+1)
	}
	return at, false
}

func (t *tree) scanList(at, depth int) (end int, ok bool) {
	if depth > maxDepth {
		return at, false
	}
	at = skipSpace(t.text, at+1)
	if has(t.text, at, ']') {
		return at + 1, true
	}
	for {
		if at, ok = t.scanValue(at, depth); !ok {
			return at, false
		}
		at = skipSpace(t.text, at)
		if has(t.text, at, ']') {
			return at + 1, true
		}
		if !has(t.text, at, ',') {
			return at, false
		}
		at = skipSpace(t.text, at+1)
	}
}

// has reports whether b stands at an offset, which may be the text's end.
func has(text string, at int, b byte) bool { return at < len(text) && text[at] == b }

func skipSpace(text string, at int) int {
	for at < len(text) && (text[at] == ' ' || text[at] == '\n' || text[at] == '\t' || text[at] == '\r') {
		at++
	}
	return at
}

func scanWord(text string, at int, word string) (end int, ok bool) {
	end = at + len(word)
	return end, end <= len(text) && text[at:end] == word
}

func scanNumber(text string, at int) (end int, ok bool) {
	if has(text, at, '-') {
		at++
	}
	if has(text, at, '0') {
		at++
	} else if at, ok = scanDigits(text, at); !ok {
		return at, false
	}
	if has(text, at, '.') {
		if at, ok = scanDigits(text, at+1); !ok {
			return at, false
		}
	}
	if has(text, at, 'e') || has(text, at, 'E') {
		at++
		if has(text, at, '+') || has(text, at, '-') {
			at++
		}
		if at, ok = scanDigits(text, at); !ok {
			return at, false
		}
	}
	return at, true
}

// scanDigits wants at least one digit.
func scanDigits(text string, at int) (end int, ok bool) {
	end = at
	for end < len(text) && '0' <= text[end] && text[end] <= '9' {
		end++
	}
	return end, end > at
}

// scanString reads a string from its opening quote on.
func scanString(text string, at int) (end int, escaped, ok bool) {
	for at++; at < len(text); at++ {
		switch b := text[at]; {
		case b == '"':
			return at + 1, escaped, true
		case b < ' ':
			return at, escaped, false
		case b == '\\':
			escaped = true
			size := escapeSize(text[at:])
			if size == 0 {
				return at, escaped, false
			}
			at += size - 1
		}
	}
	return at, escaped, false
}

// escapeSize returns the length of the escape that text starts with, of both
// halves of a pair together, or 0 when it is none.
func escapeSize(text string) int {
	if len(text) < 2 {
		return 0
	}
	switch text[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	}
	unit, ok := escapedUnit(text)
	switch {
	case !ok:
		return 0
	case unit < 0xD800 || unit > 0xDFFF:
		return 6
	}
	low, ok := escapedUnit(text[6:])
	if unit > 0xDBFF || !ok || low < 0xDC00 || low > 0xDFFF {
		return 0
	}
	return 12
}

// escapedUnit reads the \uXXXX that text starts with, if it does.
func escapedUnit(text string) (uint64, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(text[2:6], 16, 32)
	return unit, err == nil
}
