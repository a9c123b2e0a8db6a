package sessions

import (
	"encoding/json"
	"fmt"
	"time"
)

// maxMemory bounds each memory: publishers that are refused may send as many dones as they like.
const maxMemory = 100_000

// memory remembers things by name for a while. What is over, or over the bound, it forgets oldest
// first.
type memory[V any] struct {
	life  time.Duration
	byKey map[string]*remembered[V]
	order []*remembered[V] // by time of adding; dead ones stay until their turn
}

type remembered[V any] struct {
	Key   string    `json:"key"`
	At    time.Time `json:"at"`
	Value V         `json:"value"`
}

func newMemory[V any](life time.Duration) memory[V] {
	return memory[V]{life: life, byKey: map[string]*remembered[V]{}}
}

func (m *memory[V]) add(k string, v V, at time.Time) {
	r := &remembered[V]{k, at, v}
	m.byKey[k] = r
	m.order = append(m.order, r)
}

func (m *memory[V]) get(k string) (v V, ok bool) {
	if r := m.byKey[k]; r != nil {
		return r.Value, true
	}
	return v, false
}

func (m *memory[V]) remove(k string) { delete(m.byKey, k) }

// setBack makes everything as much older as the clock was set back.
func (m *memory[V]) setBack(by time.Duration) {
	for _, r := range m.order {
		r.At = r.At.Add(-by)
	}
}

// forget drops what is older than its life at this time, or too much.
func (m *memory[V]) forget(now time.Time) {
	for len(m.order) > 0 && (len(m.order) > maxMemory || now.Sub(m.order[0].At) > m.life) {
		if r := m.order[0]; m.byKey[r.Key] == r {
			delete(m.byKey, r.Key)
		}
		m.order[0] = nil
		m.order = m.order[1:]
	}
}

// MarshalJSON writes what is remembered, oldest first. Dead entries are written as such: they
// count towards the bound, and a machine that was loaded must forget as the one that was saved.
func (m memory[V]) MarshalJSON() ([]byte, error) {
	type entry struct {
		remembered[V]
		Dead bool `json:"dead,omitempty"`
	}
	list := make([]entry, len(m.order))
	for i, r := range m.order {
		list[i] = entry{*r, m.byKey[r.Key] != r}
	}
	data, err := json.Marshal(list)
	if err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	return data, nil
}

// UnmarshalJSON reads it back. The life is kept.
func (m *memory[V]) UnmarshalJSON(data []byte) error {
	var list []struct {
		remembered[V]
		Dead bool `json:"dead"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return fmt.Errorf("memory: %w", err)
	}
	m.byKey, m.order = map[string]*remembered[V]{}, nil
	for i := range list {
		r := &list[i].remembered
		m.order = append(m.order, r)
		if !list[i].Dead {
			m.byKey[r.Key] = r
		}
	}
	return nil
}
