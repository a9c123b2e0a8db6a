package sessions

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// clocked is a stream whose server has a clock that is set.
type clocked struct {
	jetstream.Stream
	off     time.Duration
	created time.Time
	err     error
}

func (c *clocked) Info(context.Context, ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error) {
	return &jetstream.StreamInfo{Created: c.created, TimeStamp: time.Now().Add(c.off)}, c.err
}

// A clock that is set is followed at once, and silence counts from then on; one that is a little off is
// followed, and that is all.
func TestLook(t *testing.T) {
	const timeout = 2 * time.Minute
	for name, tt := range map[string]struct {
		jump   time.Duration
		listen bool // anew
	}{
		"steady": {0, false}, "4 s ahead": {4 * time.Second, false}, "4 s behind": {-4 * time.Second, false},
		"at the bound": {maxShift, false}, "6 s ahead": {6 * time.Second, true}, "6 s behind": {-6 * time.Second, true},
		"an hour ahead": {time.Hour, true}, "an hour behind": {-time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &clocked{created: start}
				d := &derivation{
					runner: &runner{cfg: Config{Timeout: timeout}, log: slog.New(slog.DiscardHandler)},
					events: server, at: position{Created: start}, anchor: newAnchor(time.Now()),
				}
				d.listenAnew()
				first := d.quiet
				if wait := time.Until(first); wait != timeout {
					t.Errorf("silence counts in %v", wait)
				}
				look := func(want time.Time) {
					t.Helper()
					time.Sleep(checkpointEvery)
					if err := d.look(t.Context()); err != nil {
						t.Error(err)
					}
					if off := time.Until(d.anchor.now()); off != server.off {
						t.Errorf("our idea of its time is %v ahead, want %v", off, server.off)
					}
					if !d.quiet.Equal(want) {
						t.Errorf("silence counts from %v on, want %v", d.quiet, want)
					}
				}
				look(first)
				server.off = tt.jump
				want := first
				if tt.listen {
					want = time.Now().Add(checkpointEvery + timeout)
				}
				look(want)
				look(want) // it is the time now
			})
		})
	}
}

// What cannot go on is said: the stream is another one, or does not answer.
func TestLookFails(t *testing.T) {
	for want, server := range map[string]*clocked{
		"made anew": {created: start.Add(time.Second)}, "away": {created: start, err: errors.New("away")},
	} {
		d := &derivation{runner: &runner{log: slog.New(slog.DiscardHandler)}, events: server, at: position{Created: start}}
		if err := d.look(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// Over a long time without the server our idea of its time goes on, and is put right when it speaks again.
func TestAnchor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := start.Add(time.Hour)
		a := newAnchor(said)
		time.Sleep(24 * time.Hour)
		if got := a.now(); !got.Equal(said.Add(24 * time.Hour)) {
			t.Errorf("it is %v", got)
		}
		for _, tt := range []struct {
			off      time.Duration
			surprise bool
		}{{0, false}, {maxShift, false}, {-maxShift, false}, {maxShift + 1, true}, {-maxShift - 1, true}, {time.Hour, true}, {-time.Hour, true}} {
			says := a.now().Add(tt.off)
			if got := a.shift(says); got != tt.surprise || !a.now().Equal(says) {
				t.Errorf("%v off: surprise %v, now %v, want %v, %v", tt.off, got, a.now(), tt.surprise, says)
			}
		}
	})
}
