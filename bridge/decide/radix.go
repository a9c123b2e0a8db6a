package decide

import (
	"bytes"
	"slices"
	"strings"
)

// radix is a persistent radix tree over what names begin with. Looking a name up
// touches the prefixes it has and nothing else, each of its bytes once.
type radix struct {
	owner  *owner
	label  string // what the names below have after the parent's
	here   posting
	firsts []byte // first byte of each child's label
	kids   []*radix
}

func (n *radix) own(o *owner) *radix {
	if n.owner == o {
		return n
	}
	return &radix{owner: o, label: n.label, here: n.here, firsts: slices.Clone(n.firsts), kids: slices.Clone(n.kids)}
}

// at returns what stands under exactly this prefix. The nil tree is empty.
func (n *radix) at(prefix string) posting {
	for n != nil && prefix != "" {
		if n = n.next(prefix); n != nil {
			prefix = prefix[len(n.label):]
		}
	}
	if n == nil {
		return posting{}
	}
	return n.here
}

// next returns the child whose whole label rest, not empty, begins with.
func (n *radix) next(rest string) *radix {
	i := bytes.IndexByte(n.firsts, rest[0])
	if i < 0 || !strings.HasPrefix(rest, n.kids[i].label) {
		return nil
	}
	return n.kids[i]
}

// with returns the tree with c under prefix.
func (n *radix) with(o *owner, prefix string, c candidate) *radix {
	if n == nil {
		n = &radix{owner: o}
	}
	n = n.own(o)
	if prefix == "" {
		n.here = n.here.with(o, c)
		return n
	}
	i := bytes.IndexByte(n.firsts, prefix[0])
	if i < 0 {
		leaf := &radix{owner: o, label: prefix}
		leaf.here = leaf.here.with(o, c)
		n.firsts, n.kids = append(n.firsts, prefix[0]), append(n.kids, leaf)
		return n
	}
	kid := n.kids[i]
	if common := commonPrefix(prefix, kid.label); common < len(kid.label) {
		kid = kid.cut(o, common)
	}
	n.kids[i] = kid.with(o, prefix[len(kid.label):], c)
	return n
}

// cut puts a node above n that has the first bytes of its label.
func (n *radix) cut(o *owner, at int) *radix {
	below := n.own(o)
	above := &radix{owner: o, label: n.label[:at], firsts: []byte{n.label[at]}, kids: []*radix{below}}
	below.label = n.label[at:]
	return above
}

// without returns the tree without c, which stands under prefix; nil when
// nothing is left.
func (n *radix) without(o *owner, prefix string, c candidate) *radix {
	n = n.own(o)
	if prefix == "" {
		n.here = n.here.without(o, c)
	} else {
		i := bytes.IndexByte(n.firsts, prefix[0])
		if kid := n.kids[i].without(o, prefix[len(n.kids[i].label):], c); kid != nil {
			n.kids[i] = kid.joined(o)
		} else {
			n.firsts, n.kids = slices.Delete(n.firsts, i, i+1), slices.Delete(n.kids, i, i+1)
		}
	}
	if n.here.empty() && len(n.kids) == 0 {
		return nil
	}
	return n
}

// joined undoes a cut that no longer serves: a node below the root that holds
// nothing and has one child becomes one with it.
func (n *radix) joined(o *owner) *radix {
	if !n.here.empty() || len(n.kids) > 1 {
		return n
	}
	kid := n.kids[0].own(o)
	kid.label = n.label + kid.label
	return kid
}

func commonPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// visit offers what stands under each prefix of the name.
func (n *radix) visit(s *search) {
	rest := s.in.Name
	for n != nil {
		s.visit(&n.here, IndexPrefix)
		if rest == "" {
			return
		}
		if n = n.next(rest); n != nil {
			rest = rest[len(n.label):]
		}
	}
}
