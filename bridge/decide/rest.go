package decide

import (
	"cmp"
	"slices"
)

// rest is the rules that nothing of a request brings up, in groups of one kind: what
// is told of a group by its bounds need not be asked of each rule. It is ordered by
// kind, and never changed, only replaced.
type rest []restGroup

type restGroup struct {
	kind    restKind
	posting posting
}

// restKind is which calls a rule is for and which ends its time has: a rule of the
// rest that does not match is most often one for another call or another time. Those
// with an expression are one kind, the last: what they cost a request goes by who
// decides.
type restKind uint32

const (
	restFrom restKind = 1 << iota
	restUntil
	restCalls
	restWhen restKind = 1 << 31
)

func (r *rule) restKind() restKind {
	kind := restKind(r.calls) * restCalls
	switch m := r.more; {
	case m == nil:
		return kind
	case m.when != nil:
		return restWhen
	default:
		if !m.notBefore.IsZero() {
			kind |= restFrom
		}
		if !m.expiresAt.IsZero() {
			kind |= restUntil
		}
		return kind
	}
}

func (r rest) find(kind restKind) (i int, found bool) {
	return slices.BinarySearchFunc(r, kind, func(g restGroup, kind restKind) int { return cmp.Compare(g.kind, kind) })
}

func (r rest) at(kind restKind) posting {
	if i, found := r.find(kind); found {
		return r[i].posting
	}
	return posting{}
}

// with returns the rest with another posting of a kind.
func (r rest) with(kind restKind, p posting) rest {
	r = slices.Clone(r)
	i, found := r.find(kind)
	switch {
	case !found:
		return slices.Insert(r, i, restGroup{kind, p})
	case p.empty():
		return slices.Delete(r, i, i+1)
	}
	r[i].posting = p
	return r
}
