package receive

import (
	"crypto/tls"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// member is a connection in the model of a room.
type member struct {
	c                *conn
	asked, answering bool
}

func (m *member) yields() bool {
	if m.asked || m.answering {
		m.asked = false
		return false
	}
	return true
}

// TestRoomMatchesOracle compares with two plain lists.
func TestRoomMatchesOracle(t *testing.T) {
	const places = 5
	rapid.Check(t, func(t *rapid.T) {
		var r room
		var newcomers, known []*member
		yielding := func() *conn {
			for len(newcomers) > 0 {
				m := newcomers[0]
				newcomers = newcomers[1:]
				if m.yields() {
					return m.c
				}
				known = append(known, m)
			}
			for range places + 1 {
				if len(known) == 0 {
					return nil
				}
				m := known[0]
				known = known[1:]
				if m.yields() {
					return m.c
				}
				known = append(known, m)
			}
			return nil
		}
		pick := func(t *rapid.T, want func(*member) bool) *member {
			var all []*member
			for _, m := range slices.Concat(newcomers, known) {
				if want(m) {
					all = append(all, m)
				}
			}
			if len(all) == 0 {
				t.Skip("nobody is there")
			}
			return rapid.SampledFrom(all).Draw(t, "who")
		}
		t.Repeat(map[string]func(*rapid.T){
			"enter": func(t *rapid.T) {
				if len(newcomers)+len(known) == places {
					want := yielding()
					if got := r.yielding(places); got != want {
						t.Fatalf("%p gives up its place, want %p", got, want)
					}
					if want == nil {
						return
					}
					if want.answer() {
						t.Fatal("a connection that lost its place answers")
					}
					r.leave(want)
				}
				m := &member{c: newConn(&replayConn{}, nil, &counters{})}
				r.enter(m.c)
				newcomers = append(newcomers, m)
			},
			"ask": func(t *rapid.T) {
				m := pick(t, func(m *member) bool { return !m.answering })
				m.c.setWaiting(false)
				if !m.c.answer() {
					t.Fatal("lost its place unseen")
				}
				m.asked, m.answering = true, true
			},
			"reply": func(t *rapid.T) {
				m := pick(t, func(m *member) bool { return m.answering })
				m.c.setWaiting(true)
				m.answering = false
			},
			"leave": func(t *rapid.T) {
				gone := pick(t, func(m *member) bool { return !m.answering })
				r.leave(gone.c)
				is := func(m *member) bool { return m == gone }
				newcomers, known = slices.DeleteFunc(newcomers, is), slices.DeleteFunc(known, is)
			},
		})
	})
}

// TestDisplaced goes over the wire, with two places. Who has to go is closed without a
// word, whatever part of a request is there.
func TestDisplaced(t *testing.T) {
	for name, half := range map[string]string{
		"nothing sent":   "",
		"half a line":    "POST /ho",
		"half a header":  "POST /hook HTTP/1.1\r\nHost: b",
		"half a body":    headed("Content-Length: 60\r\n", "call="),
		"half of chunks": headed("Transfer-Encoding: chunked\r\n", "5\r\ncall="),
		"told to go on":  headed("Expect: 100-continue\r\nContent-Length: 60\r\n", ""),
	} {
		t.Run(name, func(t *testing.T) {
			s, addr := started(t, Config{MaxConns: 2}, &recorder{})
			regular, victim := dial(t, addr), dial(t, addr)
			expectKept(t, regular, "/hook")
			send(t, victim, half)
			if name == "told to go on" {
				expect(t, victim, goOn)
			}
			eventually(t, "both are served", func() bool { return s.Stats().Open == 2 })
			expectKept(t, dial(t, addr), "/hook")
			expectCut(t, victim)
			expectKept(t, regular, "/hook")
			expectKept(t, regular, "/hook")
			eventually(t, "the victim gone, and counted once", func() bool { return s.Stats() == Stats{Accepted: 4, Displaced: 1, Open: 2} })
		})
	}
}

// TestNewcomersHaveTimeToAsk: who has just come keeps its place until as many others have come as there
// are places, whatever else is half said.
func TestNewcomersHaveTimeToAsk(t *testing.T) {
	const places = 4
	s, addr := started(t, Config{MaxConns: places}, &recorder{})
	for range places {
		send(t, dial(t, addr), "POST /ho")
	}
	eventually(t, "all places are taken", func() bool { return s.Stats().Open == places })
	caller := dial(t, addr)
	for range places - 1 {
		dial(t, addr)
	}
	eventually(t, "the first ones had to go", func() bool { return s.Stats().Displaced == places })
	expectKept(t, caller, "/hook")
}

// TestKeptConnectionYields: where all have asked before, an idle one has to go, or one in
// the middle of its next request, and there is room for who comes.
func TestKeptConnectionYields(t *testing.T) {
	for name, half := range map[string]string{"idle": "", "half of the next request": "POST /hook HT"} {
		t.Run(name, func(t *testing.T) {
			s, addr := started(t, Config{MaxConns: 2}, &recorder{})
			victim := dial(t, addr)
			expectKept(t, victim, "/hook")
			regular := dial(t, addr)
			expectKept(t, regular, "/hook")
			eventually(t, "both wait for their next request", func() bool { return s.Stats().InFlight == 0 })
			send(t, victim, half)
			expectKept(t, dial(t, addr), "/hook")
			expectCut(t, victim)
			expectKept(t, regular, "/hook")
			eventually(t, "the victim gone", func() bool { return s.Stats() == Stats{Accepted: 4, Displaced: 1, Open: 2} })
		})
	}
}

// TestDisplacedGiveTheirPlaceInTheCrowd: the address of one who had to go has a
// connection less.
func TestDisplacedGiveTheirPlaceInTheCrowd(t *testing.T) {
	s, addr := started(t, Config{MaxConns: 1, MaxConnsPerAddr: 1}, &recorder{})
	first := dialFrom(t, "127.0.0.2", addr)
	eventually(t, "served", func() bool { return s.Stats().Open == 1 })
	expectKept(t, dial(t, addr), "/hook")
	expectCut(t, first)
	eventually(t, "the first gone", func() bool { return s.Stats().Open == 1 })
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.crowd.served[netip.MustParseAddr("127.0.0.2")]; n != 0 || s.serving != 1 {
		t.Errorf("%d connections of its address are counted, %d places taken; want 0 and 1", n, s.serving)
	}
}

// TestDisplacedInTheHandshake: who keeps the server waiting for TLS holds no place either.
// A connection for which there is none gets no handshake.
func TestDisplacedInTheHandshake(t *testing.T) {
	files := newPairFiles(t)
	files.renew(t, "bridge.test")
	tlsConfig, err := LoadTLS(files.cert, files.key, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := newGated()
	s, addr := started(t, Config{TLS: tlsConfig, MaxConns: 1}, h)
	silent := dial(t, addr)
	eventually(t, "served", func() bool { return s.Stats().Open == 1 })
	c := tls.Client(dial(t, addr), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}) //nolint:gosec // who it is, is TestServeTLS's matter
	send(t, c, post("/hook", "a=1"))
	expectCut(t, silent)
	<-h.entered
	expectCut(t, dial(t, addr))
	close(h.release)
	expect(t, c, ok)
	eventually(t, "counted", func() bool {
		got := s.Stats()
		return got.Displaced == 1 && got.Overloaded == 1 && got.HandshakeFailed == 0 && got.Accepted == 1
	})
}

// BenchmarkRoom is a connection that comes when all places are taken by half requests.
func BenchmarkRoom(b *testing.B) {
	var r room
	for range DefaultMaxConns {
		r.enter(newConn(&replayConn{}, nil, &counters{}))
	}
	b.ReportAllocs()
	for b.Loop() {
		c := r.yielding(DefaultMaxConns)
		r.leave(c)
		c.displaced = false
		r.enter(c)
	}
}
