package sessions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"bintubridge/subjects"

	"github.com/nats-io/nats.go/jetstream"
)

// Live is a value of the KV bucket live: a publish that goes on.
type Live struct {
	Name       string    `json:"name"`
	App        string    `json:"app"`
	Addr       string    `json:"addr"`
	ClientID   string    `json:"clientid"`
	Since      time.Time `json:"since"`     // the start of the session
	Viewers    int       `json:"viewers"`   // players of the stream
	LastSeen   time.Time `json:"last_seen"` // seconds behind at times, see seenEvery
	Rule       string    `json:"rule"`      // that allowed it
	Session    string    `json:"session"`   // as in session.started
	Reconnects int       `json:"reconnects"`
}

// LiveKey returns the key of a publish: <name>.<addr>.<clientid>, each encoded as a token.
func LiveKey(name, addr, clientID string) string {
	b := append(subjects.AppendToken(nil, name), '.')
	b = append(subjects.AppendToken(b, addr), '.')
	return string(subjects.AppendToken(b, clientID))
}

// live returns what is to be in the bucket for a publish, and false for nothing.
func (m *machine) live(k key) (Live, bool) {
	s := m.open[k]
	if s == nil || k.kind != subjects.KindPublish || s.Left != nil {
		return Live{}, false
	}
	return Live{
		Name: s.Told.Name, App: s.Told.App, Addr: s.Told.Addr, ClientID: s.Told.ClientID, Since: s.Told.StartedAt,
		Viewers: m.viewers(s.stream()), LastSeen: s.LastSeen, Rule: s.Told.Rule, Session: s.Told.Session, Reconnects: s.Told.Reconnects,
	}, true
}

// seenEvery is how old last_seen may become while nothing else changes.
const seenEvery = 10 * time.Second

// board keeps the bucket. Each write names the revision it follows: the writes of one
// that is no longer the active one fail.
type board struct {
	kv      jetstream.KeyValue
	written map[string]written
}

type written struct {
	revision uint64
	value    Live
}

// loadBoard reads the whole bucket.
func loadBoard(ctx context.Context, js jetstream.JetStream) (*board, error) {
	kv, err := js.KeyValue(ctx, subjects.BucketLive)
	if err != nil {
		return nil, fmt.Errorf("KV %s: %w", subjects.BucketLive, err)
	}
	b := &board{kv: kv, written: map[string]written{}}
	w, err := kv.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, fmt.Errorf("KV %s: %w", subjects.BucketLive, err)
	}
	defer func() { _ = w.Stop() }() // of no interest any more
	for {
		select {
		case entry, ok := <-w.Updates():
			if !ok {
				return nil, fmt.Errorf("KV %s: the load broke off", subjects.BucketLive)
			}
			if entry == nil {
				return b, nil
			}
			var value Live
			_ = json.Unmarshal(entry.Value(), &value) // what is not ours is written again
			b.written[entry.Key()] = written{entry.Revision(), value}
		case <-ctx.Done():
			return nil, fmt.Errorf("KV %s: %w", subjects.BucketLive, ctx.Err())
		}
	}
}

// sweep makes the bucket what the machine says, and deletes what else is there.
func (b *board) sweep(ctx context.Context, m *machine) error {
	stale := map[string]bool{}
	for name := range b.written {
		stale[name] = true
	}
	for k := range m.open {
		if k.kind != subjects.KindPublish {
			continue
		}
		m.touched[k] = struct{}{}
		if _, live := m.live(k); live {
			delete(stale, LiveKey(k.name, k.addr, k.clientID))
		}
	}
	for name := range stale {
		if err := b.remove(ctx, name); err != nil {
			return err
		}
	}
	return b.flush(ctx, m)
}

// flush writes what has changed.
func (b *board) flush(ctx context.Context, m *machine) error {
	for k := range m.touched {
		name := LiveKey(k.name, k.addr, k.clientID)
		var err error
		if value, live := m.live(k); live {
			err = b.put(ctx, name, value)
		} else {
			err = b.remove(ctx, name)
		}
		if err != nil {
			return err
		}
		delete(m.touched, k)
	}
	return nil
}

func (b *board) put(ctx context.Context, name string, value Live) error {
	have, exists := b.written[name]
	if exists && same(have.value, value) {
		return nil
	}
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("KV %s: %w", subjects.BucketLive, err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var revision uint64
	if exists {
		revision, err = b.kv.Update(ctx, name, data, have.revision)
	} else {
		revision, err = b.kv.Create(ctx, name, data)
	}
	if err != nil {
		return boardError(err)
	}
	b.written[name] = written{revision, value}
	return nil
}

func (b *board) remove(ctx context.Context, name string) error {
	have, exists := b.written[name]
	if !exists {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := b.kv.Delete(ctx, name, jetstream.LastRevision(have.revision)); err != nil {
		return boardError(err)
	}
	delete(b.written, name)
	return nil
}

func boardError(err error) error {
	if errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return fmt.Errorf("KV %s: %w: %w", subjects.BucketLive, errFenced, err)
	}
	return fmt.Errorf("KV %s: %w", subjects.BucketLive, err)
}

// same reports whether the entry need not be written again.
func same(have, want Live) bool {
	if age := want.LastSeen.Sub(have.LastSeen); age < 0 || age >= seenEvery {
		return false
	}
	have.LastSeen, have.Since = want.LastSeen, have.Since.UTC()
	return have == want
}
