package chat

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"bintubridge/consumers"
	"bintubridge/consumers/documents"
	"bintubridge/consumers/outbound"
	"bintubridge/subjects"
)

// What a room is told that was away, and when it was told what.
func TestMissed(t *testing.T) {
	type step struct {
		session string
		back    int  // how often it has come back, of a return
		later   bool // it is something that this version does not know
		ended   bool
		held    time.Duration // of an end
		at      time.Duration // when it ended
		age     time.Duration // of the message
		live    string        // sessions that go on, by comma, and how often they have come back
		want    string
	}
	const (
		hour = time.Hour
		min  = time.Minute
	)
	for name, tt := range map[string]struct {
		steps []step
		stale int // that the log tells of
	}{
		"told all":               {[]step{{session: "a", live: "a", want: live}, {session: "a", ended: true, held: hour, at: hour, want: ended}}, 0},
		"missed the begin":       {[]step{{session: "a"}, {session: "a", ended: true, held: hour, at: hour, want: ended}}, 0},
		"did not settle":         {[]step{{session: "a"}, {session: "a", ended: true, held: 15*time.Second - 1, at: hour}}, 0},
		"settled just so":        {[]step{{session: "a"}, {session: "a", ended: true, held: 15 * time.Second, at: hour, want: ended}}, 0},
		"end comes again":        {[]step{{session: "a", ended: true, held: hour, at: hour, want: ended}, {session: "a", ended: true, held: hour, at: hour}}, 0},
		"told all, comes again":  {[]step{{session: "a", live: "a", want: live}, {session: "a", ended: true, held: hour, at: hour, want: ended}, {session: "a", ended: true, held: hour, at: hour}}, 0},
		"flapped":                {[]step{{session: "a", ended: true, held: min, at: min, want: ended}, {session: "b", ended: true, held: min, at: 3 * min}, {session: "c", ended: true, held: min, at: 12 * min, want: ended}}, 0},
		"told, then missed":      {[]step{{session: "a", live: "a", want: live}, {session: "a", ended: true, held: hour, at: hour, want: ended}, {session: "b"}, {session: "b", ended: true, held: min, at: hour + 2*min, want: ended}}, 0},
		"missed, another is on":  {[]step{{session: "a", live: "b"}, {session: "a", ended: true, held: hour, at: hour, live: "b", want: ended}, {session: "b", live: "b", want: live}}, 0},
		"another is told of":     {[]step{{session: "a", live: "b"}, {session: "b", live: "b", want: live}, {session: "a", ended: true, held: hour, at: hour, live: "b"}, {session: "b", ended: true, held: hour, at: hour, want: ended}}, 0},
		"too old":                {[]step{{session: "a", age: 5 * hour}, {session: "a", ended: true, held: hour, at: hour, age: 4 * hour}}, 1},
		"begin too old, and on":  {[]step{{session: "a", live: "a", age: 3 * hour}, {session: "a", ended: true, held: 4 * hour, at: 4 * hour, want: ended}}, 1},
		"old, its begin is told": {[]step{{session: "a", live: "a", want: live}, {session: "a", ended: true, held: hour, at: hour, age: 4 * hour, want: ended}}, 0},
		"back after a drop":      {[]step{{session: "a", live: "a", want: live}, {session: "a", back: 1, live: "a", want: back}}, 0},
		"comes again":            {[]step{{session: "a", live: "a", want: live}, {session: "a", back: 1, live: "a", want: back}, {session: "a", back: 1, live: "a"}}, 0},
		"back before it settled": {[]step{{session: "a", live: "a 1", want: live}, {session: "a", back: 1, live: "a 1"}, {session: "a", back: 2, live: "a 2", want: back}}, 0},
		"flaps":                  {[]step{{session: "a", live: "a", want: live}, {session: "a", back: 1, live: "a 3", want: back}, {session: "a", back: 2, live: "a 3"}, {session: "a", back: 4, live: "a 4"}}, 0},
		"back and gone again":    {[]step{{session: "a", live: "a", want: live}, {session: "a", back: 1}, {session: "a", back: 2, live: "a 2", want: back}, {session: "a", ended: true, held: hour, at: hour, want: ended}}, 0},
		"back, never told of":    {[]step{{session: "a", back: 1, live: "a 1"}}, 0},
		"back, another is told":  {[]step{{session: "b", live: "a,b", want: live}, {session: "a", back: 1, live: "a 1,b"}}, 0},
		"a later version":        {[]step{{session: "a", live: "a", want: live}, {session: "a", later: true, live: "a"}, {session: "a", later: true}, {session: "a", ended: true, held: hour, at: hour, want: ended}}, 0},
		"back long ago":          {[]step{{session: "a", live: "a", want: live}, {session: "a", back: 1, live: "a 1", age: 3 * hour}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := compile(documents.Document{Key: "red", Value: []byte(`{"names":["*"],"url":"generic://host.example"}`)}, outbound.NewCourier(outbound.Guard{}))
			if err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			c := &chat{cfg: Config{Settle: 15 * time.Second, Quiet: 10 * time.Minute}, log: slog.New(slog.NewTextHandler(&log, nil))}
			var known memory
			for i, s := range tt.steps {
				goesOn := map[string][]entry{}
				for session := range strings.SplitSeq(s.live, ",") {
					if session != "" {
						e := entry{Name: "n"}
						_, _ = fmt.Sscan(session, &e.Session, &e.Reconnects) // without a number it never came back
						goesOn["n"] = append(goesOn["n"], e)
					}
				}
				c.live.Store(&goesOn)
				m := &consumers.Message{Subject: subjects.SessionStarted, Session: subjects.Session{Session: s.session, Kind: subjects.KindPublish, Name: "n"}}
				if s.back > 0 {
					m.Subject, m.Session.Reconnects = subjects.SessionResumed, s.back
				}
				if s.later {
					m.Subject = "session.paused"
				}
				if s.ended {
					m.Subject = subjects.SessionEnded
					m.Session.DurationMS, m.Session.EndedAt = s.held.Milliseconds(), time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC).Add(s.at)
				}
				var got string
				if known, got, _ = c.judge(r, m, s.age, known); got != s.want {
					t.Errorf("step %d: %q, want %q", i, got, s.want)
				}
			}
			if n := strings.Count(log.String(), "too old to be told"); n != tt.stale {
				t.Errorf("%d are told of, want %d", n, tt.stale)
			}
		})
	}
}
