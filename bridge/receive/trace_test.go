package receive

import (
	"fmt"
	"testing"
)

// tracing is a Handler that tells of each trace.
type tracing chan string

func (c tracing) Handle(_ []byte, trace Trace) Answer {
	c <- fmt.Sprintf("%s %s", trace.Parent, trace.State)
	return Accept
}

// The trace headers reach the Handler as they were sent, those of another request never do.
func TestTraceReachesTheHandler(t *testing.T) {
	got := make(tracing, 1)
	_, addr := started(t, Config{}, got)
	c := dial(t, addr)
	for _, test := range []struct{ lines, want string }{
		{"traceparent: 00-a-b-01\r\ntracestate: a=1\r\n", "00-a-b-01 [a=1]"},
		{"", " []"},
		{"TraceParent:  00-c \r\nTRACESTATE: a=1,b=2\r\nX: y\r\ntracestate:\r\ntracestate: c=3\r\n", "00-c [a=1,b=2  c=3]"},
		{"traceparent: 00-a\r\n", "00-a []"},
		{"tracestate: a=1\r\n", " []"},
		{"traceparent: 00-a\r\ntraceparent: 00-b\r\ntracestate: a=1\r\n", " []"},
	} {
		send(t, c, headed(test.lines+"Content-Length: 12\r\n", "call=publish"))
		expect(t, c, ok)
		if told := <-got; told != test.want {
			t.Errorf("%q: got %q, want %q", test.lines, told, test.want)
		}
	}
}
