package rulestore

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"bintubridge/bridge/decide"
	"bintubridge/subjects"
)

// Explain answers as Decide does, also when the rules are too old to decide; and the
// documents are there to be looked at.
func TestLooking(t *testing.T) {
	s, err := Open(Options{StaleAfter: time.Hour, StaleDeny: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	edit := s.view.Load().table.Edit()
	for revision, key := range []string{"a", "b/c"} {
		v := judge(version{key: key, data: []byte(`{"rules":[{"id":"r","effect":"allow","name":["` + key + `"]}]}`), message: message{revision: uint64(revision + 1)}}, s.ledger.docs)
		s.mine.Lock()
		was, is := s.ledger.apply(v)
		replace(edit, was, is)
		s.mine.Unlock()
	}
	s.publish(edit.Table(2), SourceKV)
	for _, now := range []time.Time{time.Now(), time.Now().Add(2 * time.Hour)} {
		for _, in := range []decide.Input{
			{Call: subjects.Publish, Name: "a"}, {Call: subjects.Publish, Name: "x"}, {Call: subjects.UpdatePlay, Name: "a"}, {Call: subjects.Publish},
		} {
			d, revision, age := s.Decide(&in, now)
			x, xRevision, xAge := s.Explain(&in, now)
			if x.Decision != d || revision != xRevision || xAge != age {
				t.Errorf("%v at %v: explained as %+v, decided as %+v", in, now, x.Decision, d)
			}
		}
	}
	if got := s.Document("b/c"); got == nil || got.Key() != "b/c" || s.Document("b") != nil {
		t.Errorf("document %v", got)
	}
	var all []string
	for doc := range s.Texts() {
		all = append(all, fmt.Sprint(doc.Key, doc.Revision))
	}
	slices.Sort(all)
	if fmt.Sprint(all) != "[a1 b/c2]" {
		t.Errorf("documents %v", all)
	}
	for range s.Texts() {
		break // is allowed
	}
}
