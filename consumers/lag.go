package consumers

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// lagWatch asks the server how much is left to do.
type lagWatch struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func startLag(ctx context.Context, js jetstream.JetStream, opts Options, watch *Watch) *lagWatch {
	ctx, cancel := context.WithCancel(ctx)
	w := &lagWatch{cancel, make(chan struct{})}
	go func() {
		defer close(w.done)
		tick := time.NewTicker(lagEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				readLag(ctx, js, opts, watch)
			case <-ctx.Done():
				return
			}
		}
	}()
	return w
}

func (w *lagWatch) stop() {
	w.cancel()
	<-w.done
}

func readLag(ctx context.Context, js jetstream.JetStream, opts Options, watch *Watch) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	cons, err := js.Consumer(ctx, opts.Stream, opts.Name)
	if err != nil {
		opts.Log.Debug("the lag is not known", "error", err)
		return
	}
	info := cons.CachedInfo()
	watch.Lag(info.NumPending, uint64(info.NumAckPending))
}
