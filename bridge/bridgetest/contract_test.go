package bridgetest_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"bintubridge/bridge/bridgetest"
	"bintubridge/subjects"
	"bintubridge/subjects/schematest"
)

// What a bridge publishes fits the contract that it shows.
func TestPublishedBytesFitTheContract(t *testing.T) {
	server := bridgetest.StartNATS(t)
	b := bridgetest.StartBridge(t, server, "BRIDGE_DEFAULT_PUBLISH=allow")
	code, text := b.Admin("/asyncapi.json")
	if code != http.StatusOK {
		t.Fatalf("status %d", code)
	}
	fits := map[string]func([]byte) error{}
	for _, name := range []string{"event", "headers"} {
		fits[name] = schematest.CompilePart(t, []byte(text), name)
	}
	const who = "&name=lobby&type=live&app=live&addr=192.0.2.1&clientid=1"
	bodies := []string{
		"a=1&a=2&call=publish" + who, "call=play" + who, "token=secret&call=update_publish" + who, "call=connect" + who,
		"call=publish_done&bytes_in=575&bytes_out=18446744073709551615" + who, "call=later" + who,
		"\xff=\x00%zz&call=publish&name=%22%0D%0A%00%F0%9F%98%80&addr=", "no call", "", "call=play&name=",
	}
	for _, body := range bodies {
		b.Post(body)
	}
	for _, msg := range server.Messages(subjects.StreamEvents, len(bodies)) {
		headers := map[string]string{}
		for name := range msg.Headers() {
			headers[name] = msg.Headers().Get(name)
		}
		text, err := json.Marshal(headers)
		if err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string][]byte{"event": msg.Data(), "headers": text} {
			if err := fits[name](data); err != nil {
				t.Errorf("%s of %s: %v: %s", name, msg.Subject(), err, data)
			}
		}
	}
}
