package sessions

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"bintubridge/subjects"

	"github.com/nats-io/nats.go/jetstream"
)

// checkpoint is a machine and where it stood.
type checkpoint struct {
	Events   position        `json:"events"`   // the last event that was applied
	Sessions position        `json:"sessions"` // the last message that was told by then
	TakenAt  time.Time       `json:"taken_at"`
	Machine  json.RawMessage `json:"machine"`
	exists   bool
}

// position is a place in a stream. A stream that was made anew has another Created.
type position struct {
	Sequence uint64    `json:"sequence"`
	Created  time.Time `json:"created"`
}

// in returns the sequence to go on behind, in the stream as it is now: 0 when it is not the
// one it was, or has lost its end.
func (p position) in(info *jetstream.StreamInfo) uint64 {
	if !p.Created.Equal(info.Created) || p.Sequence > info.State.LastSeq {
		return 0
	}
	return p.Sequence
}

const (
	stateBucket    = "sessions_state" // both a KV bucket, for the lease, and an object store
	checkpointName = "checkpoint"
	stateBytes     = 256 << 20
	leaseBytes     = 1 << 20
)

// vault is where checkpoints lie. An object is replaced whole or not at all.
type vault struct{ store jetstream.ObjectStore }

func openVault(ctx context.Context, js jetstream.JetStream) (vault, error) {
	store, err := js.ObjectStore(ctx, stateBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		store, err = js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{
			Bucket: stateBucket, Description: "checkpoints of the sessions consumer", MaxBytes: stateBytes,
		})
	}
	if err != nil {
		return vault{}, fmt.Errorf("object store %s: %w", stateBucket, err)
	}
	return vault{store}, nil
}

// load returns the zero checkpoint when there is none.
func (v vault) load(ctx context.Context) (checkpoint, error) {
	data, err := v.store.GetBytes(ctx, checkpointName)
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return checkpoint{}, nil
	}
	if err != nil {
		return checkpoint{}, fmt.Errorf("read the checkpoint: %w", err)
	}
	var c checkpoint
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err == nil {
		data, err = io.ReadAll(z)
	}
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil {
		return checkpoint{}, fmt.Errorf("read the checkpoint: %w", err)
	}
	c.exists = true
	return c, nil
}

func (v vault) save(ctx context.Context, c checkpoint) error {
	data, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(data); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if _, err := v.store.PutBytes(ctx, checkpointName, b.Bytes()); err != nil {
		return fmt.Errorf("write the checkpoint: %w", err)
	}
	return nil
}

// tick is one that was told of: it came after an event, at a time of the server.
type tick struct {
	after uint64
	now   time.Time
}

// told is what SESSIONS holds behind a checkpoint.
type told struct {
	ids   map[string]bool
	ticks []tick
	last  uint64 // sequence of SESSIONS
}

// readTold reads the messages of SESSIONS behind the sequence.
func readTold(ctx context.Context, s jetstream.Stream, behind uint64) (told, error) {
	t := told{ids: map[string]bool{}, last: s.CachedInfo().State.LastSeq}
	if s.CachedInfo().State.Msgs == 0 || behind >= t.last {
		return t, nil
	}
	cons, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: behind + 1, HeadersOnly: true,
	})
	if err != nil {
		return t, fmt.Errorf("stream %s: %w", subjects.StreamSessions, err)
	}
	it, err := cons.Messages()
	if err != nil {
		return t, fmt.Errorf("stream %s: %w", subjects.StreamSessions, err)
	}
	defer it.Stop()
	for {
		msg, err := it.Next(jetstream.NextMaxWait(requestTimeout))
		if err != nil {
			return t, fmt.Errorf("stream %s: %w", subjects.StreamSessions, err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return t, fmt.Errorf("stream %s: %w", subjects.StreamSessions, err)
		}
		t.add(msg)
		if meta.NumPending == 0 || meta.Sequence.Stream >= t.last {
			t.last = max(t.last, meta.Sequence.Stream)
			return t, nil
		}
	}
}

func (t *told) add(msg jetstream.Msg) {
	t.ids[msg.Headers().Get(subjects.HeaderMsgID)] = true
	at, ok := tickOf(msg.Headers())
	if ok && (len(t.ticks) == 0 || t.ticks[len(t.ticks)-1] != at) {
		t.ticks = append(t.ticks, at)
	}
}
