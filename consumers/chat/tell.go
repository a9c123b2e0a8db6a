package chat

import (
	"context"
	"time"

	"bintubridge/consumers"
	"bintubridge/subjects"
)

// staleAfter is when a begin is no news any more: more than an hour, which clocks are set by.
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
		return nil
	}
	var age time.Duration
	if s.Kind == subjects.KindPublish {
		var err error
		if age, err = seen.ageOf(ctx, m); err != nil {
			return err
		}
		if wait := c.cfg.Settle - age; wait > 0 {
			return consumers.RetryIn(errSettle, wait)
		}
	}
	known, err := c.recall(ctx, key, s.Name)
	if err != nil {
		return err
	}
	next, message, told := c.judge(r, m, age, known)
	if next == known {
		return nil
	}
	if message != "" {
		text, err := r.render(message, told)
		if err != nil {
			return consumers.Permanent(err)
		}
		if err := r.shout.Send(ctx, text); err != nil {
			return err
		}
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
		if known.Session == s.Session || !c.isLive(s.Name, s.Session) || age > staleAfter {
			return next, "", told // told before, or gone before it settled
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
		return next, "", told // its begin was not told
	case now.Session != "":
		next.Dropped = true // another one goes on: its begin comes
		return next, "", told
	}
	next.Session, next.Dropped = "", false
	return next, ended, told
}
