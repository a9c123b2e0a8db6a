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

// entry is what chat reads of KV live.
type entry struct {
	Name    string `json:"name"`
	Session string `json:"session"`
	Viewers int    `json:"viewers"`
}

// tell handles one message for one room. Messages come one at a time.
func (c *chat) tell(ctx context.Context, key string, seen *sight, m *consumers.Message) error {
	r, s := (*c.rooms.Load())[key], &m.Session
	if r == nil || !r.wants(s.Name) {
		return consumers.ErrSkip
	}
	var age time.Duration
	if s.Kind == subjects.KindPublish {
		var err error
		if age, err = seen.ageOf(ctx, m); err != nil {
			return err
		}
		if wait := c.cfg.Settle - age; wait > 0 {
			return consumers.Wait(wait)
		}
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
	return c.remember(ctx, key, s.Name, next)
}

// judge says what the room is to be told, "" for nothing, and what it knows then.
func (c *chat) judge(r *room, m *consumers.Message, age time.Duration, known memory) (memory, string, Told) {
	s := &m.Session
	now := c.liveOf(s.Name)
	told, next := r.told(s, now.Viewers), known
	switch {
	case s.Kind == subjects.KindPlay:
		if known.Session == "" || m.Subject != subjects.SessionStarted {
			return next, "", told
		}
		for _, n := range r.milestones {
			if n > known.Milestone && now.Viewers >= n {
				next.Milestone, told.Milestone = n, n
			}
		}
		return next, milestone, told
	case m.Subject == subjects.SessionStarted:
		if known.Session == s.Session || !c.isLive(s.Name, s.Session) {
			return next, "", told // told before, or gone: its end says whether it had settled
		}
		if age > staleAfter {
			c.skipped(r, m, age)
			return next, "", told
		}
		next.Session, next.Dropped = s.Session, false
		switch {
		case known.Session == "" && !known.Dropped:
			next.Milestone = 0
			return next, live, told
		case known.Dropped && time.Since(known.Back) > c.cfg.Quiet:
			next.Back = time.Now().UTC()
			return next, back, told
		}
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

// missed reports whether the end of a session is news although its begin was not told: it had settled, as
// when the room did not answer all the while. Of an encoder that flapped then, one is.
func (c *chat) missed(s *subjects.Session, known memory) bool {
	held := time.Duration(s.DurationMS) * time.Millisecond
	return known.Session == "" && known.Over != s.Session && held >= c.cfg.Settle && s.EndedAt.Sub(known.Late).Abs() > c.cfg.Quiet
}

func (c *chat) skipped(r *room, m *consumers.Message, age time.Duration) {
	c.log.Warn("too old to be told", "room", r.key, "id", m.ID, "age", age.Round(time.Second))
}
