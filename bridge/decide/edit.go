package decide

import "hash/maphash"

// Edit makes a new table out of another by exchanging documents. It costs what
// changes and not what is there: a few microseconds for a document of one rule.
// It belongs to one goroutine.
type Edit struct {
	table Table
	owner *owner
	spots []spot // of the rule at hand; its memory serves the next
}

// Edit starts to change the table. The table itself stays as it is.
func (t *Table) Edit() *Edit {
	e := &Edit{table: *t, owner: new(owner)}
	if e.table.seed == (maphash.Seed{}) {
		e.table.seed = maphash.MakeSeed()
	}
	return e
}

// Replace takes the old document out and puts the new one in. Old is nil when
// there was none, and else is the very document that was put in; doc is nil when
// it is removed.
func (e *Edit) Replace(old, doc *Document) {
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
	t := e.table
	t.revision = revision
	e.owner = new(owner)
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
		e.put(x, p)
		x.reach[p.part].add(r.rank())
	}
}

func (e *Edit) remove(x *index, r *rule) {
	for home := range r.homes {
		e.spots = r.spots(e.spots[:0], home)
		if !e.find(x, &e.spots[0]) {
			continue
		}
		for i := range e.spots {
			p := &e.spots[i]
			e.find(x, p)
			e.take(x, p)
			x.reach[p.part].entries--
		}
		return
	}
}

// settle makes e.spots those of a home, and returns how many rules stand in
// the most crowded of them.
func (e *Edit) settle(x *index, r *rule, home home) int {
	e.spots = r.spots(e.spots[:0], home)
	crowd := 0
	for i := range e.spots {
		p := &e.spots[i]
		if p.part == partPattern {
			crowd = max(crowd, e.settlePattern(x, p))
			continue
		}
		there := e.posting(x, p)
		crowd = max(crowd, there.len())
	}
	return crowd
}

// settlePattern puts a pattern where it begins, unless it has other text and is
// better told apart by that.
func (e *Edit) settlePattern(x *index, p *spot) int {
	pattern := p.pattern()
	longest := pattern.longest()
	begins := -1
	if pattern.prefix != "" && (len(pattern.prefix) >= maxGram || len(pattern.prefix) == longest) {
		there := x.prefixes.at(pattern.prefix)
		begins = there.len()
	}
	if begins >= 0 && (begins <= enough || pattern.plain()) {
		p.part = partPrefix
		return begins
	}
	gram, crowd := x.grams.spot(pattern)
	if begins >= 0 && begins <= crowd {
		p.part = partPrefix
		return begins
	}
	p.gram = gram
	return crowd
}

// find finds a spot again that settle chose once, and reports whether the rule
// is there.
func (e *Edit) find(x *index, p *spot) bool {
	if p.part != partPattern {
		there := e.posting(x, p)
		return there.has(p.candidate)
	}
	there := x.prefixes.at(p.pattern().prefix)
	if there.has(p.candidate) {
		p.part = partPrefix
		return true
	}
	gram, found := x.grams.find(p.pattern(), p.candidate)
	p.gram = gram
	return found
}

// put adds the candidate to its spot.
func (e *Edit) put(x *index, p *spot) {
	switch p.part {
	case partPrefix:
		x.prefixes = x.prefixes.with(e.owner, p.pattern().prefix, p.candidate)
	case partPattern:
		x.grams = x.grams.with(e.owner, p.gram, p.candidate)
	default:
		there := e.posting(x, p)
		e.set(x, p, there.with(e.owner, p.candidate), there.empty())
	}
}

// take takes the candidate out of its spot.
func (e *Edit) take(x *index, p *spot) {
	switch p.part {
	case partPrefix:
		x.prefixes = x.prefixes.without(e.owner, p.pattern().prefix, p.candidate)
	case partPattern:
		x.grams = x.grams.without(e.owner, p.gram, p.candidate)
	default:
		there := e.posting(x, p)
		e.set(x, p, there.without(e.owner, p.candidate), false)
	}
}

func (e *Edit) hash(text string) uint64 { return maphash.String(e.table.seed, text) }

// posting returns what stands at a spot that is neither prefix nor pattern.
func (e *Edit) posting(x *index, p *spot) posting {
	var found *posting
	switch p.part {
	case partName:
		found = x.names.get(e.hash(p.text), p.text)
	case partApp:
		found = x.apps.get(e.hash(p.text), p.text)
	case partAddr:
		return x.addrs.at(p.network)
	case partField, partValue:
		f := x.fields.get(e.hash(p.text), p.text)
		switch {
		case f == nil:
		case p.part == partField:
			found = &(*f).present
		default:
			found = (*f).values.get(e.hash(p.value), p.value)
		}
	case partRest:
		found = &x.rest
	}
	if found == nil {
		return posting{}
	}
	return *found
}

// set replaces what stands at a spot that is neither prefix nor pattern. Added
// says that nothing did.
func (e *Edit) set(x *index, p *spot, there posting, added bool) {
	switch p.part {
	case partName:
		e.setIn(&x.names, p.text, there, added)
	case partApp:
		e.setIn(&x.apps, p.text, there, added)
	case partAddr:
		x.addrs = x.addrs.with(e.owner, p.network, there)
	case partField, partValue:
		e.setCustom(x, p, there, added)
	case partRest:
		x.rest = there
	}
}

func (e *Edit) setIn(m *hashMap[posting], key string, there posting, added bool) {
	if there.empty() {
		m.remove(e.owner, e.hash(key), key)
		return
	}
	m.put(e.owner, e.hash(key), key, there, added)
}

func (e *Edit) setCustom(x *index, p *spot, there posting, added bool) {
	hash := e.hash(p.text)
	found := x.fields.get(hash, p.text)
	field := &customField{owner: e.owner}
	if found != nil {
		field = (*found).own(e.owner)
	}
	if p.part == partField {
		field.present = there
	} else {
		e.setIn(&field.values, p.value, there, added)
	}
	switch {
	case field.present.empty() && field.values.len() == 0:
		x.fields.remove(e.owner, hash, p.text)
	case found == nil || *found != field:
		x.fields.put(e.owner, hash, p.text, field, found == nil)
	}
}
