package sessions

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"bintubridge/subjects"
)

// machine derives sessions. It is pure: no clock, no I/O, and the same calls of apply and tick
// give the same results. Times of events are the bridges' and say when something was; at and
// now are the server's and say when it was heard of.
type machine struct {
	timeout time.Duration // 0 is never
	grace   time.Duration

	clock    time.Time // latest at
	open     map[key]*session
	accepted memory[struct{}]  // by event id: asks that began or continued a session
	dones    memory[done]      // by key: dones of nobody, which may be early
	lost     memory[time.Time] // by key: when a lost session was last heard of

	// Made from open.
	streams map[stream]*audience
	touched map[key]struct{} // publishes whose entry in KV live may have changed
}

// key is what a session is known by.
type key struct{ kind, addr, clientID, name string }

func (k key) String() string {
	var b []byte
	for _, part := range []string{k.kind, k.addr, k.clientID, k.name} {
		b = append(subjects.AppendToken(b, part), '.')
	}
	return string(b)
}

// stream is what players watch.
type stream struct{ app, name string }

// audience is who is with a stream.
type audience struct {
	publishes map[key]*session
	viewers   int
}

// session is one that has not ended.
type session struct {
	Told     subjects.Session `json:"told"` // as it would be told; the end is still missing
	In       counter          `json:"in"`
	Out      counter          `json:"out"`
	Seen     time.Time        `json:"seen"`           // last sign of life, by the server's clock
	LastSeen time.Time        `json:"last_seen"`      // the same by the bridge's
	Accepted time.Time        `json:"accepted"`       // the connection it has now, by the bridge's clock
	Refused  bool             `json:"refused"`        // an update was refused: the server cuts it
	Left     *time.Time       `json:"left,omitempty"` // of a publisher that may come back: its done, by the bridge's clock
}

func (s *session) key() key {
	return key{s.Told.Kind, s.Told.Addr, s.Told.ClientID, s.Told.Name}
}

func (s *session) stream() stream { return stream{s.Told.App, s.Told.Name} }

// done is a done that came before what it ends.
type done struct {
	ReceivedAt time.Time       `json:"received_at"`
	In         subjects.Number `json:"in"`
	Out        subjects.Number `json:"out"`
}

// How long the machine remembers: repeats of asks, also while a clock is set by an hour and back,
// early dones, and lost sessions that may still be alive.
const (
	acceptedFor = 3 * time.Hour
	donesFor    = time.Minute
	lostFor     = time.Hour
)

func newMachine(timeout, grace time.Duration) *machine {
	return &machine{
		timeout: timeout, grace: grace,
		open:     map[key]*session{},
		accepted: newMemory[struct{}](acceptedFor), dones: newMemory[done](donesFor), lost: newMemory[time.Time](lostFor),
		streams: map[stream]*audience{}, touched: map[key]struct{}{},
	}
}

// apply takes an event that was stored at this time of the server, and returns what is to
// be told.
func (m *machine) apply(e *subjects.Event, at time.Time) []subjects.Session {
	if at.Before(m.clock.Add(-maxShift)) {
		m.setBack(m.clock.Sub(at))
	}
	if at.After(m.clock) {
		m.clock = at
	}
	m.accepted.forget(m.clock)
	m.dones.forget(m.clock)
	m.lost.forget(m.clock)
	if e.Name == "" {
		return nil // never accepted
	}
	refused := e.Decision != nil && e.Decision.Effect != subjects.EffectAllow
	switch call := subjects.ParseCall(e.Call); call {
	case subjects.Publish, subjects.Play:
		if !refused && e.Decision != nil {
			return m.accept(e, keyOf(e, call))
		}
	case subjects.UpdatePublish, subjects.UpdatePlay:
		return m.update(e, keyOf(e, call), refused)
	case subjects.PublishDone, subjects.PlayDone:
		return m.done(e, keyOf(e, call))
	}
	return nil
}

// setBack follows the server's clock when that was set back: what was heard before the jump would
// else be in the future, and nobody be given up until that comes.
func (m *machine) setBack(by time.Duration) {
	m.clock = m.clock.Add(-by)
	for _, s := range m.open {
		s.Seen = s.Seen.Add(-by)
	}
	m.accepted.setBack(by)
	m.dones.setBack(by)
	m.lost.setBack(by)
}

func keyOf(e *subjects.Event, call subjects.Call) key {
	kind := subjects.KindPublish
	if call == subjects.Play || call == subjects.UpdatePlay || call == subjects.PlayDone {
		kind = subjects.KindPlay
	}
	return key{kind, e.Addr, e.ClientID, e.Name}
}

func (m *machine) accept(e *subjects.Event, k key) []subjects.Session {
	if _, repeated := m.accepted.get(e.ID); repeated {
		return nil
	}
	m.accepted.add(e.ID, struct{}{}, m.clock)
	if s := m.open[k]; s != nil && s.Left == nil {
		m.heard(s, e) // accepted twice without a done between
		return nil
	}
	told := m.comesBack(e, k)
	if told == nil {
		told = append(m.endAway(k), m.begin(e, k))
	}
	if early, ok := m.dones.get(k.String()); ok && !e.ReceivedAt.After(early.ReceivedAt) {
		m.dones.remove(k.String())
		told = append(told, m.finish(m.open[k], early)...)
	}
	return told
}

// begin opens a session.
func (m *machine) begin(e *subjects.Event, k key) subjects.Session {
	m.lost.remove(k.String())
	s := &session{Told: subjects.Session{
		Session: e.ID, Kind: k.kind, Name: e.Name, App: e.App, Addr: e.Addr, ClientID: e.ClientID,
		Bridge: e.Bridge, Custom: e.Custom, StartedAt: e.ReceivedAt,
	}, Accepted: e.ReceivedAt}
	if e.Decision != nil {
		s.Told.Rule = e.Decision.Rule
	}
	m.heard(s, e)
	m.enter(s)
	started := s.Told
	started.ID = started.Session + "-started"
	started.PeakViewers = 0
	return started
}

// away returns the session of a publisher that left and may come back as e.
func (m *machine) away(e *subjects.Event, k key) *session {
	if k.kind != subjects.KindPublish {
		return nil
	}
	var found *session
	if a := m.streams[stream{e.App, e.Name}]; a != nil {
		for _, s := range a.publishes {
			if s.Left != nil && s.Told.Addr == e.Addr && (found == nil || s.Left.After(*found.Left) ||
				s.Left.Equal(*found.Left) && s.Told.Session < found.Told.Session) {
				found = s
			}
		}
	}
	return found
}

// comesBack continues the session of a publisher that returns in time, and tells of it; nil is that there
// is none.
func (m *machine) comesBack(e *subjects.Event, k key) []subjects.Session {
	s := m.away(e, k)
	if s == nil || e.ReceivedAt.Sub(*s.Left) > m.grace || m.open[k] != nil && m.open[k] != s {
		return nil
	}
	m.leave(s)
	s.Told.Reconnects++
	s.Told.HowEnded = ""
	s.Told.ClientID, s.Accepted, s.Left, s.Refused = e.ClientID, e.ReceivedAt, nil, false
	s.In.restart()
	s.Out.restart()
	m.heard(s, e)
	m.enter(s)
	resumed := s.Told
	resumed.ID = fmt.Sprintf("%s-%d-resumed", resumed.Session, resumed.Reconnects)
	resumed.ResumedAt, resumed.PeakViewers = e.ReceivedAt, 0
	return []subjects.Session{resumed}
}

// endAway ends the session that left and whose key is taken.
func (m *machine) endAway(k key) []subjects.Session {
	if s := m.open[k]; s != nil {
		return []subjects.Session{m.end(s)}
	}
	return nil
}

func (m *machine) update(e *subjects.Event, k key, refused bool) []subjects.Session {
	if s := m.open[k]; s != nil {
		if s.Left == nil {
			s.Refused = s.Refused || refused
			m.heard(s, e)
			m.touch(s)
		}
		return nil
	}
	last, ok := m.lost.get(k.String())
	if !ok || refused || !e.ReceivedAt.After(last) {
		return nil // of a connection that was never accepted, or late
	}
	if _, repeated := m.accepted.get(e.ID); repeated {
		return nil
	}
	m.accepted.add(e.ID, struct{}{}, m.clock)
	return []subjects.Session{m.begin(e, k)} // given up too early
}

func (m *machine) done(e *subjects.Event, k key) []subjects.Session {
	d := done{e.ReceivedAt, e.BytesIn, e.BytesOut}
	s := m.open[k]
	switch {
	case s == nil:
		m.lost.remove(k.String())
		m.dones.add(k.String(), d, m.clock)
		return nil
	case s.Left != nil, e.ReceivedAt.Before(s.Accepted):
		return nil // a repeat, or late: of an earlier connection of the same number
	}
	return m.finish(s, d)
}

// finish takes what the done says, and ends the session or begins its grace period.
func (m *machine) finish(s *session, d done) []subjects.Session {
	s.In.read(d.In)
	s.Out.read(d.Out)
	s.Seen, s.LastSeen = m.clock, d.ReceivedAt
	s.Told.HowEnded = subjects.EndedDone
	if s.Refused {
		s.Told.HowEnded = subjects.EndedCut
	}
	if s.Told.Kind == subjects.KindPublish && m.grace > 0 && !s.Refused {
		left := s.LastSeen
		s.Left = &left
		m.touch(s)
		return nil
	}
	return []subjects.Session{m.end(s)}
}

// end closes a session whose end is known.
func (m *machine) end(s *session) subjects.Session {
	m.leave(s)
	ended := s.Told
	ended.ID = ended.Session + "-ended"
	if ended.HowEnded == subjects.EndedTimeout {
		ended.ID = ended.Session + "-lost"
	}
	ended.EndedAt = s.LastSeen
	ended.DurationMS = max(0, ended.EndedAt.Sub(ended.StartedAt).Milliseconds())
	ended.BytesIn, ended.BytesOut = s.In.total(), s.Out.total()
	return ended
}

// tick gives up, at this time of the server, whom nothing was heard of and who did not come back. A
// tick that returns nothing has changed nothing.
func (m *machine) tick(now time.Time) []subjects.Session {
	var over []*session
	for _, s := range m.open {
		limit := m.timeout
		if s.Left != nil {
			limit = m.grace
		}
		if limit > 0 && now.Sub(s.Seen) > limit {
			over = append(over, s)
		}
	}
	slices.SortFunc(over, func(a, b *session) int {
		return cmp.Or(a.LastSeen.Compare(b.LastSeen), cmp.Compare(a.Told.Session, b.Told.Session))
	})
	told := make([]subjects.Session, 0, len(over))
	for _, s := range over {
		if s.Left == nil {
			s.Told.HowEnded = subjects.EndedTimeout
			m.lost.add(s.key().String(), s.LastSeen, m.clock)
		}
		told = append(told, m.end(s))
	}
	return told
}

// heard notes a sign of life. The counters of one that is late are old.
func (m *machine) heard(s *session, e *subjects.Event) {
	s.Seen = m.clock
	if e.ReceivedAt.Before(s.LastSeen) {
		return
	}
	s.In.read(e.BytesIn)
	s.Out.read(e.BytesOut)
	s.LastSeen = e.ReceivedAt
}

// enter puts a session among the open ones.
func (m *machine) enter(s *session) {
	m.open[s.key()] = s
	a := m.streams[s.stream()]
	if a == nil {
		a = &audience{publishes: map[key]*session{}}
		m.streams[s.stream()] = a
	}
	if s.Told.Kind == subjects.KindPlay {
		a.viewers++
	} else {
		a.publishes[s.key()] = s
	}
	for _, p := range a.publishes {
		if p.Left == nil {
			p.Told.PeakViewers = max(p.Told.PeakViewers, a.viewers)
		}
	}
	m.touch(s)
}

// leave takes it out again.
func (m *machine) leave(s *session) {
	m.touch(s)
	delete(m.open, s.key())
	a := m.streams[s.stream()]
	if s.Told.Kind == subjects.KindPlay {
		a.viewers--
	} else {
		delete(a.publishes, s.key())
	}
	if a.viewers == 0 && len(a.publishes) == 0 {
		delete(m.streams, s.stream())
	}
}

// touch notes whose entry in KV live a change of s may change.
func (m *machine) touch(s *session) {
	if s.Told.Kind == subjects.KindPublish {
		m.touched[s.key()] = struct{}{}
		return
	}
	for k := range m.streams[s.stream()].publishes {
		m.touched[k] = struct{}{}
	}
}

// viewers returns how many play the stream.
func (m *machine) viewers(of stream) int {
	if a := m.streams[of]; a != nil {
		return a.viewers
	}
	return 0
}
