package spool

import (
	"fmt"
	"path/filepath"
	"slices"
)

// order sees the segments of a log one after the other and judges what only
// their neighbours can tell: which sequences are missing, and whether a bad end
// is a torn record or damage.
type order struct {
	seen []summary
}

// summary is what order keeps of a segment.
type summary struct {
	path        string
	first, last uint64
	begins      uint64 // first, or the sequence behind the last one that a record before it had
	claimed     uint64 // as content's
	torn        bool
	misplaced   string // why its records are not in their place
	records     int
	size        int64
	blank       bool
	tail        bool      // the last of problems reaches to the end
	problems    []Problem // in the file
	before      []Problem // between the file and the one before it
}

func (o *order) add(c *content) {
	if c.unread { // its name alone proves nothing
		o.seen = append(o.seen, summary{path: c.path, tail: true, problems: c.problems})
		return
	}
	o.seen = append(o.seen, summary{
		path: c.path, first: c.first(), last: c.last(), begins: c.first() - c.header.leftOut,
		claimed: c.claimed, torn: c.torn, misplaced: c.misplaced, records: len(c.records), size: c.size,
		tail: c.damagedTail() != nil, problems: c.problems, blank: c.blank,
	})
}

// judge completes the problems of the segments. Sequences up to passed are in
// JetStream, and nobody misses them; fromCursor says that passed is known.
func (o *order) judge(passed uint64, fromCursor bool) {
	last, expect := passed, fromCursor // expect: what follows last must not be further on
	for i := range o.seen {
		s := &o.seen[i]
		next, follows := o.following(i)
		if s.blank {
			if follows { // else it is the next one, which a running bridge prepares
				s.before = append(s.before, Problem{File: filepath.Base(s.path), Bytes: s.size, Reason: "nothing but zeros, in the middle of the log"})
			}
			continue
		}
		if last = max(last, passed); expect && s.begins > last+1 {
			s.before = append(s.before, Problem{
				File: filepath.Base(s.path), Reason: "the records before it are gone", MissingFrom: last + 1, MissingTo: s.begins - 1,
			})
		}
		last, expect = max(last, s.last), true
		if !s.tail {
			continue
		}
		tail := &s.problems[len(s.problems)-1]
		tail.Torn = s.torn && (!follows || next <= s.last+1)
		until := s.claimed
		if follows {
			until = next - 1
		} else if !tail.Torn && tail.Offset >= headerSize {
			tail.Reason += "; while a bridge runs it may be being written: look again"
		}
		if !tail.Torn && until > last {
			tail.MissingFrom, tail.MissingTo = last+1, until
			last = until
		}
	}
}

// end returns the highest sequence that the log is known to have had.
func (o *order) end() uint64 {
	var end uint64
	for _, s := range o.seen {
		end = max(end, s.last, s.claimed)
		if s.first > 0 {
			end = max(end, s.begins-1)
		}
	}
	return end
}

// problems returns all that were found, in the order of the log.
func (o *order) problems() []Problem {
	all := []Problem{}
	for _, s := range o.seen {
		all = append(append(all, s.before...), s.problems...)
	}
	return all
}

// damaged says whether there is more in the file than a torn end.
func (s *summary) damaged() bool {
	return slices.ContainsFunc(s.problems, func(p Problem) bool { return !p.Torn })
}

// damaged counts the segments that have more than a torn end.
func (o *order) damaged() int {
	n := 0
	for i := range o.seen {
		if o.seen[i].damaged() {
			n++
		}
	}
	return n
}

// limit returns the first sequence that segments behind the one at i hold, 0
// when there is none.
func (o *order) limit(i int) uint64 {
	for _, s := range o.seen[i+1:] {
		if s.records > 0 || len(s.problems) > 0 {
			return s.first
		}
	}
	return 0
}

// following returns the first sequence of the next segment that is not blank.
func (o *order) following(i int) (first uint64, ok bool) {
	for _, s := range o.seen[i+1:] {
		if !s.blank && s.begins > 0 {
			return s.begins, true
		}
	}
	return 0, false
}

// String names the place and what is wrong there.
func (p Problem) String() string {
	text := fmt.Sprintf("%s: offset %d: %s", p.File, p.Offset, p.Reason)
	switch p.MissingFrom {
	case 0:
	case p.MissingTo:
		text += fmt.Sprintf("; sequence %d is missing", p.MissingFrom)
	default:
		text += fmt.Sprintf("; sequences %d to %d are missing", p.MissingFrom, p.MissingTo)
	}
	if p.Torn {
		text += " (the torn end of the log; nothing is missing)"
	}
	return text
}

// taken knows which sequences the segments before have, of which run.
type taken []held

type held struct {
	id   string
	last uint64
	path string
}

// mark notes what is wrong with the place of c in the log: its name is not that of
// its header, or another run's records have its sequences, so that the bridge does not
// read them. A file that was set aside has no place.
func (t *taken) mark(c *content) {
	if !c.headerRead() || !c.known || filepath.Ext(c.path) != segmentSuffix {
		return
	}
	_, last := c.readableEnd()
	for _, h := range *t {
		if h.id == c.header.id || c.header.first > min(h.last, last) {
			continue
		}
		c.misplaced = fmt.Sprintf("sequences from %d on are in %s too, from another run", c.header.first, filepath.Base(h.path))
		for i := range c.records {
			c.records[i].lost = c.records[i].lost || c.records[i].seq <= h.last
		}
	}
	*t = append(*t, held{c.header.id, last, c.path})
	if c.misplaced == "" && nameSequence(c.path) != c.header.first {
		c.misplaced = fmt.Sprintf("its header says that it begins with %d; it is read in that place", c.header.first)
	}
	if c.misplaced != "" {
		c.problems = append([]Problem{{File: filepath.Base(c.path), Offset: firstOffset, Reason: c.misplaced}}, c.problems...)
	}
}
