package bridge

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"bintubridge/bridge/rulestore"
	"bintubridge/subjects"
	"bintubridge/subjects/natsenv"
)

// A bridge that starts with NATS down says that it is not connected, not what the client
// makes of that.
func TestFleetDisconnected(t *testing.T) {
	conn, err := nats.Connect("nats://127.0.0.1:1", natsenv.Lasting()...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{js: js, name: "edge"}
	if err := f.put(t.Context(), subjects.BridgeStatus{}); !errors.Is(err, nats.ErrDisconnected) {
		t.Errorf("got %v", err)
	}
}

// KV bridges names the refused documents by key up to where it would become too much.
func TestFleetInvalid(t *testing.T) {
	long := strings.Repeat("ä", 1000)
	for _, tt := range []struct {
		name  string
		key   string // before a number
		named int
	}{
		{"usual keys", "live.team.", 100},
		{"huge keys", strings.Repeat("k", 4000), 7},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var refused []rulestore.InvalidDocument
			for i := range 100 {
				refused = append(refused, rulestore.InvalidDocument{Key: fmt.Sprintf("%s%02d", tt.key, i), Revision: 7, InForce: 3, Err: "x" + long})
			}
			list := fleetInvalid(refused)
			if len(list) != tt.named {
				t.Errorf("%d are named, want %d", len(list), tt.named)
			}
			for i, d := range list {
				limit := 500
				if i >= 10 {
					limit = 100
				}
				if d.Key != refused[i].Key || d.Revision != 7 || d.InForce != 3 || d.Error == "" || len(d.Error) > limit || !utf8.ValidString(d.Error) {
					t.Errorf("%d is %+v", i, d)
				}
			}
		})
	}
}
