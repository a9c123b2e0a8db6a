package consumers

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

func held(sequence uint64, stored int64, size int) *delivery {
	return &delivery{Message: &Message{Sequence: sequence, Time: time.Unix(stored, 0)}, size: size}
}

// What is delivered again while it is in hand keeps its place; what another stream has under the same
// sequence is another message.
func TestHandHoldsAMessageOnce(t *testing.T) {
	h := startHand(Options{AckWait: time.Hour, MaxAckPending: 10, MaxBytes: 1000})
	defer h.stop()
	first := held(1, 1, 100)
	for _, tt := range []struct {
		name string
		d    *delivery
		want bool
	}{
		{"first", first, true},
		{"again", held(1, 1, 100), false},
		{"another", held(2, 1, 100), true},
		{"of another stream", held(1, 2, 100), true},
	} {
		if got := h.hold(tt.d); got != tt.want {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
	h.release(first)
	if !h.hold(held(1, 1, 100)) {
		t.Error("what was given up cannot come again")
	}
}

// back is a message that comes again as soon as it is given back.
type back struct {
	jetstream.Msg
	comes func()
}

func (b back) NakWithDelay(time.Duration) error {
	b.comes()
	return nil
}

// What comes again at once is not taken for what is still in hand.
func TestHandLetsGoFirst(t *testing.T) {
	opts := Options{AckWait: time.Hour, MaxAckPending: 10, MaxBytes: 1000, Unordered: true, Log: slog.New(slog.DiscardHandler)}
	h := startHand(opts)
	defer h.stop()
	s := newSettler(nil, opts, NewMonitor().Watch("audit", nil), false)
	s.release = h.release
	first, second, taken := held(1, 1, 100), held(1, 1, 100), false
	first.msg = back{comes: func() { taken = h.hold(second) }}
	h.hold(first)
	if !s.settle(t.Context(), first, errors.New("not now"), 0) || !taken {
		t.Error("it was passed by")
	}
	h.release(first)
	if all := h.all(); len(all) != 1 || all[0] != second {
		t.Errorf("in hand %v", all)
	}
}

// Pulls wait until there is room for what they may bring; an empty hand takes any message.
func TestHandHasRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHand(Options{AckWait: time.Hour, MaxAckPending: 8, MaxBytes: 1000})
		defer h.stop()
		ctx, cancel := context.WithCancel(t.Context())
		room := func(largest int) func(messages, bytes int, ok bool) {
			type answer struct {
				messages, bytes int
				ok              bool
			}
			got := make(chan answer, 1)
			go func() {
				messages, bytes, ok := h.room(ctx, largest)
				got <- answer{messages, bytes, ok}
			}()
			synctest.Wait()
			return func(messages, bytes int, ok bool) {
				t.Helper()
				synctest.Wait()
				select {
				case a := <-got:
					if (a != answer{messages, bytes, ok}) {
						t.Errorf("got %+v, want %d, %d, %v", a, messages, bytes, ok)
					}
				default:
					t.Error("it waits")
				}
			}
		}
		room(5000)(8, 5000, true)
		var all []*delivery
		for i := range uint64(7) {
			all = append(all, held(i, 1, 90))
			h.hold(all[i])
		}
		few := room(100)
		h.release(all[0]) // a quarter of eight
		few(2, 1000-6*90, true)
		large := room(700)
		h.release(all[1])
		h.release(all[2])
		h.release(all[3])
		large(5, 1000-3*90, true)
		never := room(999)
		cancel()
		never(0, 0, false)
	})
}
