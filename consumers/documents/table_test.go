package documents_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"bintubridge/consumers/consumerstest"
	"bintubridge/consumers/documents"
)

// versions returns a key whose versions are these, the newest last, the first of this revision.
func versions(key string, first uint64, values ...string) documents.Document {
	var all []documents.Document
	for i, v := range values {
		all = append([]documents.Document{{Key: key, Value: []byte(v), Revision: first + uint64(i)}}, all...)
	}
	all[0].Earlier = all[1:]
	return all[0]
}

// Of each key the newest version that compiles is in force.
func TestTable(t *testing.T) {
	for _, tt := range []struct {
		name     string
		steps    [][]documents.Document
		inForce  map[string]string
		refused  []string
		compiled string // in this order
		log      string // is in it
	}{
		{"one", [][]documents.Document{{versions("a", 1, "x")}}, map[string]string{"a": "x"}, nil, "x", ""},
		{"unchanged", [][]documents.Document{{versions("a", 1, "x")}, {versions("a", 1, "x"), versions("b", 2, "y")}}, map[string]string{"a": "x", "b": "y"}, nil, "x y", ""},
		{"changed", [][]documents.Document{{versions("a", 1, "x")}, {versions("a", 1, "x", "y")}}, map[string]string{"a": "y"}, nil, "x y", ""},
		{"broken", [][]documents.Document{{versions("a", 1, "x")}, {versions("a", 1, "x", "!1"), versions("b", 3, "y")}, {versions("a", 1, "x", "!1")}},
			map[string]string{"a": "x"}, []string{"a"}, "x !1 y", "last good version stays in force\" key=a revision=2 in_force=1"},
		{"broken twice", [][]documents.Document{{versions("a", 1, "x", "!1")}, {versions("a", 1, "x", "!1", "!2")}}, map[string]string{"a": "x"}, []string{"a"}, "!1 x !2 !1", ""},
		{"a start", [][]documents.Document{{versions("a", 1, "w", "x", "!1", "!2")}}, map[string]string{"a": "x"}, []string{"a"}, "!2 !1 x", "in_force=2"},
		{"a good one was missed", [][]documents.Document{{versions("a", 1, "x")}, {versions("a", 1, "x", "y", "!1")}}, map[string]string{"a": "y"}, []string{"a"}, "x !1 y", ""},
		{"mended", [][]documents.Document{{versions("a", 1, "x", "!1")}, {versions("a", 1, "x", "!1", "y")}}, map[string]string{"a": "y"}, nil, "!1 x y", ""},
		{"never good", [][]documents.Document{{versions("c", 1, "!1"), versions("a", 2, "!2", "!3")}}, map[string]string{}, []string{"a", "c"}, "!1 !3 !2", "nothing is sent for it\" key=c revision=1"},
		{"deleted and made anew", [][]documents.Document{{versions("a", 1, "x")}, {versions("a", 3, "!1")}}, map[string]string{}, []string{"a"}, "x !1", ""},
		{"gone", [][]documents.Document{{versions("a", 1, "x")}, {}}, map[string]string{}, nil, "x", ""},
		{"another bucket", [][]documents.Document{{versions("a", 1, "x")}, {versions("a", 1, "y")}}, map[string]string{"a": "y"}, nil, "x y", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log consumerstest.Log
			var compiled []string
			table := documents.NewTable("room", func(d documents.Document) (string, error) {
				text := string(d.Value)
				compiled = append(compiled, text)
				if strings.HasPrefix(text, "!") {
					return "", errors.New("it is broken")
				}
				return text, nil
			}, log.Logger())
			var inForce map[string]string
			var refused []string
			for _, step := range tt.steps {
				inForce, refused = table.Apply(step)
			}
			if !maps.Equal(inForce, tt.inForce) || !slices.Equal(refused, tt.refused) || strings.Join(compiled, " ") != tt.compiled {
				t.Errorf("in force %v, refused %v, compiled %v", inForce, refused, compiled)
			}
			if !strings.Contains(log.String(), tt.log) || (log.String() == "") != !strings.Contains(tt.compiled, "!") {
				t.Errorf("log:\n%s", &log)
			}
		})
	}
}

// A key comes with the versions that the bucket keeps since it was deleted last.
func TestLoadOfVersions(t *testing.T) {
	kit := consumerstest.Start(t)
	kv, err := kit.JS.KeyValue(t.Context(), "chat_rooms")
	if err != nil {
		t.Fatal(err)
	}
	put := func(key string, values ...string) {
		for _, v := range values {
			kit.Put("chat_rooms", key, []byte(v))
		}
	}
	remove := func(key string) {
		if err := kv.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	put("a", "1", "2")
	put("b", "1")
	remove("a")
	remove("b")
	put("a", "3", "4", "5")
	put("c", "1", "2", "3", "4", "5", "6", "7", "8", "9")
	all, err := documents.Load(t.Context(), kit.JS, "chat_rooms")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range all {
		text := d.Key + "=" + string(d.Value)
		last := d.Revision
		for _, e := range d.Earlier {
			if text += "," + string(e.Value); e.Revision >= last || e.Key != d.Key || e.Earlier != nil {
				t.Errorf("%+v", d)
			}
			last = e.Revision
		}
		got = append(got, text)
	}
	slices.Sort(got)
	if fmt.Sprint(got) != "[a=5,4,3 c=9,8,7,6,5,4,3,2]" {
		t.Error(got)
	}
}
