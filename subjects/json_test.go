package subjects_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"bintubridge/subjects"

	"pgregory.net/rapid"
)

// clean is text as decoded fields show it: one U+FFFD a byte that is no UTF-8.
func clean(text string) string { return string([]rune(text)) }

// wantObject is what an event must decode to, built the slow way.
func wantObject(e *subjects.Event) map[string]any {
	want := map[string]any{
		"id": e.ID, "received_at": e.ReceivedAt.UTC().Format("2006-01-02T15:04:05.000000Z"),
		"bridge": clean(e.Bridge), "call": clean(e.Call), "name": clean(e.Name), "app": clean(e.App),
		"addr": clean(e.Addr), "clientid": clean(e.ClientID), "custom": wantFields(&e.Custom),
	}
	for key, text := range map[string]string{
		"type": e.Type, "flashver": e.FlashVer, "swfurl": e.SWFURL, "tcurl": e.TCURL, "pageurl": e.PageURL,
		"recorder": e.Recorder, "path": e.Path,
	} {
		if text != "" {
			want[key] = clean(text)
		}
	}
	for key, n := range map[string]subjects.Number{
		"bytes_in": e.BytesIn, "bytes_out": e.BytesOut, "time": e.Time, "timestamp": e.Timestamp,
		"start": e.Start, "duration": e.Duration, "reset": e.Reset, "epoch": e.Epoch,
	} {
		if n != "" {
			want[key] = wantNumber(string(n))
		}
	}
	if d := e.Decision; d != nil {
		want["decision"] = map[string]any{
			"effect": d.Effect, "rule": clean(d.Rule), "reason": clean(d.Reason),
			"revision": json.Number(fmt.Sprint(d.Revision)), "rules_age_ms": json.Number(fmt.Sprint(d.RulesAgeMS)),
		}
	}
	if len(e.Shadow) > 0 {
		var list []any
		for _, s := range e.Shadow {
			list = append(list, map[string]any{"rule": clean(s.Rule), "effect": s.Effect})
		}
		want["shadow"] = list
	}
	if e.Extra.Len() > 0 {
		want["extra"] = wantFields(&e.Extra)
	}
	if e.Raw != "" {
		var raw strings.Builder
		for i, r := range e.Raw {
			if r == utf8.RuneError && !strings.HasPrefix(e.Raw[i:], "\uFFFD") {
				fmt.Fprintf(&raw, "%%%02X", e.Raw[i])
			} else {
				raw.WriteRune(r)
			}
		}
		want["raw"] = raw.String()
	}
	return want
}

func wantFields(f *subjects.Fields) map[string]any {
	want := map[string]any{}
	for _, field := range slices.Backward(f.List()) { // the first of those that read the same counts
		if !utf8.ValidString(field.Key) {
			want[clean(field.Key)] = clean(field.Value)
		}
	}
	for _, field := range f.List() {
		if utf8.ValidString(field.Key) {
			want[field.Key] = clean(field.Value)
		}
	}
	return want
}

// wantNumber asks package big: a number is what prints as it was spelled and
// fits 64 bits.
func wantNumber(text string) any {
	n, ok := new(big.Int).SetString(text, 10)
	if ok && n.IsInt64() && n.String() == text {
		return json.Number(text)
	}
	return clean(text)
}

func decodeAny(data []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("text behind the event: %w", err)
	}
	return v, nil
}

// noRepeatedKey fails when an object anywhere in data has a key twice.
func noRepeatedKey(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	type object struct {
		keys  map[string]bool // nil in an array
		value bool            // a value comes next, no key
	}
	var stack []object
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if token == json.Delim('}') || token == json.Delim(']') {
			stack = stack[:len(stack)-1]
			continue
		}
		if n := len(stack); n > 0 && stack[n-1].keys != nil {
			top := &stack[n-1]
			if !top.value {
				key := token.(string)
				if top.keys[key] {
					return fmt.Errorf("the key %q is there twice", key)
				}
				top.keys[key], top.value = true, true
				continue
			}
			top.value = false
		}
		switch token {
		case json.Delim('{'):
			stack = append(stack, object{keys: map[string]bool{}})
		case json.Delim('['):
			stack = append(stack, object{})
		}
	}
}

func checkJSON(t interface{ Fatalf(string, ...any) }, e *subjects.Event) []byte {
	data := e.AppendJSON(nil)
	if !json.Valid(data) || !utf8.Valid(data) {
		t.Fatalf("no JSON in UTF-8: %q", data)
	}
	if bytes.ContainsAny(data, "<>&\u2028\u2029") || bytes.IndexFunc(data, func(r rune) bool { return r < ' ' }) >= 0 {
		t.Fatalf("unescaped: %q", data)
	}
	if err := noRepeatedKey(data); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	return data
}

func TestAppendJSONAgainstEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := genEvent(anyBytes()).Draw(t, "event")
		got, err := decodeAny(checkJSON(t, &e))
		if err != nil {
			t.Fatal(err)
		}
		if want := wantObject(&e); !reflect.DeepEqual(got, any(want)) {
			t.Fatalf("got  %v\nwant %v", got, want)
		}
	})
}

// Text is escaped exactly as encoding/json does it.
func TestStringsAreWrittenAsByEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := subjects.Event{Name: clean(rapid.OneOf(anyBytes(), rapid.String()).Draw(t, "name"))}
		name, err := json.Marshal(e.Name)
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf(`,"name":%s,"app":""`, name)
		if got := string(e.AppendJSON(nil)); !strings.Contains(got, want) {
			t.Fatalf("got %s, want it to contain %s", got, want)
		}
	})
}

// A form decoder reads the same from raw as from the body that was sent.
func TestRawReadsAsTheBody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := anyBytes().Draw(t, "body")
		e := subjects.Event{Raw: body}
		decoded, err := subjects.DecodeEvent(e.AppendJSON(nil))
		if err != nil {
			t.Fatal(err)
		}
		got, gotErr := url.QueryUnescape(decoded.Raw)
		want, wantErr := url.QueryUnescape(body)
		if got != want || (gotErr == nil) != (wantErr == nil) {
			t.Fatalf("raw %q reads as %q, %v; the body %q as %q, %v", decoded.Raw, got, gotErr, body, want, wantErr)
		}
	})
}

func TestNumbers(t *testing.T) {
	for _, text := range numberEdges() {
		if text == "" {
			continue
		}
		want := `"` + text + `"`
		if _, ok := wantNumber(text).(json.Number); ok {
			want = text
		}
		data, err := subjects.Number(text).MarshalJSON()
		if err != nil || string(data) != want {
			t.Errorf("%q is written %s, %v, want %s", text, data, err, want)
		}
		var back subjects.Number
		if err := json.Unmarshal(data, &back); err != nil || string(back) != text {
			t.Errorf("%s reads as %q, %v", data, back, err)
		}
		if _, err := back.Int64(); err != nil && want == text {
			t.Errorf("%s is a JSON number, but no int64: %v", data, err)
		}
	}
	for data, want := range map[string]subjects.Number{`null`: "", `"1.5"`: "1.5", `1.5`: "1.5", `1e3`: "1e3", `""`: ""} {
		got := subjects.Number("old")
		if err := json.Unmarshal([]byte(data), &got); err != nil || got != want {
			t.Errorf("%s reads as %q, %v, want %q", data, got, err, want)
		}
	}
	for _, data := range []string{`true`, `{}`, `[1]`, `"`, ``, `01`} {
		var n subjects.Number
		if err := n.UnmarshalJSON([]byte(data)); err == nil {
			t.Errorf("%s reads as %q, want an error", data, n)
		}
	}
	if _, err := subjects.Number("").Int64(); err == nil {
		t.Error("an absent number reads as an integer")
	}
	if n, err := subjects.Number("-42").Int64(); err != nil || n != -42 {
		t.Errorf("-42 reads as %d, %v", n, err)
	}
}

func FuzzAppendJSON(f *testing.F) {
	f.Add("n", "a", "k", "v", "k2", "1", "raw")
	f.Add("\xff", "<>&", "\xff", "\u2028", "\xfe", "-0", "%\xff")
	f.Add(`"`, `\`, "", "\x00", "\uFFFD", "18446744073709551615", "\xe2\x80")
	f.Fuzz(func(t *testing.T, name, app, key, value, key2, number, raw string) {
		e := subjects.Event{Name: name, App: app, Type: value, BytesIn: subjects.Number(number), Raw: raw}
		for _, k := range []string{key, key2, name} {
			e.Custom.Add(k, value)
			e.Extra.Add(value+k, name)
		}
		e.Decision = &subjects.Decision{Effect: value, Rule: key, Reason: app}
		e.Shadow = []subjects.ShadowDecision{{Rule: key2, Effect: subjects.EffectAllow}}
		data := checkJSON(t, &e)
		decoded, err := subjects.DecodeEvent(data)
		if err != nil {
			t.Fatal(err)
		}
		if again := decoded.AppendJSON(nil); !bytes.Equal(again, data) {
			t.Errorf("%s decodes to an event that is written %s", data, again)
		}
	})
}

// What is no allow is written as a deny: a Decision nobody set is a denial.
func TestZeroDecisionIsADenial(t *testing.T) {
	for _, effect := range []string{"", "Allow", "deny", "yes"} {
		e := subjects.Event{
			Decision: &subjects.Decision{Effect: effect},
			Shadow:   []subjects.ShadowDecision{{Effect: effect}},
		}
		if got := string(e.AppendJSON(nil)); strings.Count(got, `"effect":"deny"`) != 2 {
			t.Errorf("effect %q: %s", effect, got)
		}
	}
}
