package receive

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

func bufioReader(raw string) *bufio.Reader { return bufio.NewReader(strings.NewReader(raw)) }

// FuzzServe feeds a connection any bytes. Whatever they are: each reply is one
// of ours, bodiless and no redirect; there are as many 200s as the Handler gave;
// after a reply that closes there is none; no body is over the limit; and what
// net/http, as a second reader, takes for the first request's body is what the
// Handler got.
func FuzzServe(f *testing.F) {
	for _, seed := range []string{
		"", "\r\n", post("/hook", "a=1"), post("/hook", "1") + post("/hook", "no"), post("/x", ""),
		headed("Transfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\n\r\n"), headed("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
		headed("Expect: 100-continue\r\nContent-Length: 1\r\n", "a"), headed("Content-Length: 99\r\n", "a"), headed("X: 1\r\n y\r\nContent-Length: 1\r\n", "a"),
		"POST /hook HTTP/1.0\r\nContent-Length: 1\r\n\r\na", "GET http://h/hook HTTP/1.1\r\nHost: h\r\n\r\n", "HEAD /hook HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST /hook HTTP/1.1\nHost: h\nContent-Length: 1\n\na",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		const maxBody = 64
		h := &recorder{}
		s := New(Config{MaxBody: maxBody}, h)
		rc := &replayConn{keep: true}
		rc.in.Reset(raw)
		s.serve(newConn(rc, nil, &s.counters))

		bodies := h.taken()
		for _, body := range bodies {
			if len(body) > maxBody {
				t.Fatalf("a body of %d bytes", len(body))
			}
		}
		checkReplies(t, s, rc.replies.String())
		if first, ok := firstPost(raw); ok && len(bodies) > 0 && s.Stats().WrongMethod+s.Stats().NotFound == 0 && bodies[0] != first {
			t.Fatalf("Handler got %q, net/http reads %q", bodies[0], first)
		}
	})
}

func checkReplies(t *testing.T, s *Server, replies string) {
	t.Helper()
	var accepts uint64
	for closed := false; replies != ""; {
		head, rest, found := strings.Cut(replies, "\r\n\r\n")
		if !found || closed {
			t.Fatalf("not a reply, or one after the last: %q", replies)
		}
		replies = rest
		status, fields, _ := strings.Cut(head, "\r\n")
		switch status[len("HTTP/1.1 "):][:3] {
		case "100":
			if fields != "" {
				t.Fatalf("reply %q", head)
			}
			continue
		case "200":
			accepts++
		case "400", "403", "404", "405", "413", "431", "503":
		default:
			t.Fatalf("reply %q", head)
		}
		fields = strings.Replace(fields, "\r\nAllow: POST", "", 1)
		closed = fields == "Content-Length: 0\r\nConnection: close"
		if !closed && fields != "Content-Length: 0" {
			t.Fatalf("reply %q", head)
		}
	}
	st := s.Stats()
	if accepts != st.Accepted || st.Panics > 0 || st.InFlight != 0 {
		t.Fatalf("%d accepts on the wire, counted: %+v", accepts, st)
	}
}

// firstPost returns the body of the first request in raw as net/http reads it.
func firstPost(raw []byte) (body string, ok bool) {
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil || req.Method != http.MethodPost {
		return "", false
	}
	all, err := io.ReadAll(req.Body)
	return string(all), err == nil
}
