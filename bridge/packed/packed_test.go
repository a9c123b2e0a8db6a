package packed

import (
	"fmt"
	"maps"
	"testing"

	"pgregory.net/rapid"
)

// machine changes a map at random beside a Go map, and keeps versions of both.
type machine struct {
	owner *Owner
	now   version
	old   []version
}

type version struct {
	packed Map
	plain  map[string]string
}

// hash makes keys meet: in a block, in a slot, and in all bits of their hashes.
func hash(key string) uint64 {
	switch len(key) % 3 {
	case 0:
		return 5
	case 1:
		return uint64(key[0])<<32 | 5
	}
	return uint64(key[0])*0x9E3779B97F4A7C15 | 1<<20
}

var (
	drawKey      = rapid.StringMatching(`[a-d]{0,3}`)
	drawExpected = rapid.SampledFrom([]int{0, 10 << 16}) // nothing, and ten a block
	drawValue    = rapid.SampledFrom([]string{"", "x", "value", "another, longer value"})
)

func (m *machine) Put(t *rapid.T) {
	key, value := drawKey.Draw(t, "key"), drawValue.Draw(t, "value")
	m.now.packed.Put(m.owner, hash(key), key, []byte(value))
	m.now.plain[key] = value
}

func (m *machine) Delete(t *rapid.T) {
	key := drawKey.Draw(t, "key")
	_, there := m.now.plain[key]
	if got := m.now.packed.Delete(m.owner, hash(key), key); got != there {
		t.Fatalf("delete %q: %v, want %v", key, got, there)
	}
	delete(m.now.plain, key)
}

func (m *machine) Empty(t *rapid.T) {
	for key := range m.now.plain {
		if !m.now.packed.Delete(m.owner, hash(key), key) {
			t.Fatalf("%q was not there", key)
		}
	}
	clear(m.now.plain)
	if m.now.packed != (Map{}) {
		t.Fatalf("left after all was deleted: %+v", m.now.packed)
	}
}

// Keep ends the edit, and keeps what it made.
func (m *machine) Keep(*rapid.T) {
	m.old = append(m.old, version{m.now.packed, maps.Clone(m.now.plain)})
	m.owner = m.owner.Next()
}

// Fork keeps what there is, and goes on with an older version in a line of its own.
func (m *machine) Fork(t *rapid.T) {
	m.Keep(t)
	v := rapid.SampledFrom(m.old).Draw(t, "version")
	m.now = version{v.packed, maps.Clone(v.plain)}
	m.owner = NewOwner(drawExpected.Draw(t, "expected"))
}

func (m *machine) Check(t *rapid.T) {
	for i, v := range append(m.old, m.now) {
		if v.packed.Len() != len(v.plain) {
			t.Fatalf("version %d has %d keys, want %d", i, v.packed.Len(), len(v.plain))
		}
		all := map[string]string{}
		for key, value := range v.packed.All() {
			all[key] = value
		}
		if !maps.Equal(all, v.plain) {
			t.Fatalf("version %d is %v, want %v", i, all, v.plain)
		}
		for key, want := range v.plain {
			if got, ok := v.packed.Get(hash(key), key); !ok || got != want {
				t.Fatalf("version %d has %q for %q, want %q", i, got, key, want)
			}
		}
		key := drawKey.Draw(t, "key")
		_, want := v.plain[key]
		if _, got := v.packed.Get(hash(key), key); got != want {
			t.Fatalf("version %d has %q: %v", i, key, got)
		}
	}
}

func TestMapBesideGoMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{owner: NewOwner(drawExpected.Draw(t, "expected")), now: version{plain: map[string]string{}}}
		t.Repeat(map[string]func(*rapid.T){"put": m.Put, "delete": m.Delete, "empty": m.Empty, "keep": m.Keep, "fork": m.Fork, "": m.Check})
	})
}

// What two lines begin with is not what they go on with.
func TestDeleteInAnotherLine(t *testing.T) {
	var m Map
	o := NewOwner(0)
	m.Put(o, 5, "a", []byte("old"))
	m.Put(o, 5, "b", []byte("old"))
	fork := m
	m.Put(o.Next(), 5, "a", []byte("new"))
	fork.Delete(NewOwner(0), 5, "b")
	if got, _ := m.Get(5, "a"); got != "new" {
		t.Errorf("a is %q", got)
	}
	if got, ok := m.Get(5, "b"); got != "old" {
		t.Errorf("b is %q, %v", got, ok)
	}
}

// A key that is put twice has its last value, whatever is put behind it.
func TestPutTwiceAndAnother(t *testing.T) {
	var m Map
	o := NewOwner(10 << 16)
	m.Put(o, 5, "a", []byte("old"))
	m.Put(o, 5, "a", []byte("new"))
	m.Put(o, 5, "b", nil)
	if got, _ := m.Get(5, "a"); got != "new" {
		t.Errorf("a is %q", got)
	}
}

// Who reads a version reads on while others are made of it.
func TestReadersOfAnOldVersion(t *testing.T) {
	const keys = 1000
	name := func(i int) (uint64, string) { return uint64(i) * 0x9E3779B97F4A7C15, fmt.Sprint("key", i) }
	var m Map
	first := new(Owner)
	for i := range keys {
		hash, key := name(i)
		m.Put(first, hash, key, []byte("old"))
	}
	old, done := m, make(chan error)
	go func() {
		for i := range keys * 10 {
			hash, key := name(i % keys)
			if got, _ := old.Get(hash, key); got != "old" {
				done <- fmt.Errorf("%s is %q", key, got)
				return
			}
		}
		done <- nil
	}()
	edit := first
	for i := range 3 * keys {
		if i%10 == 0 {
			edit = edit.Next()
		}
		hash, key := name(i % keys)
		if i%3 == 0 {
			m.Delete(edit, hash, key)
		} else {
			m.Put(edit, hash, key, []byte("new"))
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	var m Map
	m.Put(new(Owner), 7, "key", []byte("value"))
	if n := testing.AllocsPerRun(100, func() { m.Get(7, "key"); m.Get(8, "other") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
