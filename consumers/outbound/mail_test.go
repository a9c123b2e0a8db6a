package outbound

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
)

// postOffice is a mail server that keeps what it took.
type postOffice struct {
	net.Listener
	tls     *tls.Config   // for STARTTLS; nil offers none
	hangs   chan struct{} // gets each connection of the time when it says nothing
	refuses string        // a recipient
	group   sync.WaitGroup

	mu     sync.Mutex
	silent bool
	lines  []string // of clients, Date left out
}

func startPostOffice(t *testing.T, implicit bool) *postOffice {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cert := httptest.NewTLSServer(nil)
	cert.Close()
	o := &postOffice{Listener: l, tls: &tls.Config{Certificates: cert.TLS.Certificates}, hangs: make(chan struct{})}
	if implicit {
		o.Listener = tls.NewListener(l, o.tls)
	}
	o.group.Go(func() {
		for {
			conn, err := o.Accept()
			if err != nil {
				return
			}
			o.group.Go(func() { o.serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		o.group.Wait()
	})
	return o
}

func (o *postOffice) serve(conn net.Conn) {
	defer func() { conn.Close() }()
	if o.isSilent() {
		o.hangs <- struct{}{}
		_, _ = bufio.NewReader(conn).ReadByte() // until the client gives up
		return
	}
	text := textproto.NewConn(conn)
	say := func(line string) { _ = text.PrintfLine("%s", line) } // who is gone does not read
	say("220 post")
	for {
		line, err := text.ReadLine()
		if err != nil {
			return
		}
		o.note(line)
		switch verb, _, _ := strings.Cut(line, " "); verb {
		case "EHLO":
			say("250-post")
			say("250-AUTH PLAIN")
			say("250 STARTTLS")
		case "STARTTLS":
			say("220 go on")
			conn = tls.Server(conn, o.tls)
			text = textproto.NewConn(conn)
		case "AUTH":
			say("235 welcome")
		case "RCPT":
			if o.refuses != "" && strings.Contains(line, o.refuses) {
				say("550 nobody")
				continue
			}
			say("250 ok")
		case "DATA":
			say("354 go on")
			lines, err := text.ReadDotLines()
			if err != nil {
				return
			}
			o.note(lines...)
			say("250 taken")
		case "QUIT":
			return // without a word
		default:
			say("250 ok")
		}
	}
}

func (o *postOffice) isSilent() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.silent
}

func (o *postOffice) setSilent(is bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.silent = is
}

func (o *postOffice) note(lines ...string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, line := range lines {
		if !strings.HasPrefix(line, "Date: ") {
			o.lines = append(o.lines, line)
		}
	}
}

func (o *postOffice) take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	lines := o.lines
	o.lines = nil
	return lines
}

// url is the target for two recipients.
func (o *postOffice) url(query string) string {
	return fmt.Sprintf("smtp://user:s3cretpass@%s/?from=bridge@a.example&fromname=The+Bridge&to=x%%2B1@b.example,y@b.example&subject=L%%C3%%A4rm%s", o.Addr(), query)
}

// What a mail is, word for word, over each kind of connection.
func TestMail(t *testing.T) {
	letter := func(to, kind, body string) []string {
		return []string{
			"MAIL FROM:<bridge@a.example>", "RCPT TO:<" + to + ">", "DATA",
			`From: "The Bridge" <bridge@a.example>`, "To: <" + to + ">", "Subject: =?utf-8?q?L=C3=A4rm?=", "MIME-Version: 1.0",
			"Content-Type: text/" + kind + "; charset=utf-8", "Content-Transfer-Encoding: quoted-printable", "", body,
		}
	}
	auth := "AUTH PLAIN AHVzZXIAczNjcmV0cGFzcw=="
	for name, tt := range map[string]struct {
		implicit bool
		query    string
		begin    []string
		kind     string
	}{
		"plain":    {false, "&starttls=no&auth=none", []string{"EHLO localhost"}, "plain"},
		"STARTTLS": {false, "&skiptlsverify=yes", []string{"EHLO localhost", "STARTTLS", "EHLO localhost", auth}, "plain"},
		"TLS":      {true, "&encryption=ImplicitTLS&skiptlsverify=yes&usehtml=yes", []string{"EHLO localhost", auth}, "html"},
	} {
		t.Run(name, func(t *testing.T) {
			o := startPostOffice(t, tt.implicit)
			s, err := NewShout(o.url(tt.query), NewCourier(Anywhere()))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Send(t.Context(), ".n ü is live"); err != nil {
				t.Fatal(err)
			}
			body := ".n =C3=BC is live"
			want := slices.Concat(tt.begin, letter("x+1@b.example", tt.kind, body), letter("y@b.example", tt.kind, body))
			o.Close()
			o.group.Wait()
			if got := slices.DeleteFunc(o.take(), func(line string) bool { return line == "QUIT" }); !slices.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// A server that accepts and is silent costs one mail, and not the target.
func TestSilentMailServer(t *testing.T) {
	o := startPostOffice(t, false)
	s, err := NewShout(o.url("&starttls=no&auth=none"), NewCourier(Anywhere()))
	if err != nil {
		t.Fatal(err)
	}
	o.setSilent(true)
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		o.group.Go(func() {
			<-o.hangs
			cancel()
		})
		if err := s.Send(ctx, "one"); err == nil || errors.Is(err, errBusy) {
			t.Errorf("of a silent server: %v", err)
		}
	}
	o.setSilent(false)
	if err := s.Send(t.Context(), "two"); err != nil {
		t.Errorf("once it speaks: %v", err)
	}
	if got := o.take(); !slices.Contains(got, "two") || slices.Contains(got, "one") {
		t.Errorf("it has %q", got)
	}
}

// A recipient that is refused is told of, the others have theirs; a private server is not dialed.
func TestRefusedMail(t *testing.T) {
	o := startPostOffice(t, false)
	o.refuses = "x+1@"
	s, err := NewShout(o.url("&starttls=no&auth=none"), NewCourier(Anywhere()))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), "hello"); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("refused: %v", err)
	}
	if got := o.take(); !slices.Contains(got, "hello") {
		t.Errorf("it has %q", got)
	}
	s, err = NewShout(o.url("&starttls=no&auth=none"), NewCourier(Guard{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), "hello"); !errors.Is(err, ErrPrivate) {
		t.Errorf("private: %v", err)
	}
	if got := o.take(); len(got) > 0 {
		t.Errorf("it has %q", got)
	}
}
