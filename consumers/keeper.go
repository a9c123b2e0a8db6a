package consumers

import (
	"sync"
	"time"
)

// keeper tells the server of every message in hand, waiting for its worker or in work, that
// it is still wanted here, so that nobody else gets it meanwhile.
type keeper struct {
	opts Options
	mu   sync.Mutex
	held map[uint64]delivery // by stream sequence
	quit chan struct{}
	done chan struct{}
}

func startKeeper(opts Options) *keeper {
	k := &keeper{opts: opts, held: map[uint64]delivery{}, quit: make(chan struct{}), done: make(chan struct{})}
	go k.run()
	return k
}

func (k *keeper) hold(d delivery) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held[d.Sequence] = d
}

func (k *keeper) release(d delivery) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.held[d.Sequence].msg == d.msg { // and not a later delivery of it
		delete(k.held, d.Sequence)
	}
}

func (k *keeper) stop() {
	close(k.quit)
	<-k.done
}

func (k *keeper) run() {
	defer close(k.done)
	tick := time.NewTicker(k.opts.AckWait / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			k.tell()
		case <-k.quit:
			return
		}
	}
}

// tell writes under the lock: a message that was settled must not be asked for afterwards. The
// write goes into the connection's buffer.
func (k *keeper) tell() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, d := range k.held {
		if err := d.msg.InProgress(); err != nil {
			k.opts.Log.Debug("a message may be delivered again", "error", err)
			return
		}
	}
}
