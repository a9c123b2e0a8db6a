package spool

import (
	"path/filepath"
	"slices"
	"strings"
)

// Record is a record as it was appended, and where it was found.
type Record struct {
	Seq     uint64
	SpoolID string
	Payload []byte // valid until each returns
	File    string
	Offset  int64
	Lost    bool // it stands behind damage, where the bridge does not read
}

// Records calls each for every whole record of the log in dir, also for those
// behind damage, in the log's order. Like Inspect it only reads. An error of each
// ends it and is returned.
func Records(dir string, each func(Record) error) error {
	paths, _, err := listFolder(dir)
	if err != nil {
		return err
	}
	kept, err := readable(paths)
	if err != nil {
		return err
	}
	var pos uint64
	return eachContent(paths, func(c *content) error {
		for _, r := range c.records {
			if r.lost && kept.has(c.header.id, r.seq) || !r.lost && r.seq <= pos {
				continue // another file has it: a crash came between two steps of a repair
			}
			if !r.lost {
				pos = r.seq
			}
			if err := each(c.record(r)); err != nil {
				return err
			}
		}
		return nil
	})
}

// LostRecords calls each for every whole record behind damage, in segments of the
// log and in those that were set aside, that no segment of the log holds where
// the bridge can read it. With a damaged header a file may have been set aside
// without a look at its records: all of them count. Originals of repairs are left out: what was whole in
// them went back into the log.
func LostRecords(dir string, each func(Record) error) error {
	paths, aside, err := listFolder(dir)
	if err != nil {
		return err
	}
	kept, err := readable(paths)
	if err != nil {
		return err
	}
	aside = slices.DeleteFunc(aside, func(path string) bool { return strings.HasSuffix(path, repairedSuffix) })
	all := slices.Concat(paths, aside)
	slices.SortFunc(all, func(a, b string) int { return strings.Compare(filepath.Base(a), filepath.Base(b)) })
	return eachContent(all, func(c *content) error {
		for _, r := range c.records {
			passed := !r.lost && c.headerRead() && len(c.problems) > 0 // else the file as a whole was not read
			if passed || kept.has(c.header.id, r.seq) {
				continue
			}
			kept.add(c.header.id, r.seq)
			if err := each(c.record(r)); err != nil {
				return err
			}
		}
		return nil
	})
}

// readable returns the records that the bridge can read.
func readable(paths []string) (sequences, error) {
	kept := sequences{}
	err := eachContent(paths, func(c *content) error {
		for _, r := range c.records {
			if !r.lost {
				kept.add(c.header.id, r.seq)
			}
		}
		return nil
	})
	return kept, err
}

func (c *content) record(r place) Record {
	return Record{Seq: r.seq, SpoolID: c.header.id, Payload: r.payload, File: c.path, Offset: r.offset, Lost: r.lost}
}

// sequences is a set of records, kept as runs for each spool id.
type sequences map[string][]run

type run struct{ from, to uint64 }

func (s sequences) add(id string, seq uint64) {
	runs := s[id]
	if n := len(runs); n > 0 && runs[n-1].to+1 == seq {
		runs[n-1].to = seq
		return
	}
	s[id] = append(runs, run{seq, seq})
}

func (s sequences) has(id string, seq uint64) bool {
	return slices.ContainsFunc(s[id], func(r run) bool { return r.from <= seq && seq <= r.to })
}
