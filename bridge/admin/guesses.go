package admin

import (
	"crypto/sha256"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// What one address may guess at the token.
const (
	maxWrong    = 5               // different wrong ones in a wrongPeriod
	wrongPeriod = 2 * time.Second // from the first of them; after maxWrong nothing is compared until its end
	maxGuessers = 1024            // addresses that are remembered; one more, and all are forgotten
)

// guesses limits how fast the token can be guessed. The same wrong text again is no
// further guess, so that a script or a browser with an old token shuts nobody out.
type guesses struct {
	log *slog.Logger

	mu   sync.Mutex // held while comparing, so that guesses at the same time count too
	of   map[netip.Addr]*guesser
	told throttle
}

// guesser is an address that was wrong.
type guesser struct {
	until time.Time // the end of its period
	wrong [][sha256.Size]byte
}

func newGuesses(log *slog.Logger) *guesses {
	return &guesses{log: log, of: make(map[netip.Addr]*guesser)}
}

// try has isRight compare what a peer presents, a token or a session. When its address has
// to wait, nothing is compared and wait says how long.
func (g *guesses) try(peer netip.Addr, presented string, isRight func(string) bool) (ok bool, wait time.Duration) {
	from, now := origin(peer), time.Now()
	g.mu.Lock()
	if who := g.of[from]; who != nil && len(who.wrong) == maxWrong {
		wait = who.until.Sub(now)
	}
	ok = wait <= 0 && isRight(presented)
	suppressed, tell := 0, false
	if !ok && wait <= 0 && g.isNew(from, presented, now) {
		suppressed, tell = g.told.pass(now)
	}
	g.mu.Unlock()
	if tell {
		g.log.Warn("wrong token at the admin listener", "peer", peer, "suppressed", suppressed)
	}
	return ok, max(wait, 0)
}

// isNew remembers a wrong text, and reports whether it was unknown. The caller holds mu.
func (g *guesses) isNew(from netip.Addr, presented string, now time.Time) bool {
	who := g.of[from]
	if who == nil || !now.Before(who.until) {
		if len(g.of) >= maxGuessers {
			clear(g.of)
		}
		who = &guesser{until: now.Add(wrongPeriod)}
		g.of[from] = who
	}
	digest := sha256.Sum256([]byte(presented))
	if slices.Contains(who.wrong, digest) {
		return false
	}
	who.wrong = append(who.wrong, digest)
	return true
}

// peerOf returns the address of an http.Request.RemoteAddr, or the zero Addr when it is
// none (a Unix socket).
func peerOf(remote string) netip.Addr {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap()
}

// origin returns what one client has: an IPv4 address, or an IPv6 network of 64 bits.
func origin(peer netip.Addr) netip.Addr {
	if peer.Is6() {
		return netip.PrefixFrom(peer, 64).Masked().Addr()
	}
	return peer
}
