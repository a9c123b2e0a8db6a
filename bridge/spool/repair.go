package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// repairedSuffix ends the name of a damaged segment whose whole records are all
// in the log again.
const repairedSuffix = ".repaired" + damagedSuffix

// partSuffix ends the name of a file that a repair is writing. The bridge does
// not look at it.
const partSuffix = ".repairing"

// RepairedSegment is what Repair did, or would do, with a damaged segment.
type RepairedSegment struct {
	File     string    `json:"file"`
	Problems []Problem `json:"problems"`
	Left     string    `json:"left,omitempty"`    // why it was left as it is, and what can be done
	KeptAs   string    `json:"kept_as,omitempty"` // the damaged original
	Written  []string  `json:"written,omitempty"` // the segments in its place
	Salvaged int       `json:"salvaged"`          // records from behind damage that are in the log again
	Taken    int       `json:"taken"`             // whole records whose sequences a later run of the bridge has given away
}

// Repair puts whole records behind damage back into the log in dir. The bridge
// must not run: the caller holds the lock of its data folder. With dryRun it only
// reads.
//
// A damaged segment is replaced by one for each run of records without a gap.
// They keep spool id and sequences, hence their events' ids, and stay in order.
// The original is kept under a name ending in .damaged. A crash in between leaves
// a log that is at least as good as before, and Repair can be called again.
//
// Left alone are torn ends, which the bridge cuts itself; segments that have been
// passed by the cursor, because what is behind it is not sent again (LostRecords finds
// what is in them); and those whose header cannot be rebuilt.
//
// watch counts a segment when it was read, and one that is damaged again when it was repaired.
func Repair(dir string, dryRun bool, watch Watch) ([]RepairedSegment, error) {
	r, err := newRepairer(dir, watch)
	if err == nil && !dryRun {
		err = removeParts(dir)
	}
	if err != nil {
		return nil, err
	}
	done := []RepairedSegment{}
	read := len(r.log.seen)
	of := read + r.log.damaged()
	for i := range r.log.seen {
		m, err := r.mend(i)
		if err != nil {
			return done, err
		}
		if m == nil {
			continue
		}
		if !dryRun && m.out.Left == "" {
			if err := m.carryOut(); err != nil {
				return done, err
			}
		}
		done = append(done, m.out)
		watch.tell(read+len(done), of)
	}
	return done, nil
}

// repairer knows the log as it was before the repair. It keeps no payloads: those of one
// segment at a time fit into memory, those of a whole spool may not.
type repairer struct {
	dir   string
	log   order
	ids   []string
	acked uint64
}

func newRepairer(dir string, watch Watch) (*repairer, error) {
	paths, _, err := listFolder(dir)
	if err != nil {
		return nil, err
	}
	cur := ReadCursor(dir)
	r := &repairer{dir: dir, acked: cur.Seq, ids: headerIDs(osDisk{}, paths)}
	if err := eachContent(paths, func(c *content) error {
		r.log.add(c)
		watch.tell(len(r.log.seen), len(paths))
		return nil
	}); err != nil {
		return nil, err
	}
	r.log.judge(cur.Seq, true)
	return r, nil
}

// mend plans the repair of the segment at i; nil when it needs none.
func (r *repairer) mend(i int) (*mend, error) {
	s := &r.log.seen[i]
	if !s.damaged() {
		return nil, nil
	}
	c, err := readContent(s.path, r.ids)
	if err != nil {
		return nil, err
	}
	m := &mend{dir: r.dir, c: c, limit: r.log.limit(i), misplaced: s.misplaced}
	m.out = RepairedSegment{File: filepath.Base(s.path), Problems: s.problems}
	m.plan(r.acked)
	return m, nil
}

// mend is the repair of one segment.
type mend struct {
	dir       string
	c         *content
	limit     uint64 // first sequence that a later segment holds, 0 when there is none
	misplaced string // see content
	runs      [][]place
	out       RepairedSegment
}

// plan decides what to do and says it in out.
func (m *mend) plan(acked uint64) {
	c := m.c
	switch {
	case c.unread:
		m.out.Left = "it cannot be read; see that it can, or move it out of the folder"
		return
	case m.misplaced != "":
		m.out.Left = m.misplaced + "; what the bridge does not read, export --lost and redrive send once the bridge has set it aside"
		return
	case !c.known:
		m.out.Left = "its header cannot be rebuilt, and records can only be checked with it; restore the file from a backup, or leave it: the bridge sets it aside"
		return
	case len(c.records) == 0:
		m.out.Left = "not one whole record is in it; leave it: the bridge sets it aside"
		return
	case c.last() <= acked:
		m.out.Left = "the bridge has passed it; bridgectl spool export --lost shows the whole events behind the damage"
		return
	}
	for _, r := range c.records {
		if m.limit > 0 && r.seq >= m.limit {
			m.out.Taken++
			continue
		}
		if r.lost {
			m.out.Salvaged++
		}
		if n := len(m.runs); n > 0 && m.runs[n-1][len(m.runs[n-1])-1].seq+1 == r.seq {
			m.runs[n-1] = append(m.runs[n-1], r)
		} else {
			m.runs = append(m.runs, []place{r})
		}
	}
	for _, records := range m.runs {
		path := segmentPath(m.dir, records[0].seq)
		if _, err := os.Lstat(path); err == nil && path != c.path {
			m.out.Left = fmt.Sprintf("another file has the name %s", filepath.Base(path))
			return
		}
		m.out.Written = append(m.out.Written, filepath.Base(path))
	}
	suffix := repairedSuffix
	if m.out.Taken > 0 {
		suffix = damagedSuffix // LostRecords still has to look into it
	}
	m.out.KeptAs = fmt.Sprintf("%s.%d%s", filepath.Base(c.path), time.Now().UnixNano(), suffix)
}

// steps are what carries the plan out. The log is whole after each of them: the runs
// from behind damage come first, and what stands under the original's own name
// goes last.
func (m *mend) steps() []func() error {
	original := m.c.path
	var steps []func() error
	for _, records := range m.runs {
		steps = append(steps, func() error { return m.write(segmentPath(m.dir, records[0].seq)+partSuffix, records) })
	}
	steps = append(steps,
		func() error { return os.Link(original, filepath.Join(m.dir, m.out.KeptAs)) },
		func() error { return syncDir(m.dir) })
	replaced := false
	for _, records := range slices.Backward(m.runs) {
		path := segmentPath(m.dir, records[0].seq)
		replaced = replaced || path == original
		steps = append(steps, func() error { return os.Rename(path+partSuffix, path) })
	}
	if !replaced { // not one record before the damage
		steps = append(steps, func() error { return os.Remove(original) })
	}
	return append(steps, func() error { return syncDir(m.dir) })
}

func (m *mend) carryOut() error {
	for _, step := range m.steps() {
		if err := step(); err != nil {
			return fmt.Errorf("repair %s: %w; the log is as readable as before, repair again once that is mended", m.c.path, err)
		}
	}
	return nil
}

// removeParts removes what a repair that was killed has left.
func removeParts(dir string) error {
	parts, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix+partSuffix))
	for _, path := range parts {
		err = errors.Join(err, os.Remove(path))
	}
	if err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	return nil
}

// write makes a segment of records that follow each other, durable and owned by
// whom the original is owned by: the bridge may run as another user than the one
// who repairs.
func (m *mend) write(path string, records []place) (err error) {
	h := header{first: records[0].seq, id: m.c.header.id, created: m.c.header.created}
	b := h.encode()
	for _, r := range records {
		b = appendFrame(b, h.salt, r.seq, r.payload)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := os.Stat(m.c.path)
	if err != nil {
		return err
	}
	if was, ok := info.Sys().(*syscall.Stat_t); ok && int(was.Uid) != os.Geteuid() {
		if err := f.Chown(int(was.Uid), int(was.Gid)); err != nil {
			return err
		}
	}
	if _, err := f.Write(b); err != nil {
		return err
	}
	return f.Sync()
}
