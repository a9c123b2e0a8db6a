package receive

import (
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// maxLogged is how many bytes of a client's method or target go into the log.
const maxLogged = 80

// refusalLog says what was refused and why, one line a second for each
// outcome.
type refusalLog struct {
	out       *slog.Logger
	throttles [numOutcomes]throttle
}

// pass reports whether outcome o is logged now, and how many like it were held
// back. Panics are logged where they are caught, answers not at all.
func (l *refusalLog) pass(o outcome) (suppressed uint64, ok bool) {
	if outcomes[o].name == "" || o == panicked {
		return 0, false
	}
	return l.throttles[o].pass(time.Now())
}

// panicked logs a panic that was recovered from.
func (l *refusalLog) panicked(value any, stack []byte) {
	if suppressed, ok := l.throttles[panicked].pass(time.Now()); ok {
		l.out.Error("panic while answering a webhook; please report it",
			"panic", value, "stack", string(stack), "suppressed", suppressed)
	}
}

// note counts how a request ended and logs it if it was refused here. slog's
// handlers escape what the client wrote. The query is left out, tokens
// are found there; and where secrets guard the path, so is the path: the wrong
// one may be the right one with a typing error.
func (s *Server) note(ctx *fasthttp.RequestCtx, o outcome) {
	s.counters.outcomes[o].Add(1)
	suppressed, ok := s.log.pass(o)
	if !ok {
		return
	}
	header, peer := &ctx.Request.Header, peerOf(ctx)
	attrs := []any{"reason", outcomes[o].name, "status", outcomes[o].status, "peer", address(peer)}
	if caller := s.callers.caller(peer, header); caller != peer {
		attrs = append(attrs, "caller", address(caller))
	}
	switch o {
	case forbidden, notFound, wrongMethod:
		attrs = append(attrs, "method", cut(header.Method()))
		if !s.target.guarded {
			attrs = append(attrs, "path", cut(rawPath(header.RequestURI())))
		}
	}
	s.log.out.Warn("request refused", append(attrs, "suppressed", suppressed)...)
}

// refuseConn counts and logs a connection that is closed before it carried a
// request.
func (s *Server) refuseConn(o outcome, c *conn) {
	s.counters.outcomes[o].Add(1)
	if suppressed, ok := s.log.pass(o); ok {
		s.log.out.Warn("connection refused", "reason", outcomes[o].name, "peer", address(c.peer), "suppressed", suppressed)
	}
}

func address(addr netip.Addr) string {
	if !addr.IsValid() {
		return "unknown"
	}
	return addr.String()
}

// cut returns the beginning of what a client sent, as valid UTF-8.
func cut(text []byte) string {
	if len(text) > maxLogged {
		return strings.ToValidUTF8(string(text[:maxLogged]), "\uFFFD") + "…"
	}
	return strings.ToValidUTF8(string(text), "\uFFFD")
}
