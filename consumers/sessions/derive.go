package sessions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"bintubridge/consumers"
	"bintubridge/subjects"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The headers of SESSIONS by which a successor repeats what was done.
const (
	headerAfter = "sessions-after" // sequence of the last event before
	headerTick  = "sessions-tick"  // time of the tick, when it was told at one
)

// derivation is the active one's work: events through the machine into SESSIONS and KV live.
type derivation struct {
	*runner
	events  jetstream.Stream
	machine *machine
	vault   *vault
	board   *board
	dead    *consumers.DeadLetters

	at        position // in EVENTS
	told      told     // by predecessors: not to be told again, and ticks to repeat
	sessions  position // in SESSIONS: what the next message follows
	saved     position // at, in the last checkpoint
	savedTold uint64   // sessions.Sequence, in the last checkpoint
	anchor    anchor
	quiet     time.Time // no ticks before: nothing was heard meanwhile
	beaten    time.Time // when the last beat was
	caughtUp  bool
	reconnect uint64
}

// takeUp loads the checkpoint and what was told since.
func (r *runner) takeUp(ctx context.Context, kv jetstream.KeyValue) (*derivation, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	d := &derivation{runner: r, machine: newMachine(r.cfg.Timeout, r.cfg.Grace), dead: consumers.NewDeadLetters(r.js, Name)}
	var err error
	var c checkpoint
	if d.vault, c, err = openVault(ctx, kv); err != nil {
		return nil, err
	}
	if c.exists {
		if err := d.machine.restore(c.Machine); err != nil {
			return nil, err
		}
	}
	if d.events, err = r.js.Stream(ctx, subjects.StreamEvents); err != nil {
		return nil, fmt.Errorf("stream %s: %w", subjects.StreamEvents, err)
	}
	s, err := r.js.Stream(ctx, subjects.StreamSessions)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", subjects.StreamSessions, err)
	}
	d.at = position{c.Events.in(d.events.CachedInfo()), d.events.CachedInfo().Created}
	if d.told, err = readTold(ctx, s, c.Sessions.in(s.CachedInfo())); err != nil {
		return nil, err
	}
	d.sessions = position{d.told.last, s.CachedInfo().Created}
	d.saved, d.savedTold = d.at, d.sessions.Sequence
	d.anchor = newAnchor(d.events.CachedInfo().TimeStamp)
	d.listenAnew()
	d.board, err = loadBoard(ctx, r.js)
	return d, err
}

// listenAnew says that something may have been missed: silence counts from now on.
func (d *derivation) listenAnew() { d.quiet = time.Now().Add(d.cfg.Timeout) }

// filter is what the machine looks at, with every BRIDGE_SUBJECT.
func filter() []string {
	tokens := []string{"publish", "play", "update_publish", "update_play", "publish_done", "play_done", "denied.update_publish", "denied.update_play"}
	list := make([]string, 0, 2*len(tokens))
	for _, token := range tokens {
		list = append(list, "stream."+token, "stream."+token+".>")
	}
	return list
}

// follow applies events and ticks until ctx ends, or something goes wrong. An error, also of an end that came
// meanwhile, leaves the machine ahead of what was told.
func (d *derivation) follow(ctx context.Context) error {
	cons, err := d.events.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: filter(), DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: d.at.Sequence + 1,
	})
	if err != nil {
		return fmt.Errorf("stream %s: %w", subjects.StreamEvents, err)
	}
	d.caughtUp = cons.CachedInfo().NumPending == 0
	it, err := cons.Messages()
	if err != nil {
		return fmt.Errorf("stream %s: %w", subjects.StreamEvents, err)
	}
	defer it.Stop()
	d.watch.Attached("")
	d.beaten = time.Now()
	nextTick, nextSave := time.Now(), time.Now().Add(checkpointEvery)
	for ctx.Err() == nil {
		msg, err := it.Next(jetstream.NextMaxWait(max(time.Until(nextTick), time.Millisecond)))
		switch {
		case err == nil:
			err = d.event(ctx, msg)
		case errors.Is(err, nats.ErrTimeout):
			err = nil
		case errors.Is(err, jetstream.ErrNoHeartbeat):
			d.listenAnew()
			err = nil
		}
		if now := time.Now(); err == nil && !now.Before(nextTick) {
			nextTick = now.Add(tickEvery)
			err = d.beat(ctx)
			if err == nil && now.After(nextSave) {
				nextSave = now.Add(checkpointEvery)
				err = errors.Join(d.save(ctx), d.look(ctx))
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// event applies one message of EVENTS.
func (d *derivation) event(ctx context.Context, msg jetstream.Msg) error {
	m, err := consumers.Decode(msg)
	if m == nil {
		return err
	}
	if err := d.repeatTicks(ctx, m.Sequence); err != nil {
		return err
	}
	if err == nil {
		err = checkTexts(&m.Event)
	}
	redriven := m.Header.Get(subjects.HeaderRedrive)
	switch {
	case redriven != "" && redriven != Name: // another consumer's
	case err != nil:
		if err := d.dead.Put(ctx, m, err.Error()); err != nil {
			return err
		}
		d.watch.Died()
		d.log.Error("an event is dead", "sequence", m.Sequence, "error", err)
	default:
		if err := d.tell(ctx, d.machine.apply(&m.Event, m.Time), m.Sequence, time.Time{}); err != nil {
			return err
		}
	}
	d.at.Sequence = m.Sequence
	d.watch.Processed()
	meta, err := msg.Metadata()
	if err != nil {
		return fmt.Errorf("stream %s: %w", subjects.StreamEvents, err)
	}
	d.caughtUp = meta.NumPending == 0
	d.watch.Lag(meta.NumPending, 0)
	return nil
}

// repeatTicks repeats the ticks of predecessors that came before the event of this sequence.
func (d *derivation) repeatTicks(ctx context.Context, before uint64) error {
	for len(d.told.ticks) > 0 && d.told.ticks[0].after < before {
		t := d.told.ticks[0]
		d.told.ticks = d.told.ticks[1:]
		if err := d.tell(ctx, d.machine.tick(t.now), t.after, t.now); err != nil {
			return err
		}
	}
	return nil
}

// beat is done every second: once all events are applied, the machine's tick and KV live.
func (d *derivation) beat(ctx context.Context) error {
	now, at := time.Now(), d.anchor.now() // before all that may take its time
	if read := now.Add(readTime); now.Sub(d.beaten) > 2*tickEvery && read.After(d.quiet) {
		d.quiet = read // this process stood still: what came meanwhile waits in its socket
	}
	d.beaten = now
	nc := d.js.Conn()
	if n := nc.Stats().Reconnects; n != d.reconnect || !nc.IsConnected() {
		d.reconnect = n
		d.listenAnew()
		return nil
	}
	if !d.caughtUp {
		return nil
	}
	if err := d.repeatTicks(ctx, ^uint64(0)); err != nil {
		return err
	}
	if d.told.ids != nil { // all that was told is repeated
		d.told.ids, d.told.ticks = nil, nil
		if err := d.board.sweep(ctx, d.machine); err != nil {
			return err
		}
	}
	if now.After(d.quiet) {
		if err := d.tell(ctx, d.machine.tick(at), d.at.Sequence, at); err != nil {
			return err
		}
	}
	return d.board.flush(ctx, d.machine)
}

// look compares our time with the server's.
func (d *derivation) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	info, err := d.events.Info(ctx)
	if err != nil {
		return fmt.Errorf("stream %s: %w", subjects.StreamEvents, err)
	}
	if !info.Created.Equal(d.at.Created) {
		return fmt.Errorf("stream %s was made anew", subjects.StreamEvents)
	}
	if d.anchor.shift(info.TimeStamp) {
		d.log.Warn("the server's clock was set; silence counts anew")
		d.listenAnew()
	}
	return nil
}

// tell publishes what was not told yet. after and now are where it came from.
func (d *derivation) tell(ctx context.Context, list []subjects.Session, after uint64, now time.Time) error {
	for _, s := range list {
		if d.told.ids[s.ID] {
			continue
		}
		if err := d.publish(ctx, s, after, now); err != nil {
			return err
		}
	}
	return nil
}

func (d *derivation) publish(ctx context.Context, s subjects.Session, after uint64, now time.Time) error {
	msg, err := message(s, after, now)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	ack, err := d.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequence(d.sessions.Sequence))
	if isTooLarge(err) && s.Custom.Len() > 0 { // publishers choose them: they must not end it all
		d.log.Warn("a session is told without its custom fields: they are too large", "id", s.ID)
		s.Custom = subjects.Fields{}
		return d.publish(ctx, s, after, now)
	}
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
		return fmt.Errorf("publish %s: %w: %w", s.ID, errFenced, err)
	}
	if err != nil {
		return fmt.Errorf("publish %s: %w", s.ID, err)
	}
	if !ack.Duplicate {
		d.sessions.Sequence = ack.Sequence
	}
	return nil
}

// isTooLarge reports whether the client or the stream refused a message for its size.
func isTooLarge(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, nats.ErrMaxPayload) ||
		errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamMessageExceedsMaximum
}

// message is a CloudEvent, as those of the bridge are.
func message(s subjects.Session, after uint64, now time.Time) (*nats.Msg, error) {
	what := s.ID[strings.LastIndexByte(s.ID, '-')+1:]
	data, err := s.AppendJSON(nil)
	if err != nil {
		return nil, err
	}
	at := s.StartedAt
	for _, later := range []time.Time{s.ResumedAt, s.EndedAt} {
		if !later.IsZero() {
			at = later
		}
	}
	msg := nats.NewMsg("session." + what)
	msg.Data = data
	for name, value := range map[string]string{
		subjects.HeaderSpecVersion: subjects.SpecVersion, subjects.HeaderContentType: subjects.ContentType,
		subjects.HeaderID: s.ID, subjects.HeaderMsgID: s.ID, subjects.HeaderSource: "/consumers/sessions",
		subjects.HeaderType: "bintu.session." + what, subjects.HeaderTime: string(subjects.AppendTime(nil, at)),
		headerAfter: strconv.FormatUint(after, 10),
	} {
		msg.Header[name] = []string{value}
	}
	if about := subjects.AppendPercent(nil, s.Name); len(about) <= maxAbout { // the body has the name
		msg.Header[subjects.HeaderSubject] = []string{string(about)}
	}
	if !now.IsZero() {
		msg.Header[headerTick] = []string{now.UTC().Format(time.RFC3339Nano)}
	}
	return msg, nil
}

// tickOf returns the tick at which a message was told, if it was at one.
func tickOf(h nats.Header) (tick, bool) {
	after, err := strconv.ParseUint(h.Get(headerAfter), 10, 64)
	if err != nil {
		return tick{}, false
	}
	now, err := time.Parse(time.RFC3339Nano, h.Get(headerTick))
	return tick{after, now}, err == nil
}

// save writes a checkpoint when there is something new. While ticks of a predecessor are to be
// repeated there is none: they lie behind the last one.
func (d *derivation) save(ctx context.Context) error {
	if len(d.told.ticks) > 0 || d.told.ids != nil || d.at == d.saved && d.sessions.Sequence == d.savedTold {
		return nil
	}
	state, err := json.Marshal(d.machine.snapshot())
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	err = d.vault.save(ctx, checkpoint{Events: d.at, Sessions: d.sessions, TakenAt: d.anchor.now(), Machine: state})
	if err == nil {
		d.saved, d.savedTold = d.at, d.sessions.Sequence
	}
	return err
}
