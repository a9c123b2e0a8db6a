package bridge

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"bintubridge/bridge/rulestore"
)

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
