package bridgetest_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
	"bintubridge/bridge/decide"
	"bintubridge/bridge/keys"
	"bintubridge/subjects"
)

// A key is rotated under a running bridge: both keys are good while the file has
// both, and a broken file takes nothing away and shows.
func TestKeyRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	entry := func(name, secret string) string {
		return fmt.Sprintf("%q:{%q:%q}", name, "secret", base64.StdEncoding.EncodeToString([]byte(secret)))
	}
	first, second := entry("k1", "the first secret of the two"), entry("k2", "the second secret of the two")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("{" + first + "}")
	server := bridgetest.StartNATS(t)
	b := bridgetest.StartBridge(t, server, "BRIDGE_KEYS_FILE="+path)
	kv, err := server.JetStream().KeyValue(t.Context(), subjects.BucketRules)
	if err != nil {
		t.Fatal(err)
	}
	condition := func(keys string) string {
		return `{"type":"hmac","field":"token","keys":[` + keys + `],"bind":["call","name"]}`
	}
	if _, err := kv.PutString(t.Context(), "acme", `{"rules":[{"id":"r","effect":"allow","token":`+condition(`"k1","k2"`)+`}]}`); err != nil {
		t.Fatal(err)
	}
	token := func(name, file string) string {
		set, err := keys.Parse([]byte("{" + file + "}"))
		if err != nil {
			t.Fatal(err)
		}
		c, err := decide.CompileToken([]byte(condition(`"` + name + `"`)))
		if err != nil {
			t.Fatal(err)
		}
		text, err := c.Sign(&decide.Input{Call: subjects.Publish, Name: "cam", Keys: set}, time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	old, young := token("k1", first), token("k2", second)
	answers := func(token string, code int) func() bool {
		return func() bool { return b.Post("token="+token+"&call=publish&name=cam&addr=192.0.2.1") == code }
	}
	shows := func(text string) func() bool {
		return func() bool { _, page := b.Admin("/readyz?verbose"); return strings.Contains(page, text) }
	}
	bridgetest.Eventually(t, "the first key is good", answers(old, http.StatusOK))
	bridgetest.Eventually(t, "the second is not yet, and shows", func() bool {
		return answers(young, http.StatusForbidden)() && shows("rules name keys that are not there: k2")()
	})
	write("{" + first + "," + second + "}")
	bridgetest.Eventually(t, "both are good", func() bool { return answers(old, http.StatusOK)() && answers(young, http.StatusOK)() })
	write("{" + second)
	bridgetest.Eventually(t, "the broken file shows", shows("[~] keys degraded: 2 in force; the file is not used as it is"))
	if !answers(old, http.StatusOK)() || !answers(young, http.StatusOK)() {
		t.Error("a broken file took a key away")
	}
	write("{" + second + "}")
	bridgetest.Eventually(t, "the first key has gone", answers(old, http.StatusForbidden))
	if !answers(young, http.StatusOK)() {
		t.Error("the second key has gone too")
	}
}
