package receive

import "github.com/valyala/fasthttp"

// traceOf returns the trace context of a request, which is valid as long as header. Two
// traceparents are none, and without one a tracestate means nothing.
func traceOf(header *fasthttp.RequestHeader) Trace {
	parents := header.PeekAll("traceparent")
	if len(parents) != 1 {
		return Trace{}
	}
	parent := parents[0] // before PeekAll uses the memory of parents again
	return Trace{Parent: parent, State: header.PeekAll("tracestate")}
}
