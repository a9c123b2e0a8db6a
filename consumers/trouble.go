package consumers

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// tellEvery is how often a trouble that goes on is told.
const tellEvery = time.Minute

// trouble keeps an outage from filling the log: it tells the first failure at once, those that
// follow once in tellEvery, with their number, and the end of several in a row. All are told at debug.
type trouble struct {
	log *slog.Logger

	mu     sync.Mutex
	told   time.Time // zero says that the next one is told
	untold int       // failures since then
	row    int       // failures without a success in between
	since  time.Time // when the row began
}

// failed is told of a failure.
func (t *trouble) failed(msg string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.row++; t.row == 1 {
		t.since = now
	}
	level := slog.LevelDebug
	if now.Sub(t.told) >= tellEvery {
		level = slog.LevelWarn
		if t.untold > 0 {
			args = append(args, "and_before", t.untold)
		}
		t.told, t.untold = now, 0
	} else {
		t.untold++
	}
	t.log.Log(context.Background(), level, msg, args...)
}

// worked is told of a success. One that fails now and then among others that work has no end to tell.
func (t *trouble) worked() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.row > 1 {
		t.log.Info("it works again", "failures", t.row, "after", time.Since(t.since).Round(time.Millisecond))
		t.told, t.untold = time.Time{}, 0
	}
	t.row = 0
}
