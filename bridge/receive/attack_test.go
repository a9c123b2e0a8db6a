package receive

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// besieged is a server, at its door good callers and attackers on other addresses of
// this machine.
type besieged struct {
	addr  string
	over  chan struct{} // closed when the attack ends
	waves sync.WaitGroup
	turns atomic.Int64 // connections the attackers made
}

// attack keeps a connection from an address busy with play, and makes another a pause
// after it ended.
func (b *besieged) attack(from net.IP, pause time.Duration, play func(net.Conn)) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from}, Timeout: patience}
	b.waves.Go(func() {
		for {
			c, err := d.Dial("tcp", b.addr)
			if err == nil {
				b.turns.Add(1)
				play(c)
				_ = c.Close()
			}
			select {
			case <-b.over:
				return
			case <-time.After(pause):
			}
		}
	})
}

// drip sends the beginning of a request and then a byte now and then.
func (b *besieged) drip(c net.Conn) {
	if _, err := io.WriteString(c, headed("Content-Length: 60000\r\n", "call=")); err != nil {
		return
	}
	ended := make(chan struct{})
	b.waves.Go(func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, c) // until the server, or the end of the attack, closes it
	})
	defer func() {
		_ = c.Close()
		<-ended
	}()
	for {
		select {
		case <-b.over:
			return
		case <-ended:
			return
		case <-time.After(100 * time.Millisecond):
			if _, err := c.Write([]byte{'x'}); err != nil {
				return
			}
		}
	}
}

// good calls n times, each on a connection of its own as bintu does, and fails
// the test unless all are answered. It returns how long each took. A caller that stands
// still before it asks may lose its place to others, as it should, and calls again.
func (b *besieged) good(t *testing.T, n int) []time.Duration {
	t.Helper()
	const still = time.Second // before that nobody loses a place to these attackers
	again := 5
	took := make([]time.Duration, 0, n)
	for len(took) < n {
		begun := time.Now()
		c := dial(t, b.addr)
		_, _ = io.WriteString(c, post("/hook", "good")) // what is not sent is not answered
		reply := make([]byte, len(ok))
		read, err := io.ReadFull(c, reply)
		_ = c.Close()
		if read == 0 && err != nil && time.Since(begun) > still && again > 0 {
			again--
			continue
		}
		if err != nil || string(reply) != ok {
			t.Fatalf("reply = %q, %v", reply[:read], err)
		}
		took = append(took, time.Since(begun))
	}
	return took
}

func (b *besieged) end() {
	close(b.over)
	b.waves.Wait()
}

func tail(took []time.Duration) string {
	slices.Sort(took)
	return fmt.Sprintf("median %v, p99 %v, most %v", took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
}

// siege returns how many connections attack, how many good calls are made meanwhile, and
// against which limits: small ones, or those that BRIDGE_TEST_SLOWLORIS asks for.
func siege(t *testing.T, small Config) (attackers, calls int, cfg Config) {
	t.Helper()
	text := os.Getenv("BRIDGE_TEST_SLOWLORIS")
	if text == "" {
		return 300, 300, small
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("BRIDGE_TEST_SLOWLORIS=%q: want a number of connections", text)
	}
	return n, 5000, Config{}
}

// TestSlowloris has one address open more connections than there are places, each with
// half a request, and asks meanwhile as bintu does. BRIDGE_TEST_SLOWLORIS=5000 sets
// the number of connections, against the default limits.
func TestSlowloris(t *testing.T) {
	attackers, calls, cfg := siege(t, Config{MaxConns: 256, MaxConnsPerAddr: 64})
	h := &recorder{}
	s, addr := started(t, cfg, h)
	b := &besieged{addr: addr, over: make(chan struct{})}
	quiet := b.good(t, calls)
	for range attackers {
		b.attack(net.IPv4(127, 0, 0, 2), time.Second, b.drip)
	}
	eventually(t, "the attackers have what they can get", func() bool {
		return b.turns.Load() >= int64(attackers) && s.Stats().Crowded+s.Stats().Overloaded > 0
	})
	during := b.good(t, calls)
	b.end()
	got := s.Stats()
	if got.Overloaded != 0 || got.Accepted != uint64(2*calls) {
		t.Errorf("%d connections found no place, %d calls were accepted, want 0 and %d", got.Overloaded, got.Accepted, 2*calls)
	}
	if bodies := h.taken(); len(bodies) != 2*calls {
		t.Errorf("the Handler got %d bodies, want the %d good ones", len(bodies), 2*calls)
	}
	t.Logf("before the attack: %s", tail(quiet))
	t.Logf("under %d connections (%d opened, %d turned away): %s", attackers, b.turns.Load(), got.Crowded, tail(during))
}

// TestSlowlorisFromManyAddresses has 64 addresses, none of which has more connections than
// it may, hold more half requests than there are places. Those who ask get one all the same;
// a caller that asked before and keeps its connection keeps it.
func TestSlowlorisFromManyAddresses(t *testing.T) {
	const addresses = 64
	attackers, calls, cfg := siege(t, Config{MaxConns: 128, MaxConnsPerAddr: 32})
	s, addr := started(t, cfg, &recorder{})
	places := s.cfg.MaxConns
	b := &besieged{addr: addr, over: make(chan struct{})}
	kept := dial(t, addr)
	expectKept(t, kept, "/hook")
	quiet := b.good(t, calls)
	for i := range max(attackers, places+addresses) {
		b.attack(net.IPv4(127, 0, 1, byte(1+i%addresses)), time.Second, b.drip)
	}
	eventually(t, "all places are taken and wanted", func() bool { return s.Stats().Displaced > 0 })
	during := b.good(t, calls)
	if err := kept.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	expectKept(t, kept, "/hook")
	b.end()
	got := s.Stats()
	if got.Overloaded+got.Crowded+got.Panics != 0 || got.Accepted != uint64(2*calls+2) {
		t.Errorf("%d calls were accepted, want %d: %+v", got.Accepted, 2*calls+2, got)
	}
	t.Logf("before the attack: %s", tail(quiet))
	t.Logf("under %d half requests (%d opened, %d displaced): %s", max(attackers, places+addresses), b.turns.Load(), got.Displaced, tail(during))
}

// TestFloodOfNonsense sends what no webhook looks like, as fast as a few
// connections go, and asks meanwhile. Nothing of it reaches the Handler, and little the log.
func TestFloodOfNonsense(t *testing.T) {
	const calls = 200
	bomb := strings.Repeat("X-Bomb: "+strings.Repeat("b", 100)+"\r\n", 1000)
	tiny := strings.Repeat("a:b\r\n", MaxHeader/2)
	shapes := map[string]func(*rand.Rand) string{
		"random bytes":      noise,
		"header bomb":       func(*rand.Rand) string { return headed(bomb, "") },
		"many tiny headers": func(*rand.Rand) string { return headed(tiny, "") },
		"one long header":   func(*rand.Rand) string { return headed("Cookie: "+strings.Repeat("c", 1<<20)+"\r\n", "") },
		"endless line":      func(*rand.Rand) string { return "POST /" + strings.Repeat("h", 1<<20) },
		"huge body":         func(*rand.Rand) string { return post("/hook", strings.Repeat("x", 1<<20)) },
		"huge length":       func(*rand.Rand) string { return headed("Content-Length: 99999999999\r\n", "") },
		"chunks without end": func(*rand.Rand) string {
			return headed("Transfer-Encoding: chunked\r\n", strings.Repeat("400\r\n"+strings.Repeat("x", 1024)+"\r\n", 1024))
		},
		"broken chunks": func(r *rand.Rand) string { return headed("Transfer-Encoding: chunked\r\n", "zz"+noise(r)) },
		"wrong paths":   func(r *rand.Rand) string { return post("/hook/"+fmt.Sprint(r.Uint64()), "call=publish") },
	}
	h := &recorder{}
	begun, log := time.Now(), &logBuffer{}
	s, addr := started(t, Config{MaxConns: 64, MaxConnsPerAddr: 32, Log: slog.New(slog.NewJSONHandler(log, nil))}, h)
	b := &besieged{addr: addr, over: make(chan struct{})}
	seed := uint64(1)
	for _, shape := range shapes {
		r := rand.New(rand.NewPCG(seed, 0))
		seed++
		b.attack(net.IPv4(127, 0, 0, 2), 10*time.Millisecond, func(c net.Conn) {
			_ = c.SetDeadline(time.Now().Add(patience))
			_, _ = io.WriteString(c, shape(r)) // the server may have hung up
			_, _ = io.Copy(io.Discard, c)
		})
	}
	refusals := func() uint64 {
		got := s.Stats()
		return got.Malformed + got.HeaderTooLarge + got.BodyTooLarge + got.NotFound
	}
	eventually(t, "the flood arrives", func() bool { return refusals() > 0 })
	b.good(t, calls)
	eventually(t, "a flood was refused", func() bool { return refusals() >= 500 })
	b.end()
	seconds := int(time.Since(begun)/logEvery) + 1
	if lines := len(log.lines(t)); lines > seconds*int(numOutcomes) {
		t.Errorf("%d lines in the log for %d refusals in %d s", lines, refusals(), seconds)
	}
	if got := s.Stats(); got.Accepted != calls || got.Panics != 0 {
		t.Errorf("%d calls were accepted, %d panics, want %d and none", got.Accepted, got.Panics, calls)
	}
	if bodies := h.taken(); len(bodies) != calls {
		t.Errorf("the Handler got %d bodies, want the %d good ones", len(bodies), calls)
	}
}

// noise is a line of random bytes that ends as a header does, so that the server
// need not wait for more.
func noise(r *rand.Rand) string {
	b := make([]byte, 1+r.IntN(200))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b) + "\r\n\r\n"
}
