package receive

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	ok      = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	okClose = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

	no          = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
	bad         = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
	badClose    = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	noClose     = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	missClose   = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	methodClose = "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\nAllow: POST\r\nConnection: close\r\n\r\n"
	slowClose   = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	largeClose  = "HTTP/1.1 413 Request Entity Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	headerClose = "HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	unavailable = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
	fullHouse   = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	goOn        = "HTTP/1.1 100 Continue\r\n\r\n"
)

// post is a well-formed request.
func post(target, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: bridge\r\nContent-Length: %d\r\n\r\n%s", target, len(body), body)
}

// headed is a well-formed request with more header lines.
func headed(lines, body string) string {
	return fmt.Sprintf("POST /hook HTTP/1.1\r\nHost: bridge\r\n%s\r\n%s", lines, body)
}

type exchange struct {
	name    string
	request string
	end     bool // the client says that nothing follows
	reply   string
	closed  bool
	bodies  []string // that reached the Handler
}

func runExchanges(t *testing.T, cfg Config, probe string, table []exchange) {
	for _, x := range table {
		t.Run(x.name, func(t *testing.T) {
			h := &recorder{}
			_, addr := started(t, cfg, h)
			c := dial(t, addr)
			send(t, c, x.request)
			if x.end {
				if err := c.CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			expect(t, c, x.reply)
			want := x.bodies
			if x.closed {
				expectClosed(t, c)
			} else {
				expectKept(t, c, probe)
				want = append(slices.Clip(want), "probe")
			}
			if got := h.taken(); !slices.Equal(got, want) {
				t.Errorf("bodies = %q, want %q", got, want)
			}
		})
	}
}

// TestReplies shows, byte for byte, what each request is answered with and
// whether the connection stays open.
func TestReplies(t *testing.T) {
	runExchanges(t, Config{MaxBody: 64}, "/hook", []exchange{
		{name: "accepted", request: post("/hook", "a=1"), reply: ok, bodies: []string{"a=1"}},
		{name: "refused", request: post("/hook", "no"), reply: no, bodies: []string{"no"}},
		{name: "invalid", request: post("/hook", "bad"), reply: bad, bodies: []string{"bad"}},
		{name: "full", request: post("/hook", "full"), reply: unavailable, bodies: []string{"full"}},
		{name: "an answer nobody knows refuses", request: post("/hook", "odd"), reply: no, bodies: []string{"odd"}},
		{name: "a panic", request: post("/hook", "panic"), reply: unavailable, bodies: []string{"panic"}},
		{name: "empty body", request: post("/hook", ""), reply: ok, bodies: []string{""}},
		{name: "body at the limit", request: post("/hook", strings.Repeat("x", 64)), reply: ok, bodies: []string{strings.Repeat("x", 64)}},
		{name: "chunked", request: headed("Transfer-Encoding: chunked\r\n", "2\r\na=\r\n1\r\n1\r\n0\r\n\r\n"), reply: ok, bodies: []string{"a=1"}},
		{name: "a trailer cannot say who calls", request: headed("Transfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\nX-Forwarded-For: 10.1.1.1\r\n\r\n"), reply: badClose, closed: true},
		{name: "any content type", request: headed("Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 3\r\n", "a=1"), reply: ok, bodies: []string{"a=1"}},
		{name: "query ignored", request: post("/hook?/../x=%zz", "a=1"), reply: ok, bodies: []string{"a=1"}},
		{name: "absolute form", request: post("http://elsewhere:81/hook", "a=1"), reply: ok, bodies: []string{"a=1"}},
		{name: "absolute form with query", request: post("HTTPS://u:p@elsewhere/hook?x", "a=1"), reply: ok, bodies: []string{"a=1"}},

		{name: "what the media server sends", request: "POST /hook HTTP/1.0\r\nHost: bridge\r\nContent-Type: application/x-www-form-urlencoded\r\n" +
			"Connection: Close\r\nContent-Length: 12\r\n\r\ncall=publish", reply: okClose, closed: true, bodies: []string{"call=publish"}},
		{name: "HTTP/1.0 refused", request: "POST /hook HTTP/1.0\r\nContent-Length: 2\r\n\r\nno", closed: true, bodies: []string{"no"},
			reply: noClose},
		{name: "HTTP/1.0 keep-alive closes too", request: "POST /hook HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\na=1", reply: okClose, closed: true, bodies: []string{"a=1"}},
		{name: "Connection: close", request: headed("Connection: close\r\nContent-Length: 3\r\n", "a=1"), reply: okClose, closed: true, bodies: []string{"a=1"}},
		{name: "Connection: close in a list", request: headed("Connection: foo, Close\r\nContent-Length: 3\r\n", "a=1"), reply: okClose, closed: true, bodies: []string{"a=1"}},
		{name: "pipelined", request: post("/hook", "1") + post("/hook", "no") + post("/x", "2") + post("/hook", "3"), reply: ok + no + missClose, closed: true, bodies: []string{"1", "no"}},
		{name: "pipelined after close is not read", request: headed("Connection: close\r\nContent-Length: 1\r\n", "1") + post("/hook", "2"), reply: okClose, closed: true, bodies: []string{"1"}},

		{name: "wrong path", request: post("/", "a=1"), reply: missClose, closed: true},
		{name: "longer path", request: post("/hook/", "a=1"), reply: missClose, closed: true},
		{name: "dots are not resolved", request: post("/x/../hook", "a=1"), reply: missClose, closed: true},
		{name: "slashes are not merged", request: post("//hook", "a=1"), reply: missClose, closed: true},
		{name: "escapes are not decoded", request: post("/%68ook", "a=1"), reply: missClose, closed: true},
		{name: "case counts", request: post("/Hook", "a=1"), reply: missClose, closed: true},
		{name: "a fragment is no end of the path", request: post("/hook#x", "a=1"), reply: missClose, closed: true},
		{name: "path parameters", request: post("/hook;a=1", "a=1"), reply: missClose, closed: true},
		{name: "absolute form without path", request: post("http://elsewhere", "a=1"), reply: missClose, closed: true},
		{name: "absolute form, path in the query", request: post("http://elsewhere?/hook", "a=1"), reply: missClose, closed: true},
		{name: "asterisk", request: "OPTIONS * HTTP/1.1\r\nHost: bridge\r\nContent-Length: 0\r\n\r\n", reply: missClose, closed: true},
		{name: "authority form", request: "CONNECT hook:80 HTTP/1.1\r\nHost: bridge\r\nContent-Length: 0\r\n\r\n", reply: missClose, closed: true},
		{name: "GET", request: "GET /hook HTTP/1.1\r\nHost: bridge\r\n\r\n", reply: methodClose, closed: true},
		{name: "HEAD", request: "HEAD /hook HTTP/1.1\r\nHost: bridge\r\n\r\n", reply: methodClose, closed: true},
		{name: "PUT", request: "PUT /hook HTTP/1.1\r\nHost: bridge\r\nContent-Length: 3\r\n\r\na=1", reply: methodClose, closed: true},
		{name: "method in lower case", request: "post /hook HTTP/1.1\r\nHost: bridge\r\nContent-Length: 3\r\n\r\na=1", reply: methodClose, closed: true},
		{name: "wrong path before wrong method", request: "GET /x HTTP/1.1\r\nHost: bridge\r\n\r\n", reply: missClose, closed: true},

		{name: "a large body to a wrong path is not read", request: "POST /x HTTP/1.1\r\nHost: bridge\r\nContent-Length: 60000\r\n\r\n", reply: missClose, closed: true},
		{name: "a large body with a wrong method is not read", request: "PUT /hook HTTP/1.1\r\nHost: bridge\r\nContent-Length: 60000\r\n\r\n", reply: methodClose, closed: true},
		{name: "chunks to a wrong path are not read", request: "POST /x HTTP/1.1\r\nHost: bridge\r\nTransfer-Encoding: chunked\r\n\r\n", reply: missClose, closed: true},
		{name: "nor with another expectation", request: "POST /x HTTP/1.1\r\nHost: bridge\r\nExpect: 200-ok\r\nTransfer-Encoding: chunked\r\n\r\n", reply: missClose, closed: true},
		{name: "nor what is behind them", request: "POST /x HTTP/1.1\r\nHost: bridge\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + post("/hook", "2"), reply: missClose, closed: true},
		{name: "too large for anybody, to a wrong path", request: "POST /x HTTP/1.1\r\nHost: bridge\r\nContent-Length: 99999999999\r\n\r\n", reply: missClose, closed: true},
		{name: "declared too large", request: headed("Content-Length: 65\r\n", ""), reply: largeClose, closed: true},
		{name: "too large and sent", request: post("/hook", strings.Repeat("x", 200_000)), reply: largeClose, closed: true},
		{name: "chunk too large", request: headed("Transfer-Encoding: chunked\r\n", "41\r\n"), reply: largeClose, closed: true},
		{name: "chunks too large together", request: headed("Transfer-Encoding: chunked\r\n", "40\r\n"+strings.Repeat("x", 64)+"\r\n1\r\n"), reply: largeClose, closed: true},
		{name: "header too large", request: headed("X: "+strings.Repeat("x", MaxHeader)+"\r\n", ""), reply: headerClose, closed: true},
		{name: "request line too large", request: post("/hook?"+strings.Repeat("x", MaxHeader), ""), reply: headerClose, closed: true},

		{name: "100-continue", request: headed("Expect: 100-continue\r\nContent-Length: 3\r\n", "a=1"), reply: goOn + ok, bodies: []string{"a=1"}},
		{name: "100-continue too large", request: headed("Expect: 100-continue\r\nContent-Length: 65\r\n", ""), reply: largeClose, closed: true},
		{name: "100-continue wrong path", closed: true, reply: missClose,
			request: "POST /x HTTP/1.1\r\nHost: bridge\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"},
		{name: "100-continue wrong method", reply: goOn + methodClose, closed: true,
			request: "PUT /hook HTTP/1.1\r\nHost: bridge\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\na=1"},
		{name: "100-continue chunked too large", closed: true, reply: goOn + largeClose,
			request: headed("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", "41\r\n")},
		{name: "100-continue is nothing to HTTP/1.0", closed: true, reply: okClose, bodies: []string{"a=1"},
			request: "POST /hook HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\na=1"},
	})
}

// TestHostileFraming holds the rule that matters most where a request's end is
// in doubt: at most one answer, and nothing taken from what is not a whole body.
func TestHostileFraming(t *testing.T) {
	smuggled := post("/hook", "smuggled")
	runExchanges(t, Config{MaxBody: 1024}, "/hook", []exchange{
		{name: "length and chunks: chunks win, one answer, closed", request: headed("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\n\r\n") + smuggled,
			reply: okClose, closed: true, bodies: []string{"a"}},
		{name: "chunks and length", request: headed("Transfer-Encoding: chunked\r\nContent-Length: 300\r\n", "1\r\na\r\n0\r\n\r\n") + smuggled,
			reply: okClose, closed: true, bodies: []string{"a"}},
		{name: "no framing: no body, and what follows is no request", request: headed("", "") + smuggled, reply: okClose, closed: true, bodies: []string{""}},
		{name: "identity encoding", request: headed("Transfer-Encoding: identity\r\n", "") + smuggled, reply: okClose, closed: true, bodies: []string{""}},
		{name: "identity encoding and length", request: headed("Transfer-Encoding: identity\r\nContent-Length: 1\r\n", "a") + smuggled, reply: okClose, closed: true, bodies: []string{"a"}},
		{name: "two lengths", request: headed("Content-Length: 1\r\nContent-Length: 3\r\n", "a=1"), reply: badClose, closed: true},
		{name: "two equal lengths", request: headed("Content-Length: 3\r\nContent-Length: 3\r\n", "a=1"), reply: badClose, closed: true},
		{name: "length list", request: headed("Content-Length: 3, 3\r\n", "a=1"), reply: badClose, closed: true},
		{name: "negative length", request: headed("Content-Length: -1\r\n", "a=1"), reply: badClose, closed: true},
		{name: "signed length", request: headed("Content-Length: +3\r\n", "a=1"), reply: badClose, closed: true},
		{name: "hexadecimal length", request: headed("Content-Length: 0x3\r\n", "a=1"), reply: badClose, closed: true},
		{name: "empty length", request: headed("Content-Length:\r\n", "a=1"), reply: badClose, closed: true},
		{name: "length over 64 bits", request: headed("Content-Length: 36893488147419103233\r\n", "a=1"), reply: badClose, closed: true},
		{name: "length of 63 bits", request: headed("Content-Length: 9223372036854775807\r\n", "a=1"), reply: largeClose, closed: true},
		{name: "space before the colon", request: headed("Content-Length : 3\r\n", "a=1"), reply: badClose, closed: true},
		{name: "unknown encoding", request: headed("Transfer-Encoding: gzip\r\n", "a=1"), reply: badClose, closed: true},
		{name: "encoding list", request: headed("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), reply: badClose, closed: true},
		{name: "encoding twice", request: headed("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"), reply: badClose, closed: true},
		{name: "chunks in HTTP/1.0", request: "POST /hook HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", reply: badClose, closed: true},
		{name: "chunk size of 65 bits", request: headed("Transfer-Encoding: chunked\r\n", "10000000000000001\r\na\r\n0\r\n\r\n"), reply: badClose, closed: true},
		{name: "chunk size that wraps around", request: headed("Transfer-Encoding: chunked\r\n", "8000000000000001\r\na\r\n0\r\n\r\n"), reply: badClose, closed: true},
		{name: "chunk of 4 GiB", request: headed("Transfer-Encoding: chunked\r\n", "ffffffff\r\na"), reply: largeClose, closed: true},
		{name: "chunk extension", request: headed("Transfer-Encoding: chunked\r\n", "1;a=b\r\na\r\n0\r\n\r\n"), reply: ok, bodies: []string{"a"}},
		{name: "length ends before the chunks", request: headed("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nG") + smuggled, reply: okClose, closed: true, bodies: []string{""}},
		{name: "vertical tab in the encoding", request: headed("Transfer-Encoding: \vchunked\r\n", "1\r\na\r\n0\r\n\r\n"), reply: badClose, closed: true},
		{name: "blank before the encoding's colon", request: headed("Transfer-Encoding : chunked\r\n", "1\r\na\r\n0\r\n\r\n"), reply: badClose, closed: true},
		{name: "blank in the length", request: headed("Content-Length: 1 1\r\n", "a"), reply: badClose, closed: true},
		{name: "a proxy's own protocol", request: "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + smuggled, reply: badClose, closed: true},
		{name: "blanks before the method", request: "  " + smuggled, reply: badClose, closed: true},
		{name: "tabs for blanks", request: "POST\t/hook\tHTTP/1.1\r\nHost: b\r\nContent-Length: 1\r\n\r\na", reply: badClose, closed: true},
		{name: "version in lower case", request: "POST /hook http/1.1\r\nHost: b\r\nContent-Length: 1\r\n\r\na", reply: badClose, closed: true},
		{name: "a later version", request: "POST /hook HTTP/2.0\r\nHost: b\r\nContent-Length: 1\r\n\r\na" + smuggled, reply: okClose, closed: true, bodies: []string{"a"}},
		{name: "negative chunk", request: headed("Transfer-Encoding: chunked\r\n", "-1\r\na\r\n0\r\n\r\n"), reply: badClose, closed: true},
		{name: "chunk without its end", request: headed("Transfer-Encoding: chunked\r\n", "1\r\nab\r\n0\r\n\r\n"), reply: badClose, closed: true},
		{name: "chunk with a bare LF", request: headed("Transfer-Encoding: chunked\r\n", "1\na\n0\n\n"), reply: badClose, closed: true},

		{name: "body cut short", request: headed("Content-Length: 5\r\n", "a=1"), end: true, reply: badClose, closed: true},
		{name: "chunk cut short", request: headed("Transfer-Encoding: chunked\r\n", "5\r\na=1"), end: true, reply: badClose, closed: true},
		{name: "chunks without the last one", request: headed("Transfer-Encoding: chunked\r\n", "3\r\na=1\r\n"), end: true, reply: badClose, closed: true},
		{name: "last chunk without the empty line", request: headed("Transfer-Encoding: chunked\r\n", "3\r\na=1\r\n0\r\n"), end: true, reply: badClose, closed: true},
		{name: "header cut short", request: "POST /hook HTTP/1.1\r\nHost: br", end: true, reply: badClose, closed: true},
		{name: "nothing at all", end: true, closed: true},
		{name: "empty lines only", request: "\r\n\r\n", end: true, closed: true},
		{name: "a whole request before the end", request: post("/hook", "a=1"), end: true, reply: ok, closed: true, bodies: []string{"a=1"}},
		{name: "a whole one, then half of one", request: post("/hook", "1") + headed("Content-Length: 9\r\n", "2"), end: true, reply: ok + badClose, closed: true, bodies: []string{"1"}},

		{name: "NUL in a header", request: headed("X: a\x00b\r\nContent-Length: 1\r\n", "a"), reply: badClose, closed: true},
		{name: "bare CR in a header", request: headed("X: a\rb\r\nContent-Length: 1\r\n", "a"), reply: badClose, closed: true},
		{name: "control byte in the target", request: post("/ho\x01ok", "a"), reply: badClose, closed: true},
		{name: "two spaces before the version", request: "POST /hook  HTTP/1.1\r\nHost: bridge\r\nContent-Length: 1\r\n\r\na", reply: badClose, closed: true},
		{name: "a folded line", request: headed("X: 1\r\n\tContent-Length: 9\r\nContent-Length: 1\r\n", "a"), reply: ok, bodies: []string{"a"}},
		{name: "a folded host", request: headed(" folded\r\nContent-Length: 1\r\n", "a"), reply: badClose, closed: true},
		{name: "a folded length", request: headed("Content-Length:\r\n 1\r\n", "a"), reply: ok, bodies: []string{"a"}},
		{name: "a folded encoding is still seen", request: headed("Transfer-Encoding:\r\n chunked\r\n", "1\r\na\r\n0\r\n\r\n"), reply: ok, bodies: []string{"a"}},
		{name: "no colon", request: headed("Content-Length 1\r\n", "a"), reply: badClose, closed: true},
		{name: "no host", request: "POST /hook HTTP/1.1\r\nContent-Length: 1\r\n\r\na", reply: badClose, closed: true},
		{name: "two hosts", request: headed("Host: other\r\nContent-Length: 1\r\n", "a"), reply: badClose, closed: true},
		{name: "no version", request: "POST /hook\r\n\r\n", reply: badClose, closed: true},
		{name: "HTTP/2 preface", request: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", reply: badClose, closed: true},
		{name: "TLS to a plain port", request: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", end: true, reply: badClose, closed: true},
		{name: "bare LF lines", request: "POST /hook HTTP/1.1\nHost: bridge\nContent-Length: 1\n\na", end: true, reply: badClose, closed: true},
	})
}

// TestSecrets holds the path rules with secrets.
func TestSecrets(t *testing.T) {
	cfg := Config{Path: "/in/hook", Secrets: []string{"old-secret", "new-secret", ""}}
	runExchanges(t, cfg, "/in/hook/new-secret", []exchange{
		{name: "first", request: post("/in/hook/old-secret", "a"), reply: ok, bodies: []string{"a"}},
		{name: "second", request: post("/in/hook/new-secret?x=y", "a"), reply: ok, bodies: []string{"a"}},
		{name: "absolute form", request: post("http://h/in/hook/new-secret", "a"), reply: ok, bodies: []string{"a"}},
		{name: "none", request: post("/in/hook", "a"), reply: missClose, closed: true},
		{name: "an empty secret opens nothing", request: post("/in/hook/", "a"), reply: missClose, closed: true},
		{name: "beginning of one", request: post("/in/hook/old-secre", "a"), reply: missClose, closed: true},
		{name: "more than one", request: post("/in/hook/old-secret/", "a"), reply: missClose, closed: true},
		{name: "other case", request: post("/in/hook/OLD-SECRET", "a"), reply: missClose, closed: true},
		{name: "escaped", request: post("/in/hook/old%2Dsecret", "a"), reply: missClose, closed: true},
		{name: "by way of dots", request: post("/in/hook/../hook/old-secret", "a"), reply: missClose, closed: true},
		{name: "by way of dots behind it", request: post("/in/hook/old-secret/../old-secret", "a"), reply: missClose, closed: true},
		{name: "by way of escaped dots", request: post("/in/hook/%2e%2e/hook/old-secret", "a"), reply: missClose, closed: true},
		{name: "by way of a dot", request: post("/in/./hook/old-secret", "a"), reply: missClose, closed: true},
		{name: "double slash in front", request: post("//in/hook/old-secret", "a"), reply: missClose, closed: true},
		{name: "double slash before it", request: post("/in/hook//old-secret", "a"), reply: missClose, closed: true},
		{name: "escaped slash", request: post("/in/hook%2Fold-secret", "a"), reply: missClose, closed: true},
		{name: "backslash", request: post("/in/hook\\old-secret", "a"), reply: missClose, closed: true},
		{name: "path in other case", request: post("/IN/hook/old-secret", "a"), reply: missClose, closed: true},
		{name: "with a parameter", request: post("/in/hook/old-secret;a=b", "a"), reply: missClose, closed: true},
		{name: "with a fragment", request: post("/in/hook/old-secret#a", "a"), reply: missClose, closed: true},
		{name: "with a dot behind", request: post("/in/hook/old-secret.", "a"), reply: missClose, closed: true},
		{name: "with an escaped NUL", request: post("/in/hook/old-secret%00", "a"), reply: missClose, closed: true},
		{name: "absolute form by way of dots", request: post("http://h/x/../in/hook/old-secret", "a"), reply: missClose, closed: true},
		{name: "absolute form with the path as host", request: post("http:///in/hook/old-secret/", "a"), reply: missClose, closed: true},
		{name: "without the first slash", request: post("in/hook/old-secret", "a"), reply: badClose, closed: true},
		{name: "both secrets", request: post("/in/hook/old-secretnew-secret", "a"), reply: missClose, closed: true},
		{name: "both secrets as the list", request: post("/in/hook/old-secret,new-secret", "a"), reply: missClose, closed: true},
		{name: "in the query", request: post("/in/hook?old-secret", "a"), reply: missClose, closed: true},
		{name: "under another path", request: post("/in/hooks/old-secret", "a"), reply: missClose, closed: true},
		{name: "a large body behind a wrong secret is not read", request: "POST /in/hook/x HTTP/1.1\r\nHost: b\r\nContent-Length: 60000\r\n\r\n", reply: missClose, closed: true},
		{name: "with a NUL", request: post("/in/hook/old-secret\x00", "a"), reply: badClose, closed: true},
		{name: "very long", request: post("/in/hook/old-secret"+strings.Repeat("t", MaxHeader/2), "a"), reply: missClose, closed: true},
		{name: "as the host", request: "POST / HTTP/1.1\r\nHost: h/in/hook/old-secret\r\nContent-Length: 1\r\n\r\na", reply: badClose, closed: true},
		{name: "absolute form with another host", request: "POST http://evil/in/hook/x HTTP/1.1\r\nHost: /in/hook/old-secret\r\nContent-Length: 1\r\n\r\na", reply: missClose, closed: true},
		{name: "in headers proxies write", request: "POST / HTTP/1.1\r\nHost: b\r\nX-Original-URL: /in/hook/old-secret\r\nX-Rewrite-URL: /in/hook/old-secret\r\nX-HTTP-Method-Override: POST\r\nContent-Length: 1\r\n\r\na", reply: missClose, closed: true},
		{name: "HEAD with the secret", request: "HEAD /in/hook/old-secret HTTP/1.1\r\nHost: b\r\n\r\n", reply: methodClose, closed: true},
		{name: "CONNECT with the secret", request: "CONNECT /in/hook/old-secret HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n", reply: methodClose, closed: true},
		{name: "an upgrade with the secret", request: "POST /in/hook/old-secret HTTP/1.1\r\nHost: b\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 1\r\n\r\na", reply: ok, bodies: []string{"a"}},
		{name: "wrong secret before wrong method", request: "PUT /in/hook/x HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n", reply: missClose, closed: true},
		{name: "wrong method with the secret", request: "PUT /in/hook/old-secret HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n", reply: methodClose, closed: true},
	})
}

// TestCaptures sends what real media servers sent, byte for byte. Each request is
// answered and its connection closed. Those set up to ask with GET, in the
// query, are told that it takes POST.
func TestCaptures(t *testing.T) {
	files, err := filepath.Glob("../../testdata/captures/*.http")
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	h := &recorder{}
	_, addr := started(t, Config{}, h)
	var bodies []string
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c := dial(t, addr)
		send(t, c, string(raw))
		want := okClose
		if strings.HasPrefix(string(raw), "GET ") {
			want = methodClose
		} else {
			_, body, _ := strings.Cut(string(raw), "\r\n\r\n")
			bodies = append(bodies, body)
		}
		if reply, err := io.ReadAll(c); err != nil || string(reply) != want {
			t.Fatalf("%s: reply = %q, %v", file, reply, err)
		}
	}
	if got := h.taken(); !slices.Equal(got, bodies) {
		t.Errorf("the Handler got %d bodies, want the %d that were posted, unchanged", len(got), len(bodies))
	}
}
