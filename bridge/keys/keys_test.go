package keys

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"bintubridge/bridge/decide"
	"bintubridge/subjects"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	one = "the first secret of the two"
	two = "the second secret of the two"
)

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// publicPEM returns the PEM of a key, as a JSON string.
func publicPEM(t testing.TB, public any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestParse(t *testing.T) {
	ed, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	secretPEM, err := json.Marshal(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	if err != nil {
		t.Fatal(err)
	}
	good := `"k1":{"secret":"` + b64(one) + `"},"k2":{"public":` + publicPEM(t, ed) + `}`
	for _, tt := range []struct {
		name, data string
		keys       int
		want       string // in the error
	}{
		{name: "none", data: `{}`},
		{name: "both kinds", data: `{` + good + "}\n", keys: 2},
		{name: "base64url, unpadded", data: `{"k":{"secret":"` + base64.RawURLEncoding.EncodeToString([]byte("???>>>???>>>????")) + `"}}`, keys: 1},
		{name: "empty", data: "", want: "no JSON object"},
		{name: "a list", data: `[]`, want: "no JSON object"},
		{name: "cut off", data: `{` + good, want: "no JSON at byte"},
		{name: "more behind it", data: `{` + good + `} {}`, want: "no JSON at byte"},
		{name: "a name twice", data: `{` + good + `,"k1":{"secret":"` + b64(two) + `"}}`, want: `key "k1": it stands there twice`},
		{name: "an unknown field", data: `{"k":{"secret":"` + b64(one) + `","alg":"HS256"}}`, want: `key "k": want {"secret"`},
		{name: "a bare secret", data: `{"k":"` + b64(one) + `"}`, want: `key "k": want {"secret"`},
		{name: "nothing in it", data: `{"k":{}}`, want: `key "k": want "secret" or "public", one of the two`},
		{name: "both in it", data: `{"k":{"secret":"` + b64(one) + `","public":"x"}}`, want: "one of the two"},
		{name: "no base64", data: `{"k":{"secret":"` + one + `"}}`, want: "no base64"},
		{name: "a short secret", data: `{"k":{"secret":"` + b64("short") + `"}}`, want: "5 bytes: want at least 16"},
		{name: "no PEM", data: `{"k":{"public":"x"}}`, want: "no PEM"},
		{name: "a private key", data: `{"k":{"public":` + string(secretPEM) + `}}`, want: "a private key, which belongs to the issuer alone"},
		{name: "another curve", data: `{"k":{"public":` + publicPEM(t, p224.Public()) + `}}`, want: "want P-256"},
		{name: "a broken key", data: `{"k":{"public":"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}}`, want: "cannot be read"},
		{name: "a name no rule can use", data: `{"a/b":{"secret":"` + b64(one) + `"}}`, want: `key "a/b": a name that no rule can use`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			keys, err := Parse([]byte(tt.data))
			if tt.want == "" {
				if err != nil || keys.Len() != tt.keys {
					t.Errorf("%d keys, %v", keys.Len(), err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %s", err, tt.want)
			}
			for _, secret := range []string{one, b64(one), "PRIVATE KEY", base64.StdEncoding.EncodeToString(der)[20:40]} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error shows a key: %v", err)
				}
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"k1":{"secret":"` + b64(one) + `"},"k2":{"public":"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}}`))
	f.Add([]byte(`{"k":{"secret":null},"k":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if keys, err := Parse(data); (keys == nil) == (err == nil) {
			t.Errorf("%v, %v", keys, err)
		}
	})
}

// holds reports whether a token made with the secret holds by the keys of f.
func holds(t *testing.T, f *File, secret string) bool {
	t.Helper()
	key, err := decide.NewSecret([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	token, err := decide.CompileToken([]byte(`{"type":"hmac","field":"t","keys":["k1","k2"],"bind":["name"]}`))
	if err != nil {
		t.Fatal(err)
	}
	in := decide.Input{Call: subjects.Publish, Name: "cam", Custom: &subjects.Fields{}, Keys: decide.NewKeys(map[string]*decide.Key{"k1": key})}
	text, err := token.Sign(&in, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	in.Custom.Add("t", text)
	in.Keys = f.Current()
	return token.Check(&in, time.Now()) == nil
}

// A file over its life: rotation, mistakes, being away, and what is told of it.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "keys.json")
		var log strings.Builder
		write := func(data string) {
			if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		entry := func(name, secret string) string { return `"` + name + `":{"secret":"` + b64(secret) + `"}` }
		write(`{` + entry("k1", one) + `}`)
		f, err := Open(path, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		expect := func(what string, first, second bool, failures uint64, told string) {
			t.Helper()
			time.Sleep(lookEvery)
			synctest.Wait()
			if holds(t, f, one) != first || holds(t, f, two) != second {
				t.Errorf("%s: the first key holds %v, the second %v", what, holds(t, f, one), holds(t, f, two))
			}
			s := f.Status()
			if s.Failures != failures || !strings.Contains(s.Err, told) || (told == "") != (s.Err == "") {
				t.Errorf("%s: %+v", what, s)
			}
		}
		expect("at first", true, false, 0, "")
		before := f.Current()
		expect("untouched", true, false, 0, "")
		if f.Current() != before {
			t.Error("an untouched file was loaded again, and checked tokens forgotten")
		}
		write(`{` + entry("k1", one) + `,` + entry("k2", two) + `}`)
		expect("two in rotation", true, true, 0, "")
		write(`{` + entry("k2", two) + `}`)
		expect("the first one taken out", false, true, 0, "")
		write(`{` + entry("k1", "short") + `}`)
		expect("a mistake", false, true, 1, "at least 16")
		expect("the same mistake", false, true, 1, "at least 16")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		expect("away", false, true, 2, "no such file")
		expect("still away", false, true, 2, "no such file")
		write(`{` + entry("k2", two) + `}`)
		expect("back", false, true, 2, "")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		expect("away again", false, true, 3, "no such file")
		write(`{` + entry("k2", two) + `}`)
		expect("back as it was", false, true, 3, "")
		write(`{` + entry("k1", one) + `}`)
		expect("another key", true, false, 3, "")
		if s := f.Status(); s.Keys != 1 || s.Loaded.IsZero() || s.File != path {
			t.Errorf("%+v", s)
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != 3 {
			t.Errorf("%d errors are logged:\n%s", n, &log)
		}
		if s := f.Status(); len(s.Missing) != 1 || s.Missing[0] != "k2" || !strings.Contains(log.String(), "key=k2") {
			t.Errorf("k2 is missing: %+v\n%s", s, &log)
		}
		if strings.Contains(log.String(), b64(one)) || strings.Contains(log.String(), one) {
			t.Error("the log shows a secret")
		}
	})
}

func TestPermissions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "keys.json")
		if err := os.WriteFile(path, []byte(`{}`), 0o600); err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		f, err := Open(path, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, tt := range []struct {
			mode os.FileMode
			warn bool
		}{{0o600, false}, {0o640, false}, {0o644, true}, {0o644, true}, {0o660, true}, {0o400, false}} {
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			time.Sleep(lookEvery)
			synctest.Wait()
			if got := f.Status().Warning; (got != "") != tt.warn {
				t.Errorf("%#o: %q", tt.mode, got)
			}
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 2 {
			t.Errorf("%d warnings:\n%s", n, &log)
		}
	})
}

func TestOpen(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	f, err := Open("", log)
	if err != nil || f.Current().Len() != 0 {
		t.Fatalf("no file: %v", err)
	}
	f.Close()
	f.Close()
	dir := t.TempDir()
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{filepath.Join(dir, "none"): "no such file", dir: "want a regular file", large: "over 1048576 bytes"} {
		if f, err := Open(path, log); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "BRIDGE_KEYS_FILE: ") {
			t.Errorf("%s: %v, %v", path, f, err)
		}
	}
}
