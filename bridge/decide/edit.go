package decide

import (
	"hash/maphash"

	"bintubridge/bridge/packed"
)

// Edit makes a new table out of another by exchanging documents. It costs what
// changes and not what is there: a few microseconds for a document of one rule.
// It belongs to one goroutine.
type Edit struct {
	table  Table
	shadow *Edit // of the shadow rules; nil: unchanged
	owner  *owner
	packed *packed.Owner
	spots  []spot // of the rule at hand; its memory serves the next
	bytes  []byte // likewise
}

// Edit starts to change the table. The table itself stays as it is.
func (t *Table) Edit() *Edit {
	e := &Edit{table: *t, owner: new(owner), packed: new(packed.Owner)}
	if e.table.keys == (keys{}) {
		seed := maphash.MakeSeed()
		e.table.keys = keys{seed: seed, salt: prefixHash(maphash.String(seed, "prefix"))}
	}
	return e
}

// Expect makes room for about so many rules that the edit is to bring. It comes before them.
func (e *Edit) Expect(rules int) { e.packed = packed.NewOwner(rules) }

// Replace takes the old document out and puts the new one in. Old is nil when
// there was none, and else was compiled of the same text for the same key as the one
// that was put in; doc is nil when it is removed.
func (e *Edit) Replace(old, doc *Document) {
	e.replaceShadow(old, doc)
	if old != nil {
		for i := range old.rules {
			e.indexes(&old.rules[i], e.remove)
		}
		e.table.rules -= len(old.rules)
	}
	if doc != nil {
		for i := range doc.rules {
			e.indexes(&doc.rules[i], e.add)
		}
		e.table.rules += len(doc.rules)
	}
}

// Table returns the table as changed so far. The edit may go on; that table
// stays as it is.
func (e *Edit) Table(revision uint64) *Table {
	e.table.revision = revision
	e.table.shadow = e.shadowTable()
	e.owner, e.packed, e.shadow = new(owner), e.packed.Next(), nil
	t := e.table
	return &t
}

// indexes calls change for each index that the rule belongs to.
func (e *Edit) indexes(r *rule, change func(*index, *rule)) {
	if r.calls&startingCalls != 0 {
		change(&e.table.starting, r)
	}
	if r.calls&^startingCalls != 0 {
		change(&e.table.running, r)
	}
}

// enough is how many rules may stand under one key before another condition of
// a rule is tried: where a thousand rules want the same pattern, what else each
// of them wants tells them apart.
const enough = 8

func (e *Edit) add(x *index, r *rule) {
	if r.bare() && e.addBare(x, r) {
		return
	}
	var best, last home
	fewest := -1
	for home := range r.homes {
		last = home
		if crowd := e.settle(x, r, home); fewest < 0 || crowd < fewest {
			best, fewest = home, crowd
		}
		if fewest <= enough {
			break
		}
	}
	if last != best {
		e.settle(x, r, best)
	}
	for i := range e.spots {
		p := &e.spots[i]
		there := e.posting(x, p)
		e.set(x, p, there.with(e.owner, p.candidate), 1)
		x.reach[p.part].add(r.rank())
	}
}

func (e *Edit) remove(x *index, r *rule) {
	if r.bare() && e.removeBare(x, r) {
		return
	}
	for home := range r.homes {
		e.spots = r.spots(e.spots[:0], e.table.keys, home)
		if !e.find(x, &e.spots[0]) {
			continue
		}
		for i := range e.spots {
			p := &e.spots[i]
			e.find(x, p)
			there := e.posting(x, p)
			e.set(x, p, there.without(e.owner, p.candidate), -1)
			x.reach[p.part].entries--
		}
		return
	}
}

// settle makes e.spots those of a home, and returns how many rules stand in the
// most crowded of them.
func (e *Edit) settle(x *index, r *rule, home home) int {
	e.spots = r.spots(e.spots[:0], e.table.keys, home)
	crowd := 0
	for i := range e.spots {
		p := &e.spots[i]
		if p.part == partPattern {
			e.settlePattern(x, p)
		}
		there := e.posting(x, p)
		crowd = max(crowd, there.len())
	}
	return crowd
}

// settlePattern puts a pattern where it begins, unless it has longer text, or
// many begin so and other text tells it apart.
func (e *Edit) settlePattern(x *index, p *spot) {
	pattern := p.pattern()
	p.begin(e.table.keys)
	if pattern.plain() {
		return
	}
	there := e.posting(x, p)
	begins := there.len()
	gram, contain := x.grams.fewestGram(pattern)
	shorter := gramSize(p.length) < gramSize(pattern.longest())
	if pattern.prefix == "" || shorter && contain <= begins || begins > enough && contain < begins {
		p.contain(gram)
	}
}

// find finds a spot again that was settled once, and reports whether the rule is
// there.
func (e *Edit) find(x *index, p *spot) bool {
	if p.candidate.glob != anyGlob {
		p.begin(e.table.keys)
		there := e.posting(x, p)
		if !there.has(p.candidate) {
			p.contain(x.grams.gramOf(p.pattern(), p.candidate))
		}
	}
	there := e.posting(x, p)
	return there.has(p.candidate)
}

// posting returns what stands at a spot.
func (e *Edit) posting(x *index, p *spot) posting {
	switch p.part {
	case partName:
		return x.names.at(p.key)
	case partPrefix:
		return x.prefixes.at(p.key)
	case partPattern:
		return x.grams.at(p.key)
	case partAddr:
		return x.addrs.at(p.network)
	case partValue:
		return x.values.at(p.key)
	case partField:
		return e.field(x, p).present
	case partToken:
		return e.field(x, p).tokens
	case partApp:
		return x.apps.at(p.key)
	case partAbsent:
		if there := x.absent.get(e.table.keys.ofField(p.field), p.field); there != nil {
			return *there
		}
		return posting{}
	}
	return x.rest.at(p.candidate.rule.restKind())
}

// set replaces what stands at a spot, which is n candidates more or less.
func (e *Edit) set(x *index, p *spot, there posting, n int) {
	switch p.part {
	case partName:
		x.names.set(e.owner, p.key, there)
	case partPrefix:
		x.prefixes.set(e.owner, p.key, there)
		x.prefixLengths = x.prefixLengths.with(e.owner, p.length, p.end, n)
	case partPattern:
		x.grams.set(e.owner, p.key, there)
		x.gramSizes = x.gramSizes.with(e.owner, p.length, p.end, n)
	case partAddr:
		x.addrs = x.addrs.with(e.owner, p.network, there)
	case partValue:
		x.values.set(e.owner, p.key, there)
		f := e.field(x, p)
		f.values += n
		e.setField(x, p, f)
	case partField:
		f := e.field(x, p)
		f.present = there
		e.setField(x, p, f)
	case partToken:
		f := e.field(x, p)
		f.tokens = there
		e.setField(x, p, f)
	case partApp:
		x.apps.set(e.owner, p.key, there)
	case partAbsent:
		e.setAbsent(x, p, there)
	case partRest:
		x.rest = x.rest.with(p.candidate.rule.restKind(), there)
	}
}

func (e *Edit) field(x *index, p *spot) customField {
	if f := x.fields.get(e.table.keys.ofField(p.field), p.field); f != nil {
		return *f
	}
	return customField{}
}

func (e *Edit) setField(x *index, p *spot, f customField) {
	hash := e.table.keys.ofField(p.field)
	if f.present.empty() && f.tokens.empty() && f.values == 0 {
		x.fields.remove(e.owner, hash, p.field)
		return
	}
	x.fields.put(e.owner, hash, p.field, f)
}

func (e *Edit) setAbsent(x *index, p *spot, there posting) {
	hash := e.table.keys.ofField(p.field)
	if there.empty() {
		x.absent.remove(e.owner, hash, p.field)
		return
	}
	x.absent.put(e.owner, hash, p.field, there)
}
