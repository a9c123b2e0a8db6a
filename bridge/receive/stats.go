package receive

import "sync/atomic"

// Stats is what the server has counted since it was made. Each request, and
// each connection that never got as far as a request, is counted once among
// the uint64 fields, Unsent excepted.
type Stats struct {
	Accepted uint64 `json:"accepted"` // 200, by the Handler
	Refused  uint64 `json:"refused"`  // 403, by the Handler
	Invalid  uint64 `json:"invalid"`  // 400, by the Handler
	Full     uint64 `json:"full"`     // 503, by the Handler
	Panics   uint64 `json:"panics"`   // 503: the Handler panicked, or the connection's goroutine did

	Forbidden       uint64 `json:"forbidden"`        // 403: caller not in AllowFrom
	NotFound        uint64 `json:"not_found"`        // 404: wrong path or secret
	WrongMethod     uint64 `json:"wrong_method"`     // 405
	Malformed       uint64 `json:"malformed"`        // 400: not HTTP
	Truncated       uint64 `json:"truncated"`        // 400: the connection ended inside a request
	TimedOut        uint64 `json:"timed_out"`        // 408: slower than ReadTimeout
	BodyTooLarge    uint64 `json:"body_too_large"`   // 413
	HeaderTooLarge  uint64 `json:"header_too_large"` // 431
	Overloaded      uint64 `json:"overloaded"`       // 503: a connection over MaxConns, while each of them had a request being answered
	Crowded         uint64 `json:"crowded"`          // 503: a connection over MaxConnsPerAddr
	Displaced       uint64 `json:"displaced"`        // closed: no request was being answered, and another connection needed its place
	HandshakeFailed uint64 `json:"handshake_failed"` // closed: no TLS connection came about

	Unsent uint64 `json:"unsent"` // replies that could not be written; the sender did not get its answer

	Open     int64 `json:"open"`      // connections now
	InFlight int64 `json:"in_flight"` // requests now: begun, and their reply not yet written
}

// cacheLine is the size in bytes that keeps two counters from sharing a cache
// line (64 on amd64 and most arm64).
const cacheLine = 64

type counter struct {
	atomic.Uint64
	_ [cacheLine - 8]byte
}

type gauge struct {
	atomic.Int64
	_ [cacheLine - 8]byte
}

type counters struct {
	outcomes [numOutcomes]counter
	unsent   counter
	open     gauge
	inFlight gauge
}

// Stats returns the counters. They are read one after the other, so that sums
// over them may be off by the requests that ended meanwhile.
func (s *Server) Stats() Stats {
	of := func(o outcome) uint64 { return s.counters.outcomes[o].Load() }
	return Stats{
		Accepted:        of(accepted),
		Refused:         of(refused),
		Invalid:         of(invalid),
		Full:            of(full),
		Panics:          of(panicked),
		Forbidden:       of(forbidden),
		NotFound:        of(notFound),
		WrongMethod:     of(wrongMethod),
		Malformed:       of(malformed),
		Truncated:       of(truncated),
		TimedOut:        of(timedOut),
		BodyTooLarge:    of(bodyTooLarge),
		HeaderTooLarge:  of(headerTooLarge),
		Overloaded:      of(overloaded),
		Crowded:         of(crowded),
		Displaced:       of(displaced),
		HandshakeFailed: of(handshakeFailed),
		Unsent:          s.counters.unsent.Load(),
		Open:            s.counters.open.Load(),
		InFlight:        s.counters.inFlight.Load(),
	}
}
