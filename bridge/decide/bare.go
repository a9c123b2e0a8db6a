package decide

import (
	"encoding/binary"
	"math"

	"bintubridge/bridge/packed"
)

// Most of a million rules are for one stream name, and ask for no more than an app or a
// time. They stand in an index as bytes under that name: a few dozen each, and no work
// for the garbage collector.

// maxConditions is how many bytes the conditions of a bare rule may have: a change of
// another rule may copy them.
const maxConditions = 1 << 10

// bare reports whether the rule is such a one.
func (r *rule) bare() bool {
	return r.stream != "" && !r.shadow && len(r.name) <= math.MaxUint16 && (r.more == nil || r.more.bare())
}

// bare reports whether a rule with the conditions may stand as bytes.
func (c *conditions) bare() bool {
	return c.bareSize() <= maxConditions && len(c.streams)+len(c.globs)+len(c.networks)+len(c.custom) == 0 && c.token == nil && c.when == nil
}

// Bare reports whether each rule of the document is for one stream name, and asks for no
// more than calls, apps and a time. A table has the bytes of such rules, and seldom
// holds on to the document.
func (d *Document) Bare() bool {
	for i := range d.rules {
		if !d.rules[i].bare() {
			return false
		}
	}
	return d.shadow == nil
}

// A bare rule, numbers little-endian:
//
//	offset  size
//	     0     2  calls
//	     2     4  priority
//	     6     1  effect
//	     7     2  length of the name
//	     9     2  length of the conditions, 0: none
//	    11        name
//	              conditions: see bareConditions
//
// Those of one stream name follow each other.
const bareHead = 11

type bareRule struct {
	rule       // but for more
	conditions bareConditions
}

func appendBare(b []byte, r *rule) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(r.calls))
	b = binary.LittleEndian.AppendUint32(b, uint32(r.priority))
	b = append(b, byte(r.effect))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(r.name)))
	b = binary.LittleEndian.AppendUint16(b, uint16(r.more.bareSize()))
	b = append(b, r.name...)
	if r.more != nil {
		b = appendConditions(b, r.more)
	}
	return b
}

// cutBare takes the first rule off a list.
func cutBare(list, stream string) (r bareRule, rest string) {
	head := []byte(list[:bareHead])
	nameEnd := bareHead + int(binary.LittleEndian.Uint16(head[7:]))
	end := nameEnd + int(binary.LittleEndian.Uint16(head[9:]))
	r.rule = rule{
		name:     list[bareHead:nameEnd],
		stream:   stream,
		calls:    callSet(binary.LittleEndian.Uint16(head)),
		priority: int32(binary.LittleEndian.Uint32(head[2:])),
		effect:   Effect(head[6]),
	}
	r.conditions = bareConditions(list[nameEnd:end])
	return r, list[end:]
}

// bareRules are bare rules by stream name.
type bareRules struct {
	lists  packed.Map
	screen screen
}

// get returns the rules of a name, "" when there are none.
func (b *bareRules) get(hash uint64, stream string) string {
	if !b.screen.may(uint32(hash)) {
		return ""
	}
	list, _ := b.lists.Get(hash, stream)
	return list
}

// set replaces the rules of a name.
func (b *bareRules) set(o *packed.Owner, keys keys, stream string, list []byte) {
	hash, before := keys.ofName(stream), b.lists.Len()
	if len(list) == 0 {
		b.lists.Delete(o, hash, stream)
	} else {
		b.lists.Put(o, hash, stream, list)
	}
	b.screen.follow(uint32(hash), before, b.lists.Len(), func(add func(uint32)) {
		for stream := range b.lists.All() {
			add(uint32(keys.ofName(stream)))
		}
	})
}

// visitBare offers the bare rules of the request's stream name.
func (x *index) visitBare(s *search, hash uint64) {
	for list := x.bare.get(hash, s.in.Name); list != ""; {
		var r bareRule
		r, list = cutBare(list, s.in.Name)
		s.offerBare(&r)
	}
}

// offerBare checks a rule that lives no longer than the call.
func (s *search) offerBare(r *bareRule) {
	switch {
	case s.settled(&r.rule):
	case s.wantsAll():
		s.offer(newCandidate(s.trail.whole(r), anyGlob), IndexName)
	case r.calls.has(s.in.Call) && r.conditions.hold(&s.query):
		s.bare = *r
	}
}

// whole returns a copy of a bare rule, always the same one.
func (t *trail) whole(r *bareRule) *rule {
	if t == nil {
		return r.whole()
	}
	if t.bare[r.name] == nil {
		t.bare[r.name] = r.whole()
	}
	return t.bare[r.name]
}

func (r *bareRule) whole() *rule {
	own := r.rule
	own.more = r.conditions.whole()
	return &own
}

// addBare adds a bare rule, and reports false where enough have its stream name, so
// that a change of one does not copy all of them.
func (e *Edit) addBare(x *index, r *rule) bool {
	list := x.bare.get(e.table.keys.ofName(r.stream), r.stream)
	n := 0
	for rest := list; rest != ""; n++ {
		_, rest = cutBare(rest, r.stream)
	}
	if n >= enough {
		return false
	}
	e.bytes = appendBare(append(e.bytes[:0], list...), r)
	x.bare.set(e.packed, e.table.keys, r.stream, e.bytes)
	x.reach[partBare].add(r.rank())
	return true
}

// removeBare takes a bare rule out, and reports false where it stands with others.
func (e *Edit) removeBare(x *index, r *rule) bool {
	list := x.bare.get(e.table.keys.ofName(r.stream), r.stream)
	for rest := list; rest != ""; {
		at := len(list) - len(rest)
		var other bareRule
		if other, rest = cutBare(rest, r.stream); other.name != r.name {
			continue
		}
		e.bytes = append(append(e.bytes[:0], list[:at]...), rest...)
		x.bare.set(e.packed, e.table.keys, r.stream, e.bytes)
		x.reach[partBare].entries--
		return true
	}
	return false
}
