package decide

import (
	"encoding/binary"
	"sync/atomic"
	"time"
)

const (
	checkedSets = 1024
	checkedWays = 4
)

// checkedTokens remembers JWT that were found good, at most 4096, until they
// expire. A token has four places; when all are taken, the one that expires first
// gives way. Nobody waits for anybody: two that put into one place at once lose one
// of the two, which is checked again then. Forged tokens never come in, so they
// cannot push good ones out.
type checkedTokens struct {
	sets [checkedSets][checkedWays]atomic.Pointer[checkedToken]
}

func (c *checkedTokens) set(sum, condition *[32]byte) *[checkedWays]atomic.Pointer[checkedToken] {
	hash := binary.LittleEndian.Uint64(sum[:]) ^ binary.LittleEndian.Uint64(condition[:])
	return &c.sets[hash%checkedSets]
}

// find returns the token of this text that a condition's keys have signed, or nil.
func (c *checkedTokens) find(sum, condition *[32]byte) *checkedToken {
	set := c.set(sum, condition)
	for i := range set {
		if t := set[i].Load(); t != nil && t.sum == *sum && t.condition == *condition {
			return t
		}
	}
	return nil
}

func (c *checkedTokens) add(t *checkedToken) {
	set := c.set(&t.sum, &t.condition)
	place, first := 0, time.Time{}
	for i := range set {
		have := set[i].Load()
		if have == nil {
			place = i
			break
		}
		if i == 0 || have.expires.Before(first) {
			place, first = i, have.expires
		}
	}
	set[place].Store(t)
}
