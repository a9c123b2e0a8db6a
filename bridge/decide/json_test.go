package decide

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// The reader of our own is held to encoding/json: it takes the same texts but
// for broken characters, and reads the same values from them.
func FuzzTree(f *testing.F) {
	for _, text := range []string{
		``, ` `, `{}`, "\t[ ]\r\n", `null`, `true`, `false`, `nul`, `tru`, `falsee`, `"`, `"a`, `"\`, `"\u`, `"\u12`, `"\x"`, `"\v"`, `"\0"`, "\"\x1f\"", "\"\x7f\"",
		`0`, `-0`, `01`, `-`, `+1`, `.5`, `1.`, `1.5`, `1e`, `1e5`, `1E+05`, `1e-`, `1e400`, `9223372036854775808`, `0x1`, `1_0`, `NaN`,
		`{"a":1,"b":[1,2,{"c":[]}],"a":"again"}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{a:1}`, `{"a":1 "b":2}`, `{1:2}`, `[1,]`, `[,1]`, `[1 2]`, `[1`, `{"a":1`, `]`, `}`,
		`"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"`, `"\ud83d"`, `"\ude00"`, `"\ud83dx"`, `"\ud83d\n"`, `"\ud83d\ud83d"`, `"\ud83d\u0041"`, `"\uD83D\uDE00"`, `"\\ud83d"`,
		"\"\xff\"", "\"\xc3\"", "\"\xed\xa0\x80\"", "\xff", "\xef\xbb\xbf{}", "\v1", "\u00a01", `1 2`, `{}{}`, `[]/**/`,
		"[" + strings.Repeat(`{"k":[0,"v"]},`, 100) + "1]",
		strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth), strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1),
		strings.Repeat(`{"a":`, maxDepth) + "{}" + strings.Repeat("}", maxDepth), strings.Repeat("[", 200_000),
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var tree tree
		ok := tree.read(string(data))
		if want := json.Valid(data) && utf8.Valid(data) && !halfCharacter(data); ok != want {
			t.Fatalf("took %q: %v, want %v", data, ok, want)
		}
		if !ok {
			if whyNoJSON(string(data)).Error() == "no JSON" {
				t.Errorf("no word on what is wrong with %q", data)
			}
			return
		}
		if int(tree.used) > len(tree.few)+len(tree.many) || tree.span(0).next != tree.used {
			t.Errorf("%d values, the first ends at %d", tree.used, tree.span(0).next)
		}
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		var want any
		if err := decoder.Decode(&want); err != nil {
			t.Fatal(err)
		}
		if got := rebuild(&tree, 0); !reflect.DeepEqual(got, want) {
			t.Errorf("read %q as %v, want %v", data, got, want)
		}
		checkPaths(t, &tree, 0, "")
	})
}

// replacement is U+FFFD itself, and what its escape could be taken for.
var replacement = regexp.MustCompile(`(?i)\\\\|\\ufffd|\x{fffd}`)

// halfCharacter reports whether a text has an escape that encoding/json cannot
// read: it makes U+FFFD of it, which is put aside where it really stands.
func halfCharacter(data []byte) bool {
	decoder := json.NewDecoder(bytes.NewReader(replacement.ReplaceAll(data, []byte("x"))))
	decoder.UseNumber()
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			return false
		}
		if err != nil {
			return false // not JSON at all
		}
		if text, ok := token.(string); ok && strings.ContainsRune(text, utf8.RuneError) {
			return true
		}
	}
}

// rebuild makes of a value what encoding/json does.
func rebuild(t *tree, v value) any {
	switch n := t.span(v); n.kind {
	case kindNull:
		return nil
	case kindBool:
		return t.raw(v) == "true"
	case kindNumber:
		return json.Number(t.raw(v))
	case kindString:
		text, _ := t.string(v)
		return text
	case kindList:
		list := []any{}
		for _, v := range t.elements(v) {
			list = append(list, rebuild(t, v))
		}
		return list
	}
	object := map[string]any{}
	for name, v := range t.members(v) {
		key, _ := t.string(name)
		object[key] = rebuild(t, v)
	}
	return object
}

// checkPaths walks down the first levels and asks for the path of each value.
func checkPaths(t *testing.T, tree *tree, v value, path string) {
	t.Helper()
	if got := tree.path(0, v); got != path {
		t.Errorf("value %d of %q is at %q, want %q", v, tree.text, got, path)
	}
	if v > 50 {
		return
	}
	if tree.is(v, kindObject) {
		for name, inner := range tree.members(v) {
			key, _ := tree.string(name)
			checkPaths(t, tree, inner, join(path, key))
		}
	}
	if tree.is(v, kindList) {
		for i, inner := range tree.elements(v) {
			checkPaths(t, tree, inner, path+"["+strconv.Itoa(i)+"]")
		}
	}
}
