package bridgetest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"bintubridge/bridge/bridgetest"
	"bintubridge/subjects"
)

// shown reads what KV bridges says of a bridge. A key that is not there is no
// error and the zero status.
func shown(t *testing.T, kv jetstream.KeyValue, name string) (s subjects.BridgeStatus) {
	t.Helper()
	e, err := kv.Get(t.Context(), subjects.BridgeKey(name))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return s
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(e.Value(), &s); err != nil {
		t.Fatalf("%v: %s", err, e.Value())
	}
	return s
}

func buckets(t *testing.T, server *bridgetest.NATS) (rules, bridges jetstream.KeyValue) {
	t.Helper()
	js := server.JetStream()
	rules, rulesErr := js.KeyValue(t.Context(), subjects.BucketRules)
	bridges, bridgesErr := js.KeyValue(t.Context(), subjects.BucketBridges)
	if err := errors.Join(rulesErr, bridgesErr); err != nil {
		t.Fatal(err)
	}
	return rules, bridges
}

// A bridge shows itself in KV bridges, with what changes, and leaves when it stops.
func TestBridgeShowsItself(t *testing.T) {
	const name = "edge 1.a"
	server := bridgetest.StartNATS(t)
	t.Run("running", func(t *testing.T) {
		b := bridgetest.StartBridge(t, server, "BRIDGE_NAME="+name)
		rules, bridges := buckets(t, server)
		if code := b.Post("call=play&name=x&addr=192.0.2.1&app=live"); code != http.StatusForbidden {
			t.Fatalf("status %d", code)
		}
		good, err := rules.PutString(t.Context(), "acme", `{"rules":[{"id":"r","effect":"allow","name":["x"]},{"effect":"deny","app":["y"]}]}`)
		if err != nil {
			t.Fatal(err)
		}
		bridgetest.Eventually(t, "the push is shown", func() bool { return shown(t, bridges, name).Rules.Revision == good })
		s := shown(t, bridges, name)
		if s.Bridge != name || s.Instance == "" || s.Shared || s.Version == "" || s.Dialect != "bintu" || s.Started.IsZero() || s.Time.Before(s.Started) {
			t.Errorf("bridge %+v", s)
		}
		if r := s.Rules; r.Bucket != "rules" || r.Source != "kv" || r.Documents != 1 || r.Rules != 2 || r.InvalidCount != 0 || r.Stale || r.Trouble != "" {
			t.Errorf("rules %+v", r)
		}
		if e := s.Events; e.Answered != 1 || e.Denied != 1 || e.Lost != 0 {
			t.Errorf("events %+v", e)
		}
		if n := s.NATS; !n.Publishing || !n.Watching || n.Embedded {
			t.Errorf("NATS %+v", n)
		}
		for i := range 12 {
			if _, err := rules.PutString(t.Context(), fmt.Sprintf("bad.%02d", i), `{"rules":[{"effect":"`+strings.Repeat("ä", 300)+`"}]}`); err != nil {
				t.Fatal(err)
			}
		}
		bridgetest.Eventually(t, "the invalid documents are shown", func() bool { return shown(t, bridges, name).Rules.InvalidCount == 12 })
		invalid := shown(t, bridges, name).Rules.Invalid
		if len(invalid) != 12 || invalid[0].Key != "bad.00" || invalid[0].Revision != good+1 || !strings.Contains(invalid[0].Error, "effect") {
			t.Errorf("invalid %+v", invalid)
		}
	})
	_, bridges := buckets(t, server)
	const tries = 3 // a bridge leaves in a second, or not at all: a machine that stands still may take it away
	for try := 1; shown(t, bridges, name).Instance != ""; try++ {
		if try == tries {
			t.Fatalf("bridges that stopped are still shown: %+v", shown(t, bridges, name))
		}
		t.Run("once more", func(t *testing.T) {
			before := shown(t, bridges, name).Instance
			bridgetest.OpenBridge(t, server, "BRIDGE_NAME="+name)
			bridgetest.Eventually(t, "it shows itself", func() bool { return shown(t, bridges, name).Instance != before })
		})
	}
}

// Two bridges of one name notice each other, and the one that stays shows itself.
func TestBridgesOfOneName(t *testing.T) {
	server := bridgetest.StartNATS(t)
	bridgetest.StartBridge(t, server)
	rules, bridges := buckets(t, server)
	push := func() {
		t.Helper()
		if _, err := rules.PutString(t.Context(), "acme", `{"rules":[]}`); err != nil {
			t.Fatal(err)
		}
	}
	bridgetest.Eventually(t, "one bridge", func() bool { return shown(t, bridges, "test").Instance != "" })
	first := shown(t, bridges, "test").Instance
	t.Run("two", func(t *testing.T) {
		bridgetest.StartBridge(t, server)
		told := map[string]bool{} // by instance: it knows that it is not alone
		bridgetest.Eventually(t, "both notice", func() bool {
			push()
			s := shown(t, bridges, "test")
			told[s.Instance] = told[s.Instance] || s.Shared
			return told[first] && len(told) == 2 && !slices.Contains(slices.Collect(maps.Values(told)), false)
		})
	})
	bridgetest.Eventually(t, "the other one alone", func() bool {
		push()
		s := shown(t, bridges, "test")
		return s.Instance == first && !s.Shared
	})
}
