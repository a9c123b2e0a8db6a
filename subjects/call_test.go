package subjects_test

import (
	"testing"

	"bintubridge/subjects"
)

func TestCalls(t *testing.T) {
	asks := map[subjects.Call]bool{
		subjects.Publish: true, subjects.Play: true, subjects.Connect: true,
		subjects.UpdatePublish: true, subjects.UpdatePlay: true,
	}
	for c := subjects.Connect; c <= subjects.RecordDone; c++ {
		if c.String() == "" || subjects.ParseCall(c.String()) != c {
			t.Errorf("call %d: name %q reads as %d", c, c, subjects.ParseCall(c.String()))
		}
		if c.Asks() != asks[c] {
			t.Errorf("%s asks: %v, want %v", c, c.Asks(), asks[c])
		}
	}
	if subjects.ParseCall("publish_update") != subjects.UpdatePublish {
		t.Error("publish_update is no alias of update_publish")
	}
	for _, text := range []string{"", "Publish", "publish ", "denied", "publish_don", "unknown"} {
		if c := subjects.ParseCall(text); c != subjects.UnknownCall || c.Asks() || c.String() != "" {
			t.Errorf("%q reads as call %d", text, c)
		}
	}
	if beyond := subjects.RecordDone + 1; beyond.String() != "" || beyond.Asks() {
		t.Errorf("a call that does not exist is called %q", beyond)
	}
}
