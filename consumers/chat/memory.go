package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"bintubridge/subjects"
	"bintubridge/subjects/provision"

	"github.com/nats-io/nats.go/jetstream"
)

// memory is what a room was told of a stream last.
type memory struct {
	Session   string    `json:"session"` // that it believes to be live, "" for none
	Dropped   bool      `json:"dropped"` // it ended, and another one was live already: the room was not told
	Back      time.Time `json:"back"`    // when it was told last that the stream is back
	Resumed   int       `json:"resumed"` // how often the session had come back when the room was told of it last
	Milestone int       `json:"milestone"`
	Over      string    `json:"over"` // the session whose end was told last
	Late      time.Time `json:"late"` // when the last one ended of which only the end was told
}

func (c *chat) openMemories(ctx context.Context) error {
	kv, drift, err := provision.OpenBucket(ctx, c.js, subjects.BucketChatState, c.cfg.Provision)
	for _, d := range drift {
		c.log.Warn("the bucket differs and is left as it is", "difference", d.String())
	}
	c.memories = kv
	return err
}

func memoryKey(room, name string) string {
	return room + "." + string(subjects.AppendToken(nil, name))
}

func (c *chat) recall(ctx context.Context, room, name string) (memory, error) {
	var m memory
	entry, err := c.memories.Get(ctx, memoryKey(room, name))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return m, nil
	}
	if err != nil {
		return m, fmt.Errorf("KV %s: %w", c.memories.Bucket(), err)
	}
	_ = json.Unmarshal(entry.Value(), &m) // what is not ours is forgotten
	return m, nil
}

func (c *chat) remember(ctx context.Context, room, name string, m memory) error {
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("KV %s: %w", c.memories.Bucket(), err)
	}
	if _, err := c.memories.Put(ctx, memoryKey(room, name), data); err != nil {
		return fmt.Errorf("KV %s: %w", c.memories.Bucket(), err)
	}
	return nil
}
