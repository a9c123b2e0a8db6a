package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"bintubridge/consumers"
	"bintubridge/consumers/documents"
	"bintubridge/consumers/outbound"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"

	"github.com/nats-io/nats.go/jetstream"
)

// Name is the consumer's in readiness. A room's durable consumer is Name, a hyphen and its key.
const Name = "chat"

// Config is what the environment says.
type Config struct {
	Settle time.Duration `env:"CONSUMER_CHAT_SETTLE" envDefault:"15s" doc:"a begin or end is told when it has held this long, 3s or more; what came and went meanwhile is not"`
	Quiet  time.Duration `env:"CONSUMER_CHAT_QUIET" envDefault:"10m" doc:"a room is told at most once in this time that a stream is back after a drop"`

	Provision provision.Mode `env:"CONSUMER_PROVISION" envDefault:"auto" doc:"the bucket chat_state: auto creates it when it is missing, check only reports, off does neither"`
}

// Check implements settings.Checker.
func (c Config) Check() []error {
	var problems []error
	if c.Settle < minSettle {
		problems = append(problems, fmt.Errorf("CONSUMER_CHAT_SETTLE=%v: want %v or more", c.Settle, minSettle))
	}
	if c.Quiet < 0 {
		problems = append(problems, fmt.Errorf("CONSUMER_CHAT_QUIET=%v: may not be negative", c.Quiet))
	}
	return problems
}

// minSettle is how long it may take until a session that was told of is in KV live, and seen there:
// it is written and read each second.
const minSettle = 3 * time.Second

// chat is a running consumer.
type chat struct {
	cfg      Config
	js       jetstream.JetStream
	monitor  *consumers.Monitor
	log      *slog.Logger // of its own
	base     *slog.Logger // that the runner marks by itself
	memories jetstream.KeyValue

	rooms atomic.Pointer[map[string]*room]
	live  atomic.Pointer[map[string][]entry] // by stream name
	looks atomic.Uint64                      // at live, that worked
	known chan struct{}                      // closed when live was read

	table     *documents.Table[*room] // this and what follows is of the goroutine that follows the rooms
	senders   *documents.Supervisor
	leftovers *documents.Leftovers
}

// Run posts by the courier, which has to be http.DefaultTransport, until ctx ends, and then returns
// nil. Several instances may run.
func Run(ctx context.Context, js jetstream.JetStream, cfg Config, courier *outbound.Courier, monitor *consumers.Monitor, log *slog.Logger) error {
	if err := errors.Join(cfg.Check()...); err != nil {
		return err
	}
	if err := courier.Installed(); err != nil {
		return err
	}
	c := &chat{
		cfg: cfg, js: js, monitor: monitor, log: log.With("consumer", Name), base: log,
		known:     make(chan struct{}),
		leftovers: &documents.Leftovers{JS: js, Bucket: subjects.BucketChatRooms, Stream: subjects.StreamSessions, Prefix: Name + "-"},
	}
	c.senders = &documents.Supervisor{Run: c.serve, Watch: func(key string) *consumers.Watch { return monitor.Watch(Name+"-"+key, js.Conn()) }, Log: c.log}
	c.table = documents.NewTable("chat room", func(d documents.Document) (*room, error) { return compile(d, courier) }, c.log)
	defer courier.CloseIdleConnections()
	watch := monitor.Watch(Name, js.Conn())
	defer watch.Leave()
	for c.memories == nil && ctx.Err() == nil {
		if err := c.openMemories(ctx); err != nil {
			watch.Detached(err)
			pause(ctx)
		}
	}
	var group sync.WaitGroup
	group.Go(func() { c.followLive(ctx) })
	documents.Follow(ctx, js, subjects.BucketChatRooms, c.log, func(all []documents.Document) { c.apply(ctx, all, watch) }, func(err error) {
		watch.Looked(err)
		c.tidy(ctx)
	})
	c.senders.Close()
	group.Wait()
	return nil
}

func pause(ctx context.Context) {
	t := time.NewTimer(time.Second)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// followLive keeps who is live, a second old at most.
func (c *chat) followLive(ctx context.Context) {
	documents.Follow(ctx, c.js, subjects.BucketLive, c.log, func(all []documents.Document) {
		next := map[string][]entry{}
		for _, d := range all {
			var e entry
			if json.Unmarshal(d.Value, &e) == nil && e.Session != "" {
				next[e.Name] = append(next[e.Name], e)
			}
		}
		if c.live.Swap(&next) == nil {
			close(c.known)
		}
	}, func(err error) {
		if err == nil {
			c.looks.Add(1)
		}
	})
}

// liveOf returns a publish of the stream that goes on, or the zero entry.
func (c *chat) liveOf(name string) entry {
	if list := (*c.live.Load())[name]; len(list) > 0 {
		return list[0]
	}
	return entry{}
}

// entryOf returns the publish of the session if it goes on, or the zero entry.
func (c *chat) entryOf(name, session string) entry {
	for _, e := range (*c.live.Load())[name] {
		if e.Session == session {
			return e
		}
	}
	return entry{}
}

// apply makes the rooms those of the bucket.
func (c *chat) apply(ctx context.Context, all []documents.Document, watch *consumers.Watch) {
	rooms, refused := c.table.Apply(all)
	c.rooms.Store(&rooms)
	keys := make(map[string]bool, len(rooms))
	for key := range rooms {
		keys[key] = true
	}
	c.senders.Serve(ctx, keys)
	c.leftovers.Applied(all)
	watch.Refused("chat rooms", refused)
}

// serve runs the consumer of a room: one message at a time, so that their order is kept.
func (c *chat) serve(ctx context.Context, key string) error {
	select {
	case <-c.known:
	case <-ctx.Done():
		return nil
	}
	opts := consumers.Options{
		Name: Name + "-" + key, Stream: subjects.StreamSessions, Start: jetstream.DeliverNewPolicy,
		Workers: 1, MaxAckPending: 1, AckWait: 10 * time.Second, Monitor: c.monitor, Log: c.base,
	}
	seen := &sight{server: c.serverTime}
	return consumers.Run(ctx, c.js, opts, func(ctx context.Context, m *consumers.Message) error { return c.tell(ctx, key, seen, m) })
}

// tidy deletes the consumers of rooms that are gone.
func (c *chat) tidy(ctx context.Context) {
	keys, _, err := c.leftovers.Look(ctx)
	if err != nil {
		c.log.Debug("what rooms have left is not known", "error", err) // the stream may not be there yet
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, key := range keys {
		if err := c.js.DeleteConsumer(ctx, subjects.StreamSessions, Name+"-"+key); err != nil {
			c.log.Warn("the consumer of a room that is gone cannot be deleted", "room", key, "error", err)
		}
	}
}
