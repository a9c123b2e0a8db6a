package decide

import (
	"cmp"
	"slices"
)

// What follows is persistent: a change copies the few nodes on its way, and
// older tables keep theirs. A node that the running edit made itself is nobody
// else's yet and is changed in place.

// owner says which edit made a node.
type owner struct{ _ byte }

// candidate is a rule as an index holds it.
type candidate struct {
	rule  *rule
	glob  int32   // position of the pattern that brings it up, or anyGlob
	calls callSet // of the rule, here so that rules of other calls are not touched
}

// anyGlob stands for all that the rule says of names.
const anyGlob int32 = -1

func newCandidate(r *rule, glob int32) candidate {
	return candidate{rule: r, glob: glob, calls: r.calls}
}

func (c candidate) compare(other candidate) int {
	if order := c.rule.compare(other.rule); order != 0 {
		return order
	}
	return cmp.Compare(c.glob, other.glob)
}

// posting is what an index holds under one key: candidates, best first. The
// zero posting is empty. Most have one candidate, which costs no node.
type posting struct {
	first candidate
	rest  *ranked
}

func (p *posting) empty() bool { return p.first.rule == nil }

func (p *posting) len() int {
	switch {
	case p.empty():
		return 0
	case p.rest == nil:
		return 1
	}
	return 1 + p.rest.size
}

func (p posting) with(o *owner, c candidate) posting {
	if p.empty() {
		return posting{first: c}
	}
	if c.compare(p.first) < 0 {
		p.first, c = c, p.first
	}
	if p.rest == nil {
		p.rest = &ranked{owner: o, bounds: noBounds}
	}
	p.rest = p.rest.with(o, c)
	return p
}

func (p *posting) has(c candidate) bool {
	return !p.empty() && (p.first.compare(c) == 0 || p.rest != nil && p.rest.has(c))
}

// without takes out a candidate that the posting has.
func (p posting) without(o *owner, c candidate) posting {
	if p.first.compare(c) != 0 {
		p.rest = p.rest.without(o, c)
		return p
	}
	if p.rest == nil {
		return posting{}
	}
	p.first = p.rest.best()
	p.rest = p.rest.without(o, p.first)
	return p
}

// maxRanked is the most that one node of a ranked has.
const maxRanked = 64

// ranked is a B+ tree of candidates, best first. It is never empty, except
// between its making and the first with.
type ranked struct {
	owner  *owner
	size   int
	bounds bounds      // of all below
	items  []candidate // of a leaf
	kids   []*ranked   // of an inner node
}

// measure finds the bounds of what the node has.
func (n *ranked) measure() {
	n.bounds = noBounds
	for _, c := range n.items {
		n.bounds = n.bounds.with(c.bounds())
	}
	for _, kid := range n.kids {
		n.bounds = n.bounds.with(kid.bounds)
	}
}

func (n *ranked) best() candidate {
	for n.kids != nil {
		n = n.kids[0]
	}
	return n.items[0]
}

func (n *ranked) own(o *owner) *ranked {
	if n.owner == o {
		return n
	}
	return &ranked{owner: o, size: n.size, bounds: n.bounds, items: slices.Clone(n.items), kids: slices.Clone(n.kids)}
}

// visit offers the candidates that may match, best first, and reports false when the
// rest of them cannot become the best.
func (n *ranked) visit(s *search, index Index) bool {
	if !s.wantsAll() && !n.bounds.may(&s.query) {
		return true
	}
	for _, kid := range n.kids {
		if !kid.visit(s, index) {
			return false
		}
	}
	for i := range n.items {
		if s.settled(n.items[i].rule) {
			return false
		}
		s.offer(n.items[i], index)
	}
	return true
}

// kidOf returns which child has c, or has room for it in order.
func (n *ranked) kidOf(c candidate) int {
	i, found := slices.BinarySearchFunc(n.kids, c, func(kid *ranked, c candidate) int { return kid.best().compare(c) })
	if !found && i > 0 {
		i--
	}
	return i
}

func (n *ranked) has(c candidate) bool {
	for n.kids != nil {
		n = n.kids[n.kidOf(c)]
	}
	_, found := slices.BinarySearchFunc(n.items, c, candidate.compare)
	return found
}

// with returns the tree with c, which it does not have.
func (n *ranked) with(o *owner, c candidate) *ranked {
	n, sibling := n.insert(o, c)
	if sibling == nil {
		return n
	}
	return &ranked{owner: o, size: n.size + sibling.size, bounds: n.bounds.with(sibling.bounds), kids: []*ranked{n, sibling}}
}

// insert adds c. What does not fit into the node goes to a sibling after it.
func (n *ranked) insert(o *owner, c candidate) (self, sibling *ranked) {
	n = n.own(o)
	n.size++
	n.bounds = n.bounds.with(c.bounds())
	if n.kids == nil {
		i, _ := slices.BinarySearchFunc(n.items, c, candidate.compare)
		n.items = slices.Insert(n.items, i, c)
	} else {
		i := n.kidOf(c)
		kid, more := n.kids[i].insert(o, c)
		n.kids[i] = kid
		if more != nil {
			n.kids = slices.Insert(n.kids, i+1, more)
		}
	}
	if len(n.items) <= maxRanked && len(n.kids) <= maxRanked {
		return n, nil
	}
	return n, n.split(o)
}

func (n *ranked) split(o *owner) *ranked {
	const half = maxRanked / 2
	sibling := &ranked{owner: o}
	if n.kids == nil {
		sibling.items = slices.Clone(n.items[half:])
		sibling.size = len(sibling.items)
		n.items = slices.Clone(n.items[:half])
	} else {
		sibling.kids = slices.Clone(n.kids[half:])
		for _, kid := range sibling.kids {
			sibling.size += kid.size
		}
		n.kids = slices.Clone(n.kids[:half])
	}
	n.size -= sibling.size
	n.measure()
	sibling.measure()
	return sibling
}

// without returns the tree without c, which it has; nil when nothing is left.
func (n *ranked) without(o *owner, c candidate) *ranked {
	if n.size == 1 {
		return nil
	}
	n = n.own(o)
	n.size--
	if n.kids == nil {
		i, _ := slices.BinarySearchFunc(n.items, c, candidate.compare)
		n.items = slices.Delete(n.items, i, i+1)
		n.measure()
		return n
	}
	i := n.kidOf(c)
	if kid := n.kids[i].without(o, c); kid != nil {
		n.kids[i] = kid
	} else {
		n.kids = slices.Delete(n.kids, i, i+1)
	}
	n.measure()
	n.join(o, max(i-1, 0))
	if len(n.kids) == 1 {
		return n.kids[0]
	}
	return n
}

// join makes one of two neighbours that have become small, so that a tree that
// shrinks does not keep a node for each rule.
func (n *ranked) join(o *owner, i int) {
	if i+1 >= len(n.kids) {
		return
	}
	a, b := n.kids[i], n.kids[i+1]
	if (a.kids == nil) != (b.kids == nil) || len(a.items)+len(b.items)+len(a.kids)+len(b.kids) > maxRanked/2 {
		return
	}
	a = a.own(o)
	a.items, a.kids, a.size, a.bounds = append(a.items, b.items...), append(a.kids, b.kids...), a.size+b.size, a.bounds.with(b.bounds)
	n.kids[i] = a
	n.kids = slices.Delete(n.kids, i+1, i+2)
}
