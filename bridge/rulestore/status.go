package rulestore

import "time"

// Source says where the rules in force come from.
type Source string

// The sources.
const (
	SourceNone     Source = "none" // the defaults alone
	SourceSnapshot Source = "snapshot"
	SourceKV       Source = "kv"
)

// InvalidDocument is a document that was refused.
type InvalidDocument struct {
	Key      string `json:"key"`      // as stored; quote it, it may hold anything
	Revision uint64 `json:"revision"` // of the refused version
	InForce  uint64 `json:"in_force"` // of the version that goes on to decide; 0: none
	Err      string `json:"error"`    // what is wrong, one line a mistake, printable
}

// Status is what an operator wants to know of the rules.
type Status struct {
	Source       Source            `json:"source"`
	Created      time.Time         `json:"bucket_created,omitzero"` // of the bucket that Revision is of; zero: none seen yet
	Loaded       bool              `json:"loaded"`                  // rules were read from the bucket or the snapshot
	Revision     uint64            `json:"revision"`                // of the rule set
	Documents    int               `json:"documents"`               // in force
	Rules        int               `json:"rules"`                   // in force
	Invalid      []InvalidDocument `json:"invalid,omitempty"`
	InvalidCount int               `json:"invalid_count"`            // all of them; Invalid has the first by key, up to 100
	Age          time.Duration     `json:"-"`                        // since the rules were last known to be current
	AgeMS        int64             `json:"age_ms"`                   // Age in milliseconds
	Stale        bool              `json:"stale"`                    // Age is beyond Options.StaleAfter
	Trouble      string            `json:"trouble,omitempty"`        // why the bucket is not followed now, "" when it is
	SnapshotErr  string            `json:"snapshot_error,omitempty"` // why the last snapshot could not be written, "" when it could
}

// Status returns the state of the rules now.
func (s *Store) Status() Status {
	v := s.view.Load()
	age := s.age(time.Now())
	status := Status{
		Source:       v.source,
		Created:      v.created.UTC(),
		Loaded:       v.source != SourceNone,
		Revision:     v.table.Revision(),
		Documents:    v.documents,
		Rules:        v.table.Rules(),
		Invalid:      v.invalid,
		InvalidCount: v.invalidCount,
		Age:          age,
		AgeMS:        age.Milliseconds(),
		Stale:        s.stale(age),
		Trouble:      *s.trouble.Load(),
	}
	if s.saver != nil {
		status.SnapshotErr = s.saver.trouble()
	}
	return status
}
