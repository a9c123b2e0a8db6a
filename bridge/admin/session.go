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
// "<end>.<mac>", the end in unix seconds and its HMAC-SHA256 under the token's digest.
// It outlives a restart, and ends with the token.
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

func (g gate) sessionMAC(end string) string {
	mac := hmac.New(sha256.New, g.digest[:])
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

// hasSession reports whether the request has a cookie that is good.
func (g gate) hasSession(r *http.Request) bool {
	cookie, err := r.Cookie(cookieName(r.Host))
	if err != nil || !g.hasToken {
		return false
	}
	end, mac, _ := strings.Cut(cookie.Value, ".")
	if !hmac.Equal([]byte(mac), []byte(g.sessionMAC(end))) {
		return false
	}
	at, err := strconv.ParseInt(end, 10, 64)
	return err == nil && time.Now().Before(time.Unix(at, 0))
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
	if !s.gate.isToken(strings.TrimSpace(r.PostFormValue("token"))) {
		s.askToken(w, http.StatusUnauthorized)
		return
	}
	end := strconv.FormatInt(time.Now().Add(sessionAge).Unix(), 10)
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // G124: Secure only where it can be, see below
		Name: cookieName(r.Host), Value: end + "." + s.gate.sessionMAC(end), Path: "/", MaxAge: int(sessionAge.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https", // else it would never come back
	})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
