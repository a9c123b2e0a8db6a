package subjects_test

import (
	"strings"
	"testing"

	"bintubridge/subjects"
	"bintubridge/subjects/schematest"
)

// contract compiles a schema of the AsyncAPI document, by its references in it.
func contract(t *testing.T, name string) func([]byte) error {
	t.Helper()
	text, err := subjects.AsyncAPI()
	if err != nil {
		t.Fatal(err)
	}
	return schematest.CompilePart(t, text, name)
}

// The document's schemas take and refuse what the files they are made of do.
func TestAsyncAPI(t *testing.T) {
	const session = `{"id":"a-1-started","session":"a-1","kind":"publish","name":"n","app":"live","addr":"192.0.2.1","clientid":"1","bridge":"b","rule":"","custom":{},"started_at":"2026-11-23T09:00:00Z"}`
	const headers = `{"ce-specversion":"1.0","ce-id":"a-1","ce-source":"/bridge/b","ce-type":"bintu.publish","ce-time":"2026-11-23T09:00:00.123456Z","ce-datacontenttype":"application/json","Nats-Msg-Id":"a-1","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","tracestate":"a=1"}`
	for name, texts := range map[string]struct{ good, bad string }{
		"event":              {`{"id":"a-1","received_at":"2026-11-23T09:00:00.123456Z","bridge":"b","call":"play","name":"n","app":"","addr":"","clientid":"","custom":{"a":"1"},"bytes_in":1}`, `{"id":"a-1","received_at":"2026-11-23T09:00:00.123456Z","bridge":"b","call":"play","name":"n","app":"","addr":"","clientid":"","custom":{"a":1}}`},
		"session":            {session, `{"id":"a-1-started"}`},
		"rule":               {`{"rules":[{"effect":"allow","custom":{"team":["red"]}}]}`, `{"rules":[{"effect":"allow","custom":{"team":"red"}}]}`},
		"subscription":       {`{"subjects":["stream.>"],"url":"https://red.example/"}`, `{"subjects":[],"url":"https://red.example/"}`},
		"headers":            {headers, `{"ce-specversion":"1.0"}`},
		"headers of a trace": {headers, strings.Replace(headers, "00-0af", "00-0AF", 1)},
	} {
		fits := contract(t, strings.Fields(name)[0])
		if err := fits([]byte(texts.good)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := fits([]byte(texts.bad)); err == nil {
			t.Errorf("%s takes %s", name, texts.bad)
		}
	}
	for name, e := range golden() {
		if err := contract(t, "event")(e.AppendJSON(nil)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
