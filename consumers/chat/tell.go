package chat

import (
	"cmp"
	"context"
	"time"

	"bintubridge/consumers"
	"bintubridge/subjects"
)

// staleAfter is when a begin, or the end of what was not told, is no news any more: more than an hour,
// which clocks are set by.
const staleAfter = 2 * time.Hour

// settleLooks is how often KV live is looked at while a session settles, and at least: on a machine that
// stands still, time alone does not tell that it was.
const settleLooks = 2

// entry is what chat reads of KV live.
type entry struct {
	Name       string `json:"name"`
	Session    string `json:"session"`
	Viewers    int    `json:"viewers"`
	Reconnects int    `json:"reconnects"`
}

// tell handles one message for one room. Messages come one at a time.
func (c *chat) tell(ctx context.Context, key string, seen *sight, m *consumers.Message) error {
	r, s := (*c.rooms.Load())[key], &m.Session
	if r == nil || !r.wants(s.Name) || s.Kind == subjects.KindPlay && m.Subject != subjects.SessionStarted {
		return consumers.ErrSkip
	}
	age, err := seen.ageOf(ctx, m)
	if err != nil {
		return err
	}
	settle := c.cfg.Settle
	if s.Kind == subjects.KindPlay {
		settle = minSettle // the viewer is counted by then
	}
	if wait := settle - age; wait > 0 {
		seen.await(c.looks.Load() + settleLooks)
		return consumers.Wait(wait)
	}
	if c.looks.Load() < seen.looks {
		return consumers.Wait(time.Second / 10)
	}
	if seen.told != nil { // nobody wants to hear it twice because the memory is full
		return c.remember(ctx, key, s.Name, *seen.told)
	}
	known, err := c.recall(ctx, key, s.Name)
	if err != nil {
		return err
	}
	next, message, told := c.judge(r, m, age, known)
	if next == known {
		return consumers.ErrSkip
	}
	if message == "" {
		return cmp.Or(c.remember(ctx, key, s.Name, next), consumers.ErrSkip)
	}
	text, err := r.render(message, told)
	if err != nil {
		return consumers.Permanent(err)
	}
	if err := r.shout.Send(ctx, text); err != nil {
		return err
	}
	seen.told = &next
	return c.remember(ctx, key, s.Name, next)
}

// judge says what the room is to be told, "" for nothing, and what it knows then.
func (c *chat) judge(r *room, m *consumers.Message, age time.Duration, known memory) (memory, string, Told) {
	s := &m.Session
	now := c.liveOf(s.Name)
	told, next := r.told(s, now.Viewers), known
	switch {
	case s.Kind == subjects.KindPlay:
		if known.Session == "" {
			return next, "", told
		}
		for _, n := range r.milestones {
			if n > known.Milestone && now.Viewers >= n {
				next.Milestone, told.Milestone = n, n
			}
		}
		return next, milestone, told
	case m.Subject == subjects.SessionStarted || m.Subject == subjects.SessionResumed:
		on := c.entryOf(s.Name, s.Session)
		if on.Session == "" || !known.isNews(m) {
			return next, "", told // gone: the end of the session says whether it had settled
		}
		if age > staleAfter {
			c.skipped(r, m, age)
			return next, "", told
		}
		next, message := c.begun(known, s, on)
		return next, message, told
	case s.EndedAt.IsZero(): // something that a later version tells
		return next, "", told
	case known.Session != s.Session && !known.Dropped:
		if !c.missed(s, known) {
			return next, "", told
		}
		if age > staleAfter {
			c.skipped(r, m, age)
			return next, "", told
		}
		next.Over, next.Late = s.Session, s.EndedAt
		return next, ended, told
	case now.Session != "":
		next.Dropped = true // another one goes on: its begin comes
		return next, "", told
	}
	next.Session, next.Dropped, next.Over = "", false, s.Session
	return next, ended, told
}

// isNews reports whether the room has not heard of this begin, or of this return.
func (known memory) isNews(m *consumers.Message) bool {
	if m.Subject == subjects.SessionResumed {
		return known.Session == m.Session.Session && known.Resumed < m.Session.Reconnects
	}
	return known.Session != m.Session.Session
}

// begun says what the room is told of a session that began, or whose publisher is back, and goes on.
func (c *chat) begun(known memory, s *subjects.Session, on entry) (memory, string) {
	next := known
	next.Session, next.Dropped, next.Resumed = s.Session, false, max(s.Reconnects, on.Reconnects)
	switch {
	case known.Session == "" && !known.Dropped:
		next.Milestone = 0
		return next, live
	case (known.Dropped || known.Session == s.Session) && time.Since(known.Back) > c.cfg.Quiet:
		next.Back = time.Now().UTC()
		return next, back
	}
	return next, ""
}

// missed reports whether the end of a session is news although its begin was not told: it had settled, as
// when the room did not answer all the while. Of an encoder that flapped then, one is.
func (c *chat) missed(s *subjects.Session, known memory) bool {
	held := time.Duration(s.DurationMS) * time.Millisecond
	return known.Session == "" && known.Over != s.Session && held >= c.cfg.Settle && s.EndedAt.Sub(known.Late).Abs() > c.cfg.Quiet
}

func (c *chat) skipped(r *room, m *consumers.Message, age time.Duration) {
	c.log.Warn("too old to be told", "room", r.key, "id", m.ID, "age", age.Round(time.Second))
}
