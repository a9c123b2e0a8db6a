package main_test

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"bintubridge/bridge"
)

func takenPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln.Addr().String()
}

// What an operator gets wrong is told in one message with the next step.
func TestStartFailures(t *testing.T) {
	taken := takenPort(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		env  []string
		args []string
		want []string
	}{
		{"webhook port taken", []string{"BRIDGE_LISTEN=" + taken}, nil, []string{taken, "address already in use", "BRIDGE_LISTEN"}},
		{"admin port taken", []string{"BRIDGE_ADMIN_LISTEN=" + taken}, nil, []string{taken, "address already in use", "BRIDGE_ADMIN_LISTEN"}},
		{"NATS port taken", []string{"BRIDGE_EMBEDDED_LISTEN=" + taken}, nil, []string{taken, "address already in use", "BRIDGE_EMBEDDED_LISTEN", "NATS_URL"}},
		{"data folder is a file", []string{"BRIDGE_DATA_DIR=" + file}, nil, []string{"data folder", "BRIDGE_DATA_DIR"}},
		{"malformed NATS_URL", []string{"NATS_URL=nats://[::1"}, nil, []string{"NATS_URL", "nats://host:4222"}},
		{"NATS_URL of another protocol", []string{"NATS_URL=http://localhost:4222"}, nil, []string{"NATS_URL", `"http"`, "nats, tls, ws or wss"}},
		{"several at once", []string{"BRIDGE_DIALECT=rtmp", "BRIDGE_MAX_BODY=big", "BRIDGE_DEFAULT_PLAY=maybe", "BRIDGE_SUBJECT=events.{call}", "BRIDGE_ALLOW_FROM=10.0.0.0/8,ten"}, nil,
			[]string{`BRIDGE_DIALECT="rtmp"`, `BRIDGE_MAX_BODY="big"`, `BRIDGE_DEFAULT_PLAY="maybe"`, `BRIDGE_SUBJECT="events.{call}"`, "BRIDGE_ALLOW_FROM"}},
		{"open to the network", []string{"BRIDGE_LISTEN=:0", "BRIDGE_EMBEDDED_LISTEN=0.0.0.0:0"}, nil,
			[]string{"BRIDGE_HOOK_SECRETS or BRIDGE_ALLOW_FROM", "NATS_TOKEN", "BRIDGE_OPEN=true"}},
		{"half a pair", []string{"BRIDGE_TLS_CERT=cert.pem"}, nil, []string{"BRIDGE_TLS_CERT and BRIDGE_TLS_KEY"}},
		{"missing certificate", []string{"BRIDGE_TLS_CERT=cert.pem", "BRIDGE_TLS_KEY=key.pem"}, nil, []string{"cert.pem"}},
		{"missing secret file", []string{"BRIDGE_HOOK_SECRETS_FILE=nowhere"}, nil, []string{"BRIDGE_HOOK_SECRETS_FILE", "nowhere"}},
		{"an argument", nil, []string{"serve"}, []string{"no arguments", `"serve"`, "bridge -h"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, out := run(t, test.args, append(ports(t.TempDir()), test.env...)...)
			if code != 1 {
				t.Errorf("exit code %d", code)
			}
			for _, want := range test.want {
				if !strings.Contains(out, want) {
					t.Errorf("the message lacks %q:\n%s", want, out)
				}
			}
			if strings.Contains(out, "goroutine ") || strings.Count(out, "\n") > len(test.env)+2 {
				t.Errorf("not one clear message:\n%s", out)
			}
		})
	}
}

func TestLockedDataFolder(t *testing.T) {
	dataDir := t.TempDir()
	p := start(t, dataDir)
	code, out := run(t, nil, ports(dataDir)...)
	if code != 1 || !strings.Contains(out, "used by another bridge") || !strings.Contains(out, "BRIDGE_DATA_DIR") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if got := p.post("call=done&name=x"); got != http.StatusOK {
		t.Errorf("the first bridge is disturbed: %d", got)
	}
	p.kill()
	start(t, dataDir).stop() // the lock does not outlive its process
}

func TestHelpListsEveryVariable(t *testing.T) {
	code, out := run(t, []string{"-h"})
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	var fields []reflect.StructField
	for f := range reflect.TypeFor[bridge.Config]().Fields() {
		if f.Tag.Get("env") == "" { // a part with variables of its own
			fields = append(fields, reflect.VisibleFields(f.Type)...)
		} else {
			fields = append(fields, f)
		}
	}
	for _, f := range fields {
		name, fallback := f.Tag.Get("env"), f.Tag.Get("envDefault")
		line := "  " + name
		if fallback != "" {
			line += " (default " + fallback + ")"
		}
		if name == "" || !strings.Contains(out, line+"\n        "+f.Tag.Get("doc")) {
			t.Errorf("-h lacks %q", line)
		}
	}
	if len(fields) < 35 {
		t.Errorf("only %d variables", len(fields))
	}
	if code, out := run(t, []string{"-helath"}); code != 1 || out != "bridge: flag provided but not defined: -helath, see bridge -h\n" {
		t.Errorf("a misspelt flag: exit code %d\n%s", code, out)
	}
}

func TestHealth(t *testing.T) {
	code, out := run(t, []string{"-health"}, "BRIDGE_ADMIN_LISTEN="+takenPort(t))
	if code != 1 {
		t.Errorf("without a bridge: exit code %d\n%s", code, out)
	}
	p := start(t, t.TempDir())
	p.ready()
	admin := "BRIDGE_ADMIN_LISTEN=" + strings.TrimPrefix(p.admin, "http://")
	if code, out := run(t, []string{"-health"}, admin); code != 0 {
		t.Errorf("with a bridge: exit code %d\n%s", code, out)
	}
	p.stop()
}

func TestUnknownVariableIsTold(t *testing.T) {
	p := start(t, t.TempDir(), "BRIDGE_DAILECT=bintu", "BRIDGE_DIALECT=")
	p.eventually("the log names it", func() bool { return strings.Contains(p.log(), "BRIDGE_DAILECT") })
	p.stop()
}

// SIGTERM answers what is in flight and leaves on disk what NATS does not take.
func TestSIGTERMAnswersWhatIsInFlight(t *testing.T) {
	p := start(t, t.TempDir(), "BRIDGE_DEFAULT_PUBLISH=allow")
	p.ready()
	conn, err := net.Dial("tcp", p.hook)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const body = "call=publish&name=x"
	if _, err := conn.Write([]byte("POST /hook HTTP/1.1\r\nHost: h\r\nContent-Length: 19\r\n\r\n" + body[:9])); err != nil {
		t.Fatal(err)
	}
	p.eventually("the request has begun", func() bool {
		_, text := p.get("/metrics")
		return strings.Contains(text, "bridge_http_requests_in_flight 1")
	})
	p.signal(syscall.SIGTERM)
	p.eventually("no more connections are taken", func() bool {
		probe, err := net.Dial("tcp", p.hook)
		if err == nil {
			_ = probe.Close()
		}
		return err != nil
	})
	if _, err := conn.Write([]byte(body[9:])); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 64)
	n, err := conn.Read(answer)
	if err != nil || !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 200 OK\r\n") {
		t.Errorf("answer %q %v", answer[:n], err)
	}
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d\n%s", code, p.log())
	}
}

// With NATS away the bridge tries for ten seconds to empty its spool. A second
// signal does not wait for that, and the event is still on disk.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	dataDir := t.TempDir()
	p := start(t, dataDir, "NATS_URL=nats://"+takenPort(t))
	if got := p.post("call=done&name=x"); got != http.StatusOK {
		t.Fatalf("status %d", got)
	}
	p.signal(syscall.SIGTERM)
	p.eventually("it is stopping", func() bool { return strings.Contains(p.log(), "stopping") })
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != -1 {
		t.Errorf("exit code %d: it was not ended by the signal\n%s", code, p.log())
	}
	again := start(t, dataDir) // embedded now
	again.eventually("the event is forwarded", func() bool { return again.status().Forward.Acked == 1 })
	again.stop()
}
