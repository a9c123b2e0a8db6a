package bridge

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bintubridge/bridge/decide"
	"bintubridge/bridge/spool"
	"bintubridge/bridge/webhook"
	"bintubridge/subjects/provision"
)

func TestDefaults(t *testing.T) {
	// Set but empty is not set.
	cfg, err := Load([]string{"BRIDGE_NAME=n", "BRIDGE_LISTEN=", "BRIDGE_MAX_BODY=", "NATS_URL=", "BRIDGE_ALLOW_FROM=", "BRIDGE_HOOK_SECRETS=", "BRIDGE_OPEN="})
	if err != nil {
		t.Fatal(err)
	}
	// Of DESIGN §9.
	for name, ok := range map[string]bool{
		"listen":            cfg.Listen == "127.0.0.1:8080",
		"admin":             cfg.AdminListen == "127.0.0.1:8081",
		"embedded":          cfg.EmbeddedListen == "127.0.0.1:4222" && cfg.NATSURL == "",
		"hook path":         cfg.HookPath == "/hook" && len(cfg.HookSecrets) == 0 && len(cfg.AllowFrom) == 0,
		"body":              cfg.MaxBody == 64<<10,
		"connections":       cfg.MaxConns == 4096 && cfg.MaxPerAddr == 1024,
		"dialect":           cfg.Dialect == webhook.Bintu,
		"effects":           cfg.DefaultPublish == decide.Deny && cfg.DefaultPlay == decide.Deny,
		"bucket":            cfg.RulesBucket == "rules",
		"subject":           cfg.Subject.String() == "stream.{call}",
		"data":              cfg.DataDir == "./bridge-data",
		"provision":         cfg.Provision == provision.Auto,
		"spool":             cfg.SpoolSync == spool.SyncInterval && cfg.SpoolSyncInterval == 50*time.Millisecond && cfg.SpoolMaxBytes == 1<<30 && cfg.SpoolFull == FullAnswer,
		"stale":             cfg.StaleAfter == 0 && cfg.Stale == StaleKeep,
		"redact":            slices.Equal(cfg.Redact, []string{"token", "key", "password", "secret", "jwt", "sig", "signature", "streamkey"}),
		"closed by default": !cfg.Open,
	} {
		if !ok {
			t.Errorf("%s: %+v", name, cfg)
		}
	}
}

func TestValues(t *testing.T) {
	cfg, err := Load([]string{
		"BRIDGE_NAME=n", "BRIDGE_LISTEN=:8080", "BRIDGE_HOOK_SECRETS=old-one,new-one", "BRIDGE_ALLOW_FROM=192.0.2.7, 10.0.0.0/8,2001:db8::/32,::ffff:198.51.100.0/120",
		"BRIDGE_MAX_BODY=10KiB", "BRIDGE_DIALECT=nginx-rtmp", "BRIDGE_DEFAULT_PLAY=allow", "BRIDGE_SPOOL_SYNC=always", "BRIDGE_SPOOL_FULL=reject",
		"BRIDGE_RULES_STALE=deny", "BRIDGE_RULES_STALE_AFTER=5m", "BRIDGE_SUBJECT=stream.{call}.{name}", "BRIDGE_PROVISION=off", "BRIDGE_LOG_FORMAT=json",
		"NATS_URL=nats://a:4222,tls://user:pw@b.example:4223",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Networks{
		netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("198.51.100.0/24"),
	}
	if !slices.Equal(cfg.AllowFrom, want) {
		t.Errorf("allow %v", cfg.AllowFrom)
	}
	if !slices.Equal(cfg.HookSecrets, []string{"old-one", "new-one"}) || cfg.MaxBody != 10<<10 || cfg.Dialect != webhook.NginxRTMP ||
		cfg.DefaultPlay != decide.Allow || cfg.SpoolSync != spool.SyncAlways || cfg.SpoolFull != FullReject || cfg.Stale != StaleDeny ||
		cfg.StaleAfter != 5*time.Minute || cfg.Provision != provision.Off || cfg.LogFormat != LogJSON {
		t.Errorf("%+v", cfg)
	}
}

func TestSecretFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte("from-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := Load([]string{"BRIDGE_NAME=n", "BRIDGE_HOOK_SECRETS_FILE=" + path, "NATS_USER=u", "NATS_PASSWORD_FILE=" + path})
	if err != nil || !slices.Equal(cfg.HookSecrets, []string{"from-a-file"}) || cfg.NATS.Password != "from-a-file" {
		t.Errorf("%v %q %q", err, cfg.HookSecrets, cfg.NATS.Password)
	}
	_, err = Load([]string{"BRIDGE_HOOK_SECRETS=x", "BRIDGE_HOOK_SECRETS_FILE=" + path})
	if err == nil || !strings.Contains(err.Error(), "both set") {
		t.Errorf("both: %v", err)
	}
	if unknown := Unknown([]string{"BRIDGE_HOOK_SECRETS_FILE=x", "BRIDGE_NAME_FILE=x", "BRIDGE_KEYS_FILE_FILE=x", "OTHER=x"}); !slices.Equal(unknown, []string{"BRIDGE_KEYS_FILE_FILE", "BRIDGE_NAME_FILE"}) {
		t.Errorf("unknown %v", unknown)
	}
}

func TestMistakes(t *testing.T) {
	for _, test := range []struct {
		environ string // entries separated by blanks
		want    string
	}{
		{"BRIDGE_LISTEN=8080", `BRIDGE_LISTEN="8080": want host:port`},
		{"BRIDGE_LISTEN=:99999", "want host:port"},
		{"BRIDGE_LISTEN=0.0.0.0:8080", "BRIDGE_LISTEN=\"0.0.0.0:8080\" can be reached from the network: set BRIDGE_HOOK_SECRETS or BRIDGE_ALLOW_FROM, which may not have all addresses, or BRIDGE_OPEN=true"},
		{"BRIDGE_LISTEN=:8080 BRIDGE_ALLOW_FROM=192.0.2.7,0.0.0.0/0", "can be reached from the network"},
		{"BRIDGE_LISTEN=:8080 BRIDGE_ALLOW_FROM=::/0", "can be reached from the network"},
		{"BRIDGE_TRUSTED_PROXIES=10.0.0.0/8,::/0", "BRIDGE_TRUSTED_PROXIES has all addresses"},
		{"BRIDGE_LISTEN=[::]:8080", "can be reached from the network"},
		{"BRIDGE_LISTEN=bridge.example:8080", "can be reached from the network"},
		{"BRIDGE_EMBEDDED_LISTEN=:4222", "set NATS_TOKEN, or NATS_USER and NATS_PASSWORD"},
		{"BRIDGE_HOOK_PATH=hook", `BRIDGE_HOOK_PATH="hook": want a path such as /hook`},
		{"BRIDGE_HOOK_PATH=/a/../b", "want a path"},
		{"BRIDGE_HOOK_PATH=/a?b", "want a path"},
		{"BRIDGE_HOOK_SECRETS=good,b/d", "BRIDGE_HOOK_SECRETS: secret 2"},
		{"BRIDGE_HOOK_SECRETS=good,", "BRIDGE_HOOK_SECRETS: secret 2"},
		{"BRIDGE_MAX_BODY=0", `BRIDGE_MAX_BODY="0": want a size`},
		{"BRIDGE_MAX_BODY=64kb", "want a size"},
		{"BRIDGE_MAX_BODY=1MiB", "want 1KiB to 512KiB"},
		{"BRIDGE_MAX_BODY=9223372036854775807GiB", "want a size"},
		{"BRIDGE_MAX_CONNS=0", "want 1 to 1000000"},
		{"BRIDGE_MAX_CONNS=1000001", "want 1 to 1000000"},
		{"BRIDGE_MAX_CONNS=1000", "BRIDGE_MAX_CONNS_PER_ADDR=1024: want 1 to 1000"},
		{"BRIDGE_MAX_CONNS_PER_ADDR=0", "want 1 to 4096"},
		{"BRIDGE_MAX_CONNS_PER_ADDR=4097", "want 1 to 4096"},
		{"BRIDGE_SPOOL_MAX_BYTES=1KiB", "at least 1MiB"},
		{"BRIDGE_SPOOL_SYNC=sometimes", "interval, always or off"},
		{"BRIDGE_SPOOL_SYNC_INTERVAL=0s", "at least 1ms"},
		{"BRIDGE_SPOOL_SYNC_INTERVAL=fast", `BRIDGE_SPOOL_SYNC_INTERVAL="fast": want a duration, such as 50ms, 30s or 5m`},
		{"BRIDGE_RULES_STALE_AFTER=5", `BRIDGE_RULES_STALE_AFTER="5": want a duration`},
		{"BRIDGE_MAX_CONNS=many", `BRIDGE_MAX_CONNS="many": want a whole number`},
		{"BRIDGE_SPOOL_FULL=panic", `BRIDGE_SPOOL_FULL="panic": want answer or reject`},
		{"BRIDGE_RULES_STALE=maybe", "want keep or deny"},
		{"BRIDGE_RULES_STALE=deny", "never takes effect without BRIDGE_RULES_STALE_AFTER"},
		{"BRIDGE_RULES_STALE_AFTER=-1s", "want 0"},
		{"BRIDGE_RULES_BUCKET=a.b", "BRIDGE_RULES_BUCKET"},
		{"BRIDGE_RULES_BUCKET=live", "another use"},
		{"BRIDGE_RULES_BUCKET=bridges", "another use"},
		{"BRIDGE_RULES_BUCKET=subscriptions", "another use"},
		{"BRIDGE_RULES_BUCKET=chat_rooms", "another use"},
		{"BRIDGE_RULES_BUCKET=sessions_state", "another use"},
		{"BRIDGE_RULES_BUCKET=chat_state", "another use"},
		{"BRIDGE_LOG_LEVEL=loud", `BRIDGE_LOG_LEVEL="loud"`},
		{"BRIDGE_LOG_FORMAT=xml", "want text or json"},
		{"BRIDGE_PROVISION=always", "BRIDGE_PROVISION"},
		{"BRIDGE_OPEN=perhaps", `BRIDGE_OPEN="perhaps": want true or false`},
		{"BRIDGE_ALLOW_FROM=10.0.0.1/8", "want 10.0.0.0/8"},
		{"BRIDGE_ALLOW_FROM=example.com", "is no address or CIDR"},
		{"BRIDGE_NAME=a\nb", "without control characters"},
		{"NATS_USER=u", "NATS_USER and NATS_PASSWORD belong together"},
		{"NATS_KEY=k", "NATS_CERT and NATS_KEY belong together"},
		{"NATS_CREDS=f", "NATS_URL is empty"},
		{"NATS_NKEY=f", "NATS_URL is empty"},
		{"NATS_CA=f", "NATS_URL is empty"},
		{"NATS_CERT=f NATS_KEY=f", "NATS_URL is empty"},
		{"NATS_URL=nats://", "server 1 is no URL"},
		{"NATS_URL=nats://a:4222,ftp://b", `server 2 has the scheme "ftp"`},
		{"NATS_URL=nats://a:0", `port "0"`},
		{"NATS_URL=nats://a:99999", `port "99999"`},
	} {
		t.Run(test.environ, func(t *testing.T) {
			environ := []string{"BRIDGE_NAME=n"}
			if strings.HasPrefix(test.environ, "BRIDGE_NAME") {
				environ = nil
			}
			_, err := Load(append(environ, strings.Fields(test.environ)...))
			if strings.Contains(test.environ, "\n") {
				_, err = Load([]string{test.environ})
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

// What cannot be read and what makes no sense are told together, each variable once.
func TestMistakesAreToldTogether(t *testing.T) {
	_, err := Load([]string{"BRIDGE_MAX_BODY=abc", "BRIDGE_HOOK_PATH=foo", "BRIDGE_ALLOW_FROM=ten,10.0.0.1/8", "BRIDGE_LISTEN=:1", "NATS_URL=x://y"})
	lines := strings.Split(err.Error(), "\n")
	want := []string{`BRIDGE_MAX_BODY="abc"`, "BRIDGE_HOOK_PATH", "BRIDGE_ALLOW_FROM", "BRIDGE_LISTEN", "NATS_URL"}
	if len(lines) != len(want) {
		t.Errorf("%d lines, want %d:\n%v", len(lines), len(want), err)
	}
	for _, name := range want {
		if strings.Count(err.Error(), name) != 1 && name != "BRIDGE_ALLOW_FROM" || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not told once:\n%v", name, err)
		}
	}
	if !strings.Contains(err.Error(), `"ten"`) || !strings.Contains(err.Error(), "10.0.0.0/8") {
		t.Errorf("not every entry of a list is told:\n%v", err)
	}
}

func TestEmptySecretFileIsAMistake(t *testing.T) {
	path := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(path, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"BRIDGE_HOOK_SECRETS_FILE", "NATS_TOKEN_FILE", "BRIDGE_ADMIN_TOKEN_FILE"} {
		if _, err := Load([]string{"BRIDGE_NAME=n", name + "=" + path}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMistakesShowNoSecret(t *testing.T) {
	_, err := Load([]string{"BRIDGE_HOOK_SECRETS=hunter/2", "NATS_URL=nats://u:hunter%zz2@h", "NATS_PASSWORD=hunter2", "BRIDGE_LISTEN=:1"})
	if err == nil || strings.Contains(err.Error(), "hunter") {
		t.Errorf("%v", err)
	}
}

func TestReachable(t *testing.T) {
	for addr, loopback := range map[string]bool{
		"127.0.0.1:1": true, "127.9.9.9:1": true, "localhost:1": true, "[::1]:1": true, "[::ffff:127.0.0.1]:1": true,
		":1": false, "0.0.0.0:1": false, "[::]:1": false, "192.0.2.1:1": false, "localhost.example:1": false,
	} {
		if got := isLoopback(addr); got != loopback {
			t.Errorf("%s: loopback is %v", addr, got)
		}
	}
	for _, guard := range []string{"BRIDGE_HOOK_SECRETS=a-secret", "BRIDGE_ALLOW_FROM=192.0.2.0/24", "BRIDGE_OPEN=true"} {
		if _, err := Load([]string{"BRIDGE_NAME=n", "BRIDGE_LISTEN=:8080", guard}); err != nil {
			t.Errorf("%s: %v", guard, err)
		}
	}
}

func TestGuessable(t *testing.T) {
	for environ, want := range map[string]bool{
		"BRIDGE_LISTEN=:8080 BRIDGE_HOOK_SECRETS=fifteen-letters":                  true,
		"BRIDGE_LISTEN=:8080 BRIDGE_HOOK_SECRETS=a-long-one-that-nobody-guesses,x": true,
		"BRIDGE_LISTEN=:8080 BRIDGE_HOOK_SECRETS=x BRIDGE_ALLOW_FROM=::/0":         true,
		"BRIDGE_LISTEN=:8080 BRIDGE_HOOK_SECRETS=sixteen--letters":                 false,
		"BRIDGE_LISTEN=:8080 BRIDGE_HOOK_SECRETS=x BRIDGE_ALLOW_FROM=192.0.2.7":    false,
		"BRIDGE_LISTEN=127.0.0.1:8080 BRIDGE_HOOK_SECRETS=x":                       false,
		"BRIDGE_LISTEN=:8080 BRIDGE_OPEN=true":                                     false,
	} {
		cfg, err := Load(append(strings.Fields(environ), "BRIDGE_NAME=n"))
		if err != nil || cfg.guessable() != want {
			t.Errorf("%s: guessable is not %v; %v", environ, want, err)
		}
	}
}
