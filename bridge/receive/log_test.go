package receive

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// logBuffer collects JSON log lines.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) lines(t *testing.T) []map[string]any {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var lines []map[string]any
	for dec := json.NewDecoder(bytes.NewReader(b.buf.Bytes())); ; {
		var line map[string]any
		if err := dec.Decode(&line); err == io.EOF {
			return lines
		} else if err != nil {
			t.Fatalf("log: %v in %q", err, b.buf.String())
		}
		lines = append(lines, line)
	}
}

func logged(t *testing.T, cfg Config, requests ...string) []map[string]any {
	t.Helper()
	out := &logBuffer{}
	cfg.Log = slog.New(slog.NewJSONHandler(out, nil))
	_, addr := started(t, cfg, &recorder{})
	for _, request := range requests {
		c := dial(t, addr)
		send(t, c, request)
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(c)
	}
	return out.lines(t)
}

// expectLine compares the members of a log line that want names.
func expectLine(t *testing.T, got map[string]any, want map[string]any) {
	t.Helper()
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s = %v, want %v", key, got[key], value)
		}
	}
}

func TestRefusalsAreLogged(t *testing.T) {
	long := strings.Repeat("y", 200)
	lines := logged(t, Config{AllowFrom: prefixes("127.0.0.0/8", "9.9.9.9/32"), TrustedProxies: prefixes("127.0.0.0/8")},
		"PUT /hook?token=t0ken HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 9.9.9.9\r\nContent-Length: 0\r\n\r\n",
		post("/\xff\""+long, ""), "nonsense "+long+"\r\n\r\n", post("/hook", "panic"))
	if len(lines) != 4 {
		t.Fatalf("%d lines, want 4: %v", len(lines), lines)
	}
	expectLine(t, lines[0], map[string]any{"reason": "wrong method", "status": 405.0, "peer": "127.0.0.1", "caller": "9.9.9.9", "method": "PUT", "path": "/hook", "suppressed": 0.0})
	expectLine(t, lines[1], map[string]any{"reason": "wrong path or secret", "path": "/\uFFFD\"" + long[:maxLogged-3] + "…"})
	expectLine(t, lines[2], map[string]any{"reason": "malformed HTTP", "status": 400.0, "path": nil})
	expectLine(t, lines[3], map[string]any{"level": "ERROR", "panic": "test panic"})
	if stack, _ := lines[3]["stack"].(string); !strings.Contains(stack, "recorder") {
		t.Errorf("stack = %q, want the Handler in it", stack)
	}
}

// TestSecretsAreNotLogged sends the secret in all the wrong ways.
func TestSecretsAreNotLogged(t *testing.T) {
	lines := logged(t, Config{Secrets: []string{"s3cret"}},
		"PUT /hook/s3cret HTTP/1.1\r\nHost: h\r\n\r\n", post("/hook/s3cret/", ""), "GET /hook/s3cret\r\n\r\n",
		post("/hook/s3cret", "panic"), "POST /hook/s3cret HTTP/1.1\r\nHost: s3cret s3cret\r\n\r\n", post("/hook/s3cret?"+strings.Repeat("x", MaxHeader), ""))
	if len(lines) < 4 {
		t.Errorf("%d lines, want the refusals logged", len(lines))
	}
	for _, line := range lines {
		text, _ := json.Marshal(line)
		if bytes.Contains(text, []byte("s3cret")) {
			t.Errorf("the log says %s", text)
		}
	}
}

// TestAnswersAreNotLogged: the Handler's owner logs decisions.
func TestAnswersAreNotLogged(t *testing.T) {
	if lines := logged(t, Config{}, post("/hook", "1"), post("/hook", "no"), post("/hook", "bad"), post("/hook", "full")); lines != nil {
		t.Errorf("logged %v", lines)
	}
}

func TestThrottle(t *testing.T) {
	var th throttle
	start := time.Unix(1_800_000_000, 0)
	for i, step := range []struct {
		after      time.Duration
		suppressed uint64
		ok         bool
	}{
		{0, 0, true},
		{1, 0, false},
		{logEvery - 1, 0, false},
		{logEvery, 2, true},
		{logEvery + 1, 0, false},
		{3 * logEvery, 1, true},
		{4 * logEvery, 0, true},
		{0, 0, true}, // the clock was set back
		{1, 0, false},
	} {
		suppressed, ok := th.pass(start.Add(step.after))
		if suppressed != step.suppressed || ok != step.ok {
			t.Errorf("step %d: pass = %d, %v; want %d, %v", i, suppressed, ok, step.suppressed, step.ok)
		}
	}
}

// TestThrottleCountsEachEvent has many goroutines pass at once: each event is
// let through or counted as suppressed.
func TestThrottleCountsEachEvent(t *testing.T) {
	const goroutines, each = 4, 1000
	var th throttle
	var mu sync.Mutex
	var total uint64
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range each {
				at := time.Unix(1_800_000_000+int64(i/100), int64(g))
				if suppressed, ok := th.pass(at); ok {
					mu.Lock()
					total += suppressed + 1
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if total += th.suppressed.Load(); total != goroutines*each {
		t.Errorf("%d events accounted for, want %d", total, goroutines*each)
	}
}
