package sessions

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"bintubridge/consumers/consumerstest"
	"bintubridge/subjects"
)

// noise is a state that does not compress.
func noise(n int) string {
	var b strings.Builder
	r := rand.New(rand.NewPCG(1, uint64(n)))
	for range n {
		b.WriteByte(byte('a' + r.IntN(26)))
	}
	return b.String()
}

// Checkpoints of several chunks replace each other, and one of two writers is refused.
func TestVault(t *testing.T) {
	kv, err := consumerstest.Start(t).JS.KeyValue(t.Context(), subjects.BucketSessionsState)
	if err != nil {
		t.Fatal(err)
	}
	v, c, err := openVault(t.Context(), kv)
	if err != nil || c.exists {
		t.Fatalf("%+v, %v", c, err)
	}
	for i, size := range []int{10, 1_000_000, 300_000, 0, 600_000} {
		want := checkpoint{Events: position{uint64(i), time.Unix(int64(i), 0).UTC()}, Machine: fmt.Appendf(nil, "%q", noise(size))}
		if err := v.save(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		other, got, err := openVault(t.Context(), kv)
		if err != nil || !got.exists || got.Events != want.Events || string(got.Machine) != string(want.Machine) {
			t.Fatalf("%d bytes: read back %+v, %v", size, got.Events, err)
		}
		if other.head.Slot != v.head.Slot {
			t.Errorf("%d bytes: slot %d and %d", size, other.head.Slot, v.head.Slot)
		}
	}
	asleep, _, err := openVault(t.Context(), kv)
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range []string{`"x"`, `"y"`} { // both slots
		if err := v.save(t.Context(), checkpoint{Machine: []byte(state)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := asleep.save(t.Context(), checkpoint{Machine: []byte(`"old"`)}); !errors.Is(err, errFenced) {
		t.Errorf("one who was asleep: %v", err)
	}
	if _, got, err := openVault(t.Context(), kv); err != nil || string(got.Machine) != `"y"` {
		t.Errorf("%s, %v", got.Machine, err)
	}
}

// A checkpoint that somebody overwrote is told as damaged, and one that was deleted is none: the next one takes its
// place.
func TestCheckpointIsMended(t *testing.T) {
	kv, err := consumerstest.Start(t).JS.KeyValue(t.Context(), subjects.BucketSessionsState)
	if err != nil {
		t.Fatal(err)
	}
	for _, head := range []bool{true, false} {
		v, c, err := openVault(t.Context(), kv)
		if err != nil || c.exists {
			t.Fatalf("%+v, %v", c, err)
		}
		if err := v.save(t.Context(), checkpoint{Machine: []byte(`"x"`)}); err != nil {
			t.Fatal(err)
		}
		key := headKey
		if !head {
			key = chunkKey(v.head.Slot, 0)
		}
		if _, err := kv.PutString(t.Context(), key, "junk"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := openVault(t.Context(), kv); !errors.Is(err, errDamaged) {
			t.Errorf("junk in %s: %v", key, err)
		}
		if err := kv.Delete(t.Context(), headKey); err != nil {
			t.Fatal(err)
		}
	}
	if v, _, err := openVault(t.Context(), kv); err != nil || v.save(t.Context(), checkpoint{Machine: []byte(`"y"`)}) != nil {
		t.Errorf("after the last one: %v", err)
	}
}

func TestCheckpointOfAnotherStream(t *testing.T) {
	js := consumerstest.Start(t).JS
	s, err := js.Stream(t.Context(), "EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	info := s.CachedInfo()
	info.State.LastSeq = 7
	for _, tt := range []struct {
		p    position
		want uint64
	}{{position{5, info.Created}, 5}, {position{7, info.Created}, 7}, {position{8, info.Created}, 0}, {position{5, info.Created.Add(1)}, 0}} {
		if got := tt.p.in(info); got != tt.want {
			t.Errorf("%+v goes on behind %d, want %d", tt.p, got, tt.want)
		}
	}
}
