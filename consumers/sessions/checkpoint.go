package sessions

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

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
	headKey    = "checkpoint"
	chunkBytes = 256 << 10 // well under a server's limit of a message
)

// head says where the checkpoint lies: in one of two slots, in chunks. The next one goes to the other
// slot, and is the checkpoint once the head is replaced.
type head struct {
	Slot   int    `json:"slot"`
	Chunks int    `json:"chunks"`
	SHA256 string `json:"sha256"` // of all chunks
}

func chunkKey(slot, i int) string { return fmt.Sprintf("%s.%d.%d", headKey, slot, i) }

// vault is where checkpoints lie. Each write names the revision it follows: of two that believe
// to be the active one, one fails, and no slot is ever a mixture.
type vault struct {
	kv        jetstream.KeyValue
	head      head
	revisions map[string]uint64
}

// errDamaged says that a checkpoint cannot be read, and what to do about it.
var errDamaged = errors.New("the checkpoint is damaged; if it stays so, delete the key checkpoint of the bucket sessions_state, " +
	"and sessions are derived anew from what EVENTS holds")

// openVault loads the last checkpoint, or the zero one when there is none. What was deleted has a revision, too.
func openVault(ctx context.Context, kv jetstream.KeyValue) (*vault, checkpoint, error) {
	v := &vault{kv: kv, revisions: map[string]uint64{}}
	w, err := kv.WatchAll(ctx, jetstream.MetaOnly())
	if err != nil {
		return nil, checkpoint{}, fmt.Errorf("KV %s: %w", kv.Bucket(), err)
	}
	defer func() { _ = w.Stop() }() // of no interest any more
	for entry := range w.Updates() {
		if entry == nil {
			c, err := v.load(ctx)
			return v, c, err
		}
		v.revisions[entry.Key()] = entry.Revision()
	}
	return nil, checkpoint{}, fmt.Errorf("KV %s: the load broke off", kv.Bucket())
}

func (v *vault) load(ctx context.Context) (checkpoint, error) {
	var c checkpoint
	entry, err := v.kv.Get(ctx, headKey)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("read the checkpoint: %w", err)
	}
	v.revisions[headKey] = entry.Revision()
	if err := json.Unmarshal(entry.Value(), &v.head); err != nil {
		return c, fmt.Errorf("%w: %w", errDamaged, err)
	}
	var data []byte
	for i := range v.head.Chunks {
		chunk, err := v.kv.Get(ctx, chunkKey(v.head.Slot, i))
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			return c, fmt.Errorf("%w: chunk %d: %w", errDamaged, i, err)
		}
		if err != nil {
			return c, fmt.Errorf("read the checkpoint: chunk %d: %w", i, err)
		}
		data = append(data, chunk.Value()...)
	}
	if digest(data) != v.head.SHA256 {
		return c, fmt.Errorf("%w: its digest is another one, or it was written meanwhile", errDamaged)
	}
	if err := unpack(data, &c); err != nil {
		return c, fmt.Errorf("%w: %w", errDamaged, err)
	}
	c.exists = true
	return c, nil
}

func (v *vault) save(ctx context.Context, c checkpoint) error {
	data, err := pack(c)
	if err != nil {
		return fmt.Errorf("write the checkpoint: %w", err)
	}
	next := head{Slot: 1 - v.head.Slot, SHA256: digest(data)}
	for ; len(data) > 0; next.Chunks++ {
		n := min(len(data), chunkBytes)
		if err := v.put(ctx, chunkKey(next.Slot, next.Chunks), data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	encoded, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("write the checkpoint: %w", err)
	}
	if err := v.put(ctx, headKey, encoded); err != nil {
		return err
	}
	v.head = next
	return nil
}

func (v *vault) put(ctx context.Context, key string, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	revision, err := v.kv.Update(ctx, key, data, v.revisions[key])
	if isTaken(err) {
		return fmt.Errorf("write the checkpoint: %w: %w", errFenced, err)
	}
	if err != nil {
		return fmt.Errorf("write the checkpoint: %w", err)
	}
	v.revisions[key] = revision
	return nil
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func pack(c checkpoint) ([]byte, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err = z.Write(data)
	if err := errors.Join(err, z.Close()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func unpack(data []byte, c *checkpoint) error {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return err
	}
	data, err = io.ReadAll(z)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, c)
}
