package admin

import (
	"crypto/hmac"
	"crypto/sha256"
	_ "embed" // the form
	"encoding/base64"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A browser cannot send the token with each request, so it gets a cookie for it:
// "<end>.<mac>.<own>", the end in unix seconds, its HMAC-SHA256 under the token's digest,
// and one under a key of this process. By the first the session outlives a restart, and
// ends with the token. The second cannot be guessed: a session with it never has to wait
// because of guesses from its address.
const (
	sessionCookie = "bridge_admin"
	sessionAge    = 12 * time.Hour
	sessionUse    = "bridge admin session\n" // what the mac is of, before the end

	loginPath = "/login"
	maxLogin  = 4 << 10 // bytes of a login's body
)

// isLogin reports whether the path is of the page that asks for the token. It shows nothing.
func isLogin(path string) bool {
	return path == loginPath || path == "/page/login.css"
}

func sessionMAC(key [sha256.Size]byte, end string) string {
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte(sessionUse + end))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// cookieName returns the cookie's name. Browsers keep one jar for all ports of a host: the
// port that the request asks for tells bridges on one host apart.
func cookieName(host string) string {
	_, port, err := net.SplitHostPort(host)
	if err != nil {
		return sessionCookie
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return sessionCookie
	}
	return sessionCookie + "_" + port
}

// hasSession reports whether the request has a cookie that is good. One that has ended is
// not compared, so it is no guess.
func (g gate) hasSession(r *http.Request) (ok bool, wait time.Duration) {
	cookie, err := r.Cookie(cookieName(r.Host))
	if err != nil || !g.hasToken {
		return false, 0
	}
	end, rest, _ := strings.Cut(cookie.Value, ".")
	mac, own, _ := strings.Cut(rest, ".")
	at, err := strconv.ParseInt(end, 10, 64)
	if err != nil || !time.Now().Before(time.Unix(at, 0)) {
		return false, 0
	}
	if hmac.Equal([]byte(own), []byte(sessionMAC(g.own, end))) {
		return true, 0
	}
	return g.guesses.try(peerOf(r.RemoteAddr), end+"."+mac, func(presented string) bool {
		return hmac.Equal([]byte(presented), []byte(end+"."+sessionMAC(g.digest, end)))
	})
}

//go:embed page/login.html
var loginHTML string

// askToken sends the form, which says so when a token was wrong.
func (s *Server) askToken(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	hidden := "hidden"
	if status == http.StatusUnauthorized {
		hidden = ""
	}
	s.send(w, []byte(strings.Replace(loginHTML, "data-wrong", hidden, 1)))
}

// login takes the token from the form and gives the cookie for it.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxLogin)
	ok, wait := s.gate.guesses.try(peerOf(r.RemoteAddr), strings.TrimSpace(r.PostFormValue("token")), s.gate.isToken)
	switch {
	case wait > 0:
		sendWait(w, wait)
		return
	case !ok:
		s.askToken(w, http.StatusUnauthorized)
		return
	}
	end := strconv.FormatInt(time.Now().Add(sessionAge).Unix(), 10)
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // G124: Secure only where it can be, see below
		Name: cookieName(r.Host), Value: end + "." + sessionMAC(s.gate.digest, end) + "." + sessionMAC(s.gate.own, end),
		Path: "/", MaxAge: int(sessionAge.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https", // else it would never come back
	})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
