package sessions_test

import (
	"encoding/json"
	"testing"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers/consumerstest"
	"bintubridge/subjects"
	"bintubridge/subjects/schematest"
)

// What is stored of sessions that began, ended, were lost and carry hostile texts fits the contract.
func TestStoredBytesFitTheContract(t *testing.T) {
	text, err := subjects.AsyncAPI()
	if err != nil {
		t.Fatal(err)
	}
	fits := map[string]func([]byte) error{}
	for _, name := range []string{"session", "headers"} {
		fits[name] = schematest.CompilePart(t, text, name)
	}

	kit := consumerstest.Start(t)
	run(kit, config)
	hostile := event("publish", "\"\r\n\x00😀\xff{}", "1")
	hostile.Custom.Add("team", "red")
	hostile.Custom.Add("\"<b>", "\xff")
	done := event("publish_done", hostile.Name, "1")
	done.BytesIn, done.BytesOut = "575", "18446744073709551615"
	kit.Publish(hostile, event("play", hostile.Name, "2"), event("play_done", hostile.Name, "2"), event("play", "silent", "3"), done)
	bridgetest.Eventually(t, "all is told", func() bool { return len(told(t, kit)) == 6 })
	for _, msg := range kit.Stored(subjects.StreamSessions, subjects.AllSessions) {
		headers := map[string]string{}
		for name := range msg.Header {
			headers[name] = msg.Header.Get(name)
		}
		text, err := json.Marshal(headers)
		if err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string][]byte{"session": msg.Data, "headers": text} {
			if err := fits[name](data); err != nil {
				t.Errorf("%s of %s: %v: %s", name, msg.Subject, err, data)
			}
		}
	}
}
