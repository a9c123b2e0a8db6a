package bridgetest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unicode"

	"bintubridge/bridge/bridgetest"
	"bintubridge/subjects"
)

// lockedBuffer is a log that can be read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// evil stands in every field that others choose.
const evil = "EVIL\r\nlevel=ERROR msg=forged\x00\x1b[2J\u009b\u202e\"'<b>{}*.>|EVIL"

// hostileBridge has had every kind of text from others that the log, the metrics or the
// status could show, and secrets of its own. Each line of the log is one that is expected.
func hostileBridge(t *testing.T, log io.Writer, format string) *bridgetest.Bridge {
	t.Helper()
	server := bridgetest.StartNATS(t)
	b := bridgetest.OpenBridgeWithLog(t, log, server, "BRIDGE_LOG_FORMAT="+format, "BRIDGE_LOG_LEVEL=debug", "BRIDGE_MAX_BODY=200KiB",
		"BRIDGE_HOOK_PATH=/in", "BRIDGE_HOOK_SECRETS=hook-s3cret", "BRIDGE_ADMIN_TOKEN=admin-s3cret", "BRIDGE_SUBJECT=stream.{call}.{name}.{app}")
	js := server.JetStream()
	bridgetest.Eventually(t, "the bucket is there", func() bool { _, err := js.KeyValue(t.Context(), subjects.BucketRules); return err == nil })
	evilJSON, err := json.Marshal(evil)
	if err != nil {
		t.Fatal(err)
	}
	for key, document := range map[string]string{
		"refused": fmt.Sprintf(`{"rules":[{"id":%[1]s,"effect":%[1]s,"nonsense":%[1]s,"addr":[%[1]s],"when":%[1]s}]}`, evilJSON),
		"absent":  `{"rules":[{"id":"r","effect":"allow","token":{"type":"hmac","field":"t","keys":["key-EVIL"],"bind":["call"]}}]}`,
		"nojson":  evil,
	} {
		if _, err := js.Publish(t.Context(), "$KV.rules."+key, []byte(document)); err != nil {
			t.Fatal(err)
		}
	}
	bridgetest.Eventually(t, "the documents are refused", func() bool {
		_, text := b.Admin("/readyz?verbose")
		return strings.Contains(text, "invalid") || strings.Contains(text, "refused")
	})
	form := url.QueryEscape(evil)
	all := form + "=" + form + "&token=t0p-s3cret&call=publish"
	for _, field := range []string{"name", "app", "addr", "clientid", "type", "flashver", "swfurl", "tcurl", "pageurl", "more"} {
		all += "&" + field + "=" + form
	}
	huge := "call=publish&name=" + form + "&name=two&pageurl=" + strings.Repeat("\x01", 100<<10) // twelve times as large as an event
	for body, want := range map[string]int{
		all: 403, evil: 400, "": 400, "call=" + form: 400, "call=a&x=" + form: 200, huge: 403, strings.Repeat("x", 300<<10): 413,
	} {
		resp, err := http.Post("http://"+b.HookAddr()+"/in/hook-s3cret", "application/x-www-form-urlencoded", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%.40q: %d, want %d", body, resp.StatusCode, want)
		}
	}
	for _, raw := range []string{
		"EVIL\x1b[2J\u202e /in/hook-s3cre HTTP/1.1\r\nHost: EVIL\r\n\r\n", "PUT /in/hook-s3cret HTTP/1.1\r\nHost: EVIL\r\n\r\n", "EVIL\r\n\r\n",
		"POST /EVIL\u202e HTTP/1.1\r\nHost: EVIL\r\nUser-Agent: \u202eEVIL\r\nContent-Length: 0\r\n\r\n",
		"POST /x HTTP/1.1\r\nHost: h\r\nX-Bomb: " + strings.Repeat("EVIL", 8<<10) + "\r\n\r\n",
	} {
		c, err := net.Dial("tcp", b.HookAddr())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, raw) // the bridge may have hung up
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close()
	}
	bridgetest.Eventually(t, "the event that NATS does not take is set aside", func() bool {
		_, text := b.Admin("/metrics")
		return strings.Contains(text, "\nbridge_forward_dead_letters_total 1\n")
	})
	return b
}

// secretless fails when something that leaves the process has a secret in it.
func secretless(t *testing.T, what, text string) {
	t.Helper()
	if i := strings.Index(text, "s3cre"); i >= 0 {
		t.Errorf("%s: %q", what, text[max(0, i-100):min(len(text), i+20)])
	}
}

// The log of a bridge under attack has whole lines that can be printed, each of the
// bridge's own making, and no secret; its metrics have no text of others, its status no secret.
func TestHostileTextsStayTexts(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			log := &lockedBuffer{}
			b := hostileBridge(t, log, format)
			_, metrics := b.Admin("/metrics")
			if strings.Contains(metrics, "EVIL") || strings.Contains(metrics, "forged") {
				t.Errorf("metrics have texts of others: %s", metrics)
			}
			_, status := b.Admin("/status")
			if !json.Valid([]byte(status)) {
				t.Errorf("status: %s", status)
			}
			for what, text := range map[string]string{"metrics": metrics, "status": status, "log": log.String()} {
				secretless(t, what, text)
			}
			lines := strings.Split(strings.TrimSuffix(log.String(), "\n"), "\n")
			told := 0
			for _, line := range lines {
				if i := strings.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
					t.Errorf("cannot be printed: %q", line)
				}
				if strings.Contains(line, "forged") {
					told++
				}
				switch {
				case format == "json" && !json.Valid([]byte(line)), format == "text" && !strings.HasPrefix(line, "time="):
					t.Errorf("no line of the bridge: %q", line)
				}
			}
			if told == 0 {
				t.Errorf("the log quotes nothing hostile, so this shows nothing: %s", log)
			}
		})
	}
}

// Bodies that nobody can read are answered 400 and kept as events, told of in few lines, and
// change nothing for the calls between them.
func TestFloodOfBodies(t *testing.T) {
	const callers, each = 4, 250
	bodies := []string{"", "?", "name=x", "call=", "&&&&", "call=%zz", strings.Repeat("%zz&=;", 5000), evil}
	var log lockedBuffer
	server := bridgetest.StartNATS(t)
	b := bridgetest.OpenBridgeWithLog(t, &log, server, "BRIDGE_DEFAULT_PLAY=allow", "BRIDGE_LOG_FORMAT=json")
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for i := range each {
				if body := bodies[(caller+i)%len(bodies)]; b.Post(body) != http.StatusBadRequest {
					t.Errorf("%.20q is not refused", body)
				}
				if code := b.Post("call=play&name=x&addr=192.0.2.1&app=live"); code != http.StatusOK {
					t.Errorf("a good call gets %d", code)
				}
			}
		})
	}
	wg.Wait()
	if n := strings.Count(log.String(), "could not be read"); n == 0 || n > 2 { // one a minute
		t.Errorf("%d lines in the log tell of it", n)
	}
	events := map[string]int{}
	for _, msg := range server.Messages(subjects.StreamEvents, 2*callers*each) {
		events[msg.Subject()]++
	}
	if events["stream.invalid.request"] != callers*each || events["stream.play"] != callers*each {
		t.Errorf("events: %v", events)
	}
}

// What a bridge keeps, other users of its host cannot read.
func TestFilesArePrivate(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	b := bridgetest.StartBridge(t, bridgetest.StartNATS(t), "BRIDGE_DATA_DIR="+data)
	b.Post("call=publish_done&name=x")
	files := map[string]bool{}
	look := func() {
		err := filepath.WalkDir(data, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := entry.Info()
			if errors.Is(err, fs.ErrNotExist) { // a temporary file
				return nil
			}
			if err == nil && info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s: %v", path, info.Mode())
			}
			files[entry.Name()] = true
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
	bridgetest.Eventually(t, "spool and snapshot are written", func() bool { look(); return files["spool"] && files["rules.snapshot"] })
}
