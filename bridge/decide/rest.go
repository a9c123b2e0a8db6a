package decide

import "slices"

// rest is the rules that nothing of a request brings up, in groups of one kind: what
// is told of a group by its bounds need not be asked of each rule. It is never
// changed, only replaced.
type rest []restGroup

type restGroup struct {
	kind    restKind
	posting posting
}

// restKind is which calls a rule is for and which ends its time has. A rule of the
// rest that does not match is most often one for another call or another time.
type restKind struct {
	calls       callSet
	from, until bool
}

func (r *rule) restKind() restKind {
	kind := restKind{calls: r.calls}
	if r.more != nil {
		kind.from, kind.until = !r.more.notBefore.IsZero(), !r.more.expiresAt.IsZero()
	}
	return kind
}

func (r rest) find(kind restKind) int {
	return slices.IndexFunc(r, func(g restGroup) bool { return g.kind == kind })
}

func (r rest) at(kind restKind) posting {
	if i := r.find(kind); i >= 0 {
		return r[i].posting
	}
	return posting{}
}

// with returns the rest with another posting of a kind.
func (r rest) with(kind restKind, p posting) rest {
	r = slices.Clone(r)
	switch i := r.find(kind); {
	case i < 0:
		return append(r, restGroup{kind, p})
	case p.empty():
		return slices.Delete(r, i, i+1)
	default:
		r[i].posting = p
		return r
	}
}
