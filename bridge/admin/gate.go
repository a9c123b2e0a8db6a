package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// gate keeps strangers from everything that is not public, and other pages in the
// operator's browser from what the operator may see.
type gate struct {
	loopback bool
	hasToken bool
	digest   [sha256.Size]byte // of the token: digests have one length, so comparing tells nothing about the token's
	own      [sha256.Size]byte // random, of this process: for sessions that it gave
	guesses  *guesses
}

func newGate(cfg Config) gate {
	g := gate{
		loopback: cfg.Loopback, hasToken: cfg.Token != "", digest: sha256.Sum256([]byte(cfg.Token)),
		guesses: newGuesses(cfg.Log),
	}
	_, _ = rand.Read(g.own[:]) // never fails
	return g
}

// guard lets a request through to next or answers it.
func (g gate) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case isPublic(r.URL.Path):
			next.ServeHTTP(w, r)
		case isForeign(r):
			http.Error(w, "only for the bridge's own page", http.StatusForbidden)
		case g.isLocal(r), g.hasToken && isLogin(r.URL.Path):
			next.ServeHTTP(w, r)
		case !g.hasToken:
			http.Error(w, "only for callers on the bridge's own host; set BRIDGE_ADMIN_TOKEN to reach it from elsewhere", http.StatusForbidden)
		default:
			g.ask(next, w, r)
		}
	})
}

// ask lets a request with the token or a session through to next or answers it.
func (g gate) ask(next http.Handler, w http.ResponseWriter, r *http.Request) {
	ok, wait := g.hasBearer(r)
	if !ok && wait == 0 {
		ok, wait = g.hasSession(r)
	}
	switch {
	case ok:
		next.ServeHTTP(w, r)
	case wait > 0:
		sendWait(w, wait)
	case r.URL.Path == "/" && r.Method == http.MethodGet:
		http.Redirect(w, r, loginPath, http.StatusSeeOther)
	default:
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "needs the header \"Authorization: Bearer <BRIDGE_ADMIN_TOKEN>\"", http.StatusUnauthorized)
	}
}

// sendWait answers one whose address guesses.
func sendWait(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
	http.Error(w, "too many wrong tokens from this address; ask again in a few seconds", http.StatusTooManyRequests)
}

func isPublic(path string) bool {
	switch path {
	case "/livez", "/readyz", "/metrics":
		return true
	}
	return false
}

// isForeign reports whether a browser made the request for a page that is not this
// server's. It could not read the answer, but it could take the viewers' places. A link
// on another page that leads here is good.
func isForeign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		return r.Method != http.MethodGet || r.Header.Get("Sec-Fetch-Mode") != "navigate"
	}
	return false
}

// isLocal reports whether the request was made on this host, to this host, and that is
// enough: where there is a token it never is, for a proxy on this host may lead others
// here. Comparing the host keeps out a web page in a browser here whose name was made to
// resolve to 127.0.0.1 (DNS rebinding): its requests carry that name.
func (g gate) isLocal(r *http.Request) bool {
	if !g.loopback || g.hasToken {
		return false
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}

// hasBearer reports whether the request presents the token.
func (g gate) hasBearer(r *http.Request) (ok bool, wait time.Duration) {
	scheme, token, found := strings.Cut(r.Header.Get("Authorization"), " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		return false, 0
	}
	return g.guesses.try(peerOf(r.RemoteAddr), strings.TrimSpace(token), g.isToken)
}

// isToken compares in constant time.
func (g gate) isToken(text string) bool {
	presented := sha256.Sum256([]byte(text))
	return subtle.ConstantTimeCompare(presented[:], g.digest[:]) == 1 && g.hasToken
}
