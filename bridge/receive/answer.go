package receive

import "net/http"

// Answer is what the sender is told. The zero value refuses, so an answer that
// nobody set never lets a stream in.
type Answer uint8

// The answers a Handler can give.
const (
	Refuse  Answer = iota // 403: decided, and the decision is no
	Accept                // 200: decided, and the decision is yes; or a told event was taken
	Invalid               // 400: the body is no webhook
	Full                  // 503: the event could not be kept, so nothing was decided
)

// Trace is the W3C trace context of a request, as the caller sent it. Nothing of it was
// checked. The zero value is none.
type Trace struct {
	Parent []byte   // of the one header traceparent
	State  [][]byte // of each header tracestate, in their order
}

// Handler decides what a webhook's body is answered with.
//
// Handle runs on the connection's goroutine, many at a time. It must not keep
// body or trace, which are reused as soon as it returns, and it must return: Shutdown
// waits for it. A panic is counted, logged and answered with 503.
type Handler interface {
	Handle(body []byte, trace Trace) Answer
}

// outcome is how one request, or one connection that never became a request,
// ended. The first four are the Handler's answers, number for number.
type outcome uint8

const (
	refused outcome = iota
	accepted
	invalid
	full
	panicked
	forbidden
	notFound
	wrongMethod
	malformed
	truncated
	timedOut
	bodyTooLarge
	headerTooLarge
	overloaded
	crowded
	displaced
	handshakeFailed
	numOutcomes
)

// outcomes says how each outcome is answered and named in the log. An empty
// name is not logged: the Handler's owner knows more about its answers.
var outcomes = [numOutcomes]struct {
	status int
	name   string
}{
	refused:         {status: http.StatusForbidden},
	accepted:        {status: http.StatusOK},
	invalid:         {status: http.StatusBadRequest},
	full:            {status: http.StatusServiceUnavailable},
	panicked:        {http.StatusServiceUnavailable, "panic"},
	forbidden:       {http.StatusForbidden, "caller not allowed"},
	notFound:        {http.StatusNotFound, "wrong path or secret"},
	wrongMethod:     {http.StatusMethodNotAllowed, "wrong method"},
	malformed:       {http.StatusBadRequest, "malformed HTTP"},
	truncated:       {http.StatusBadRequest, "connection ended inside a request"},
	timedOut:        {http.StatusRequestTimeout, "request too slow"},
	bodyTooLarge:    {http.StatusRequestEntityTooLarge, "body too large"},
	headerTooLarge:  {http.StatusRequestHeaderFieldsTooLarge, "header too large"},
	overloaded:      {http.StatusServiceUnavailable, "too many connections"},
	crowded:         {http.StatusServiceUnavailable, "too many connections from one address"},
	displaced:       {0, "another connection needed its place"}, // closed without a reply, as the next
	handshakeFailed: {0, "TLS handshake failed"},
}

// outcome returns the outcome of a Handler's answer. An answer this package
// does not know refuses.
func (a Answer) outcome() outcome {
	if a > Full {
		return refused
	}
	return outcome(a)
}
