package chat

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"bintubridge/consumers"
	"bintubridge/consumers/documents"
	"bintubridge/consumers/outbound"
	"bintubridge/subjects"

	"github.com/nats-io/nats.go/jetstream"
)

// A message is as old as it is, whatever is done to the clocks: the wait until it has settled is never
// longer than it should be, and none becomes stale by a jump of an hour.
func TestAge(t *testing.T) {
	type look struct {
		sleep, jump time.Duration // before it, of the server's clock
		sequence    uint64
		want        time.Duration
	}
	for name, looks := range map[string][]look{
		"steady":                  {{2 * time.Second, 0, 1, 2 * time.Second}, {13 * time.Second, 0, 1, 15 * time.Second}, {0, 0, 2, 15 * time.Second}},
		"forwards while it waits": {{0, 0, 1, 0}, {time.Second, time.Hour, 1, time.Second}, {0, 0, 2, time.Hour + time.Second}},
		"backwards before":        {{time.Second, -time.Hour, 1, 0}, {15 * time.Second, 0, 1, 15 * time.Second}},
		"backwards while":         {{time.Second, 0, 1, time.Second}, {14 * time.Second, -time.Hour, 1, 15 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stored := time.Now()
				var offset time.Duration
				s := sight{server: func(context.Context, string) (time.Time, error) { return time.Now().Add(offset), nil }}
				for i, l := range looks {
					time.Sleep(l.sleep)
					offset += l.jump
					age, err := s.ageOf(t.Context(), &consumers.Message{Sequence: l.sequence, Time: stored})
					if err != nil || age != l.want || age > staleAfter {
						t.Errorf("look %d: %v, %v, want %v", i, age, err, l.want)
					}
				}
			})
		})
	}
	away := sight{server: func(context.Context, string) (time.Time, error) { return time.Time{}, errors.New("away") }}
	if _, err := away.ageOf(t.Context(), &consumers.Message{Sequence: 1}); err == nil {
		t.Error("an age without a clock")
	}
}

// blank remembers nothing.
type blank struct{ jetstream.KeyValue }

func (blank) Get(context.Context, string) (jetstream.KeyValueEntry, error) {
	return nil, jetstream.ErrKeyNotFound
}

// A session that has settled by the clock alone, as on a machine that stood still, is judged when KV live was
// looked at since.
func TestSettlesWithLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := compile(documents.Document{Key: "red", Value: []byte(`{"names":["*"],"url":"generic://host.example"}`)}, outbound.NewCourier(outbound.Guard{}))
		if err != nil {
			t.Fatal(err)
		}
		c := &chat{cfg: Config{Settle: 15 * time.Second}, memories: blank{}}
		c.rooms.Store(&map[string]*room{"red": r})
		c.live.Store(&map[string][]entry{})
		c.looks.Store(7)
		seen := &sight{server: func(context.Context, string) (time.Time, error) { return time.Now(), nil }}
		m := &consumers.Message{Sequence: 1, Time: time.Now(), Subject: subjects.SessionStarted, Session: subjects.Session{Session: "a", Kind: subjects.KindPublish, Name: "n"}}
		expect := func(want error) {
			t.Helper()
			if err := c.tell(t.Context(), "red", seen, m); !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		}
		expect(consumers.Wait(15 * time.Second))
		time.Sleep(5 * time.Second)
		c.looks.Add(1)
		expect(consumers.Wait(10 * time.Second))
		time.Sleep(10 * time.Second)
		expect(consumers.Wait(time.Second / 10))
		c.looks.Add(1)
		expect(consumers.ErrSkip)
		m.Sequence++ // it is old when it comes
		expect(consumers.ErrSkip)
	})
}
