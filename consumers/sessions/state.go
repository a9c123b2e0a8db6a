package sessions

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// stateVersion is of the form below. A later one reads all earlier ones.
const stateVersion = 1

// snapshot is a machine as a checkpoint holds it.
type snapshot struct {
	Version  int               `json:"version"`
	Clock    time.Time         `json:"clock"`
	Open     []*session        `json:"open"`
	Accepted memory[struct{}]  `json:"accepted"`
	Dones    memory[done]      `json:"dones"`
	Lost     memory[time.Time] `json:"lost"`
}

func (m *machine) snapshot() snapshot {
	s := snapshot{Version: stateVersion, Clock: m.clock, Accepted: m.accepted, Dones: m.dones, Lost: m.lost}
	for _, o := range m.open {
		s.Open = append(s.Open, o)
	}
	slices.SortFunc(s.Open, func(a, b *session) int { return cmp.Compare(a.Told.Session, b.Told.Session) })
	return s
}

// restore makes the machine the one that was saved.
func (m *machine) restore(data []byte) error {
	s := snapshot{Accepted: m.accepted, Dones: m.dones, Lost: m.lost}
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("sessions: %w", err)
	}
	if s.Version != stateVersion {
		return fmt.Errorf("sessions: the state is of version %d, this program reads %d", s.Version, stateVersion)
	}
	m.clock, m.accepted, m.dones, m.lost = s.Clock, s.Accepted, s.Dones, s.Lost
	for _, o := range s.Open {
		m.enter(o)
	}
	return nil
}
