package main

import (
	"fmt"
	"testing"

	"bintubridge/bridge/decide"
)

// What was answered by something that was not recorded is not held against the
// present rules.
func TestDriftLeavesOutWhatWasRedacted(t *testing.T) {
	tests := []struct {
		name  string
		field string
		drift uint64
	}{
		{"nothing redacted", `"tcurl":"rtmp://h/live"`, 1},
		{"custom", `"custom":{"token":"sha256:0123456789abcdef"}`, 0},
		{"tcurl", `"tcurl":"rtmp://h/live?token=sha256:0123456789abcdef"`, 0},
		{"swfurl", `"swfurl":"http://h/p.swf?key=sha256:0123456789abcdef"`, 0},
		{"pageurl", `"pageurl":"http://h/?jwt=sha256:0123456789abcdef"`, 0},
	}
	rules := decide.NewReview(decide.Defaults{Publish: decide.Deny}, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tally := newTally(tallyOptions{before: rules, after: rules})
			tally.take("stream.publish", fmt.Appendf(nil, `{"id":"e-1","received_at":"2020-11-23T09:00:00.000001Z","call":"publish","name":"x",%s,"decision":{"effect":"allow"}}`, tt.field))
			if tally.Asks != 1 || tally.Drift != tt.drift {
				t.Errorf("%d asks, %d drifted, want 1 and %d", tally.Asks, tally.Drift, tt.drift)
			}
		})
	}
}
