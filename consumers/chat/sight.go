package chat

import (
	"context"
	"fmt"
	"time"

	"bintubridge/consumers"
)

// sight is what is known of the message in work while it comes again: how old it was when it was seen first, by
// the server's clock that also stamped it. From then on a clock counts that nobody sets.
type sight struct {
	server   func(context.Context, string) (time.Time, error) // its time, of a stream
	sequence uint64
	age      time.Duration
	at       time.Time
	looks    uint64  // at KV live, before it is judged
	told     *memory // what the room knows since it was told, and could not be stored
}

// ageOf returns how old the message is: 0 at first when the server's clock was set back meanwhile.
func (s *sight) ageOf(ctx context.Context, m *consumers.Message) (time.Duration, error) {
	if s.sequence != m.Sequence {
		now, err := s.server(ctx, m.Stream)
		if err != nil {
			return 0, err
		}
		s.sequence, s.age, s.at, s.looks, s.told = m.Sequence, max(0, now.Sub(m.Time)), time.Now(), 0, nil
	}
	return s.age + time.Since(s.at), nil
}

// await says how many looks at KV live there are to be, unless that was said before.
func (s *sight) await(looks uint64) {
	if s.looks == 0 {
		s.looks = looks
	}
}

func (c *chat) serverTime(ctx context.Context, stream string) (time.Time, error) {
	s, err := c.js.Stream(ctx, stream)
	if err != nil {
		return time.Time{}, fmt.Errorf("stream %s: %w", stream, err)
	}
	return s.CachedInfo().TimeStamp, nil
}
