package subjects_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"bintubridge/subjects"

	"pgregory.net/rapid"
)

// The oracle is a map beside a slice: obvious, and wasteful.
func TestFieldsAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var fields subjects.Fields
		oracle := map[string]string{}
		var order []subjects.Field
		// Few different keys, so that repeats are common, and sizes on both
		// sides of the hash index.
		key := rapid.Custom(func(t *rapid.T) string {
			return fmt.Sprint("k", rapid.IntRange(0, 60).Draw(t, "key"))
		})
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				k, v := key.Draw(t, "k"), rapid.StringN(0, 3, -1).Draw(t, "v")
				_, there := oracle[k]
				if added := fields.Add(k, v); added == there {
					t.Fatalf("Add(%q) = %v, the oracle has the key: %v", k, added, there)
				}
				if !there {
					oracle[k] = v
					order = append(order, subjects.Field{Key: k, Value: v})
				}
			},
			"reset": func(t *rapid.T) {
				if rapid.IntRange(0, 20).Draw(t, "dice") == 0 {
					fields.Reset()
					clear(oracle)
					order = order[:0]
				}
			},
			"": func(t *rapid.T) {
				if fields.Len() != len(oracle) || !slices.Equal(fields.List(), order) {
					t.Fatalf("fields are %v, want %v", fields.List(), order)
				}
				k := key.Draw(t, "probe")
				got, ok := fields.Get(k)
				if want, there := oracle[k]; got != want || ok != there {
					t.Fatalf("Get(%q) = %q, %v, want %q, %v", k, got, ok, want, there)
				}
			},
		})
	})
}

func TestFieldsMany(t *testing.T) {
	const n = 10_000
	var fields subjects.Fields
	for round := range 3 {
		fields.Reset()
		for i := range n {
			if k := fmt.Sprint(round, "-", i); !fields.Add(k, fmt.Sprint(i)) {
				t.Fatalf("round %d: key %d is taken", round, i)
			}
		}
		for i := range n {
			k := fmt.Sprint(round, "-", i)
			if v, ok := fields.Get(k); !ok || v != fmt.Sprint(i) {
				t.Fatalf("round %d: Get(%q) = %q, %v", round, k, v, ok)
			}
			if fields.Add(k, "again") {
				t.Fatalf("round %d: %q was added twice", round, k)
			}
		}
		if v, ok := fields.Get(fmt.Sprint(round+1, "-0")); ok {
			t.Fatalf("round %d: found %q, which nobody added", round, v)
		}
		if fields.Len() != n {
			t.Fatalf("round %d: %d fields, want %d", round, fields.Len(), n)
		}
	}
}

func TestFieldsReuseDoesNotAllocate(t *testing.T) {
	for _, n := range []int{3, 8, 9, 100, 1000} {
		keys := make([]string, n)
		for i := range keys {
			keys[i] = fmt.Sprint("key", i)
		}
		var fields subjects.Fields
		fill := func() {
			fields.Reset()
			for _, k := range keys {
				fields.Add(k, "v")
			}
		}
		fill()
		if allocs := testing.AllocsPerRun(100, fill); allocs != 0 {
			t.Errorf("%d fields: %v allocations, want 0", n, allocs)
		}
	}
}

// A set that waits to be filled again must not hold the last request's memory.
func TestFieldsResetLetsGo(t *testing.T) {
	var fields subjects.Fields
	fields.Add("k", "v")
	list := fields.List()
	fields.Reset()
	if list[0] != (subjects.Field{}) {
		t.Errorf("the set still holds %v", list[0])
	}
}

func TestFieldsJSON(t *testing.T) {
	tests := []struct {
		name, json string
		want       []subjects.Field
		wantErr    bool
	}{
		{name: "order is kept", json: `{"b":"1","a":"2"}`, want: []subjects.Field{{Key: "b", Value: "1"}, {Key: "a", Value: "2"}}},
		{name: "first value counts", json: `{"a":"1","a":"2"}`, want: []subjects.Field{{Key: "a", Value: "1"}}},
		{name: "empty", json: `{}`},
		{name: "null", json: `null`},
		{name: "empty key", json: `{"":""}`, want: []subjects.Field{{Key: "", Value: ""}}},
		{name: "a number", json: `{"a":1}`, wantErr: true},
		{name: "an object", json: `{"a":{}}`, wantErr: true},
		{name: "null value", json: `{"a":null}`, wantErr: true},
		{name: "an array", json: `["a","b"]`, wantErr: true},
		{name: "a string", json: `"a"`, wantErr: true},
		{name: "cut", json: `{"a":"1"`, wantErr: true},
		{name: "cut in a key", json: `{"a`, wantErr: true},
		{name: "empty input", json: ``, wantErr: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got subjects.Fields
			got.Add("old", "gone")
			err := got.UnmarshalJSON([]byte(tt.json))
			if (err != nil) != tt.wantErr {
				t.Fatalf("error is %v, want one: %v", err, tt.wantErr)
			}
			if err == nil && !slices.Equal(got.List(), tt.want) {
				t.Fatalf("got %v, want %v", got.List(), tt.want)
			}
		})
	}
}

func TestFieldsMarshalByValueAndPointer(t *testing.T) {
	var f subjects.Fields
	f.Add("z", "1")
	f.Add("a", "<2>")
	const want = `{"z":"1","a":"\u003c2\u003e"}`
	for _, v := range []any{f, &f} {
		if got, err := json.Marshal(v); err != nil || string(got) != want {
			t.Errorf("%T: got %s, %v, want %s", v, got, err, want)
		}
	}
}

// Keys that only differ in bytes that are no UTF-8 read the same. An object
// never has one key twice, and the first one counts.
func TestFieldsKeysThatReadTheSame(t *testing.T) {
	tests := []struct {
		name string
		keys []string // the value is the position
		want string
	}{
		{"two broken", []string{"a\xff", "a\xfe"}, `{"a` + "\uFFFD" + `":"0"}`},
		{"valid first", []string{"\uFFFD", "\xff"}, `{"` + "\uFFFD" + `":"0"}`},
		{"valid last still counts", []string{"\xff", "x", "\uFFFD"}, `{"x":"1","` + "\uFFFD" + `":"2"}`},
		{"different", []string{"\xff", "\xff\xff", "\xffa"}, `{"` + "\uFFFD" + `":"0","` + "\uFFFD\uFFFD" + `":"1","` + "\uFFFD" + `a":"2"}`},
		{"a cut rune is one mark a byte", []string{"\xe2\x82", "\xff\xff"}, `{"` + "\uFFFD\uFFFD" + `":"0"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var f subjects.Fields
			for i, k := range tt.keys {
				f.Add(k, fmt.Sprint(i))
			}
			if got, err := f.MarshalJSON(); err != nil || string(got) != tt.want {
				t.Errorf("got %s, %v, want %s", got, err, tt.want)
			}
		})
	}
}

func TestFieldsBrokenKeysAreBounded(t *testing.T) {
	var f subjects.Fields
	for i := range 10_000 {
		f.Add(fmt.Sprint("\xff", i), "v")
	}
	f.Add("plain", "v")
	data, err := f.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 17 || got["plain"] != "v" || got["\uFFFD15"] != "v" {
		t.Errorf("%d keys, want the first 16 that are no UTF-8 and the plain one", len(got))
	}
}
