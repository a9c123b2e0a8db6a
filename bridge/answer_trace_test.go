package bridge

import (
	"log/slog"
	"testing"

	"bintubridge/bridge/forward"
	"bintubridge/bridge/receive"
	"bintubridge/subjects"
)

const traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

var traced = receive.Trace{Parent: []byte(traceParent), State: [][]byte{[]byte("rojo=00f067aa0ba902b7"), []byte(" congo=t61 , ")}}

// What is published has the trace of its own request, and of no other.
func TestTraceOfTheRequest(t *testing.T) {
	mem := &memory{}
	a := newAnswerer(testConfig(t), fixedKeys{}, testTable(t), mem, slog.New(slog.DiscardHandler))
	const play = "traceparent=" + traceParent + "&call=play&name=x&addr=192.0.2.1"
	for _, test := range []struct {
		name, body    string
		trace         receive.Trace
		parent, state string
	}{
		{"both", play, traced, traceParent, "rojo=00f067aa0ba902b7,congo=t61"},
		{"none, and a field that a publisher chose", play, receive.Trace{}, "", ""},
		{"parent alone", play, receive.Trace{Parent: traced.Parent}, traceParent, ""},
		{"state alone", play, receive.Trace{State: traced.State}, "", ""},
		{"a malformed parent", play, receive.Trace{Parent: []byte("00-x"), State: traced.State}, "", ""},
		{"a malformed state", play, receive.Trace{Parent: traced.Parent, State: [][]byte{[]byte("a=1\r\nce-id: 2")}}, traceParent, ""},
		{"an invalid request", "x", traced, traceParent, "rojo=00f067aa0ba902b7,congo=t61"},
	} {
		a.Handle([]byte(test.body), test.trace)
		msg, err := forward.Decode([]byte(mem.records[len(mem.records)-1]), "spool", 1)
		if err != nil {
			t.Fatal(err)
		}
		if parent, state := msg.Header[subjects.HeaderTraceParent], msg.Header[subjects.HeaderTraceState]; !isOne(parent, test.parent) || !isOne(state, test.state) {
			t.Errorf("%s: headers %q, %q, want %q, %q", test.name, parent, state, test.parent, test.state)
		}
	}
}

// isOne reports whether a header has that value and no other, or is not there for "".
func isOne(values []string, want string) bool {
	if want == "" {
		return values == nil
	}
	return len(values) == 1 && values[0] == want
}
