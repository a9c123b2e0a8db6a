package receive

import (
	"errors"
	"math"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// Server takes webhooks. Make one with New, start it with Serve, end it with
// Shutdown.
type Server struct {
	cfg      Config
	handler  Handler
	http     *fasthttp.Server // parses requests and writes replies; it never accepts or keeps a connection
	callers  callers
	target   target
	counters counters
	log      refusalLog
	lastCall time.Duration // defaultLastCall, but in tests

	draining atomic.Bool   // replies close their connections
	stopped  chan struct{} // closed with draining; wakes a Serve that backs off

	workers *workers   // serve connections
	mu      sync.Mutex // guards what follows
	sources map[*source]struct{}
	open    map[*conn]struct{}
	serving int   // connections among open that are served
	turned  int   // connections among open that are being turned away
	room    room  // connections among serving, by who has to go first
	crowd   crowd // connections among serving, by address
}

// New returns a server that asks h about each webhook. It owns no goroutine
// and no socket until Serve is called.
func New(cfg Config, h Handler) *Server {
	cfg = cfg.withDefaults()
	s := &Server{
		cfg:      cfg,
		handler:  h,
		callers:  newCallers(cfg.AllowFrom, cfg.TrustedProxies),
		target:   newTarget(cfg.Path, cfg.Secrets),
		log:      refusalLog{out: cfg.Log},
		lastCall: defaultLastCall,
		stopped:  make(chan struct{}),
		workers:  newWorkers(),
		sources:  make(map[*source]struct{}),
		open:     make(map[*conn]struct{}),
	}
	s.crowd = newCrowd(cfg.MaxConnsPerAddr, s.callers)
	s.http = &fasthttp.Server{
		Handler:            s.serveRequest,
		ErrorHandler:       s.serveError,
		ExpectHandler:      s.expect,
		HeaderReceived:     s.headerRead,
		ConnState:          setState,
		Logger:             silent{},
		ReadBufferSize:     MaxHeader,
		WriteBufferSize:    1 << 10, // replies have some hundred bytes
		MaxRequestBodySize: cfg.MaxBody,
		ReadTimeout:        cfg.ReadTimeout,
		WriteTimeout:       cfg.WriteTimeout,
		IdleTimeout:        cfg.IdleTimeout,
		Concurrency:        math.MaxInt32, // place and placeStranger count

		// Nothing but the status is told: no Server, no Content-Type. Without
		// a Date fasthttp does not start the goroutine that keeps its clock,
		// which nobody could join.
		NoDefaultServerHeader: true,
		NoDefaultContentType:  true,
		NoDefaultDate:         true,

		DisablePreParseMultipartForm: true, // a body is bytes; parsing may write temporary files
		SecureErrorLogMessage:        true,
	}
	return s
}

// serveRequest answers a request that was read whole.
func (s *Server) serveRequest(ctx *fasthttp.RequestCtx) {
	o, ok := s.admit(ctx)
	if ok {
		if c, isOurs := ctx.Conn().(*conn); isOurs && !c.answer() {
			ctx.SetStatusCode(fasthttp.StatusServiceUnavailable) // which nobody gets: the connection is closed
			ctx.SetConnectionClose()
			return
		}
		o = s.ask(ctx.PostBody(), traceOf(&ctx.Request.Header))
	}
	// One who is refused before the Handler does not get to keep a place.
	if !ok || s.draining.Load() || !ctx.Request.Header.IsHTTP11() {
		ctx.SetConnectionClose()
	}
	s.reply(ctx, o)
}

// admit checks everything about a request but its body.
func (s *Server) admit(ctx *fasthttp.RequestCtx) (refusal outcome, ok bool) {
	header := &ctx.Request.Header
	switch {
	case !s.callers.allow(peerOf(ctx), header):
		return forbidden, false
	case !s.target.matches(header.RequestURI()):
		return notFound, false
	case !header.IsPost():
		return wrongMethod, false
	}
	return refused, true
}

// ask has the Handler answer, and outlives its panics.
func (s *Server) ask(body []byte, trace Trace) (o outcome) {
	defer func() {
		if v := recover(); v != nil {
			s.log.panicked(v, debug.Stack())
			o = panicked
		}
	}()
	return s.handler.Handle(body, trace).outcome()
}

// reply counts and logs o, and sets the response.
func (s *Server) reply(ctx *fasthttp.RequestCtx, o outcome) {
	s.note(ctx, o)
	ctx.SetStatusCode(outcomes[o].status)
	ctx.Response.Header.SetContentLength(0) // fasthttp leaves it out for HEAD
	if o == wrongMethod {
		ctx.Response.Header.Set(fasthttp.HeaderAllow, fasthttp.MethodPost)
	}
}

// serveError answers a request that could not be read. fasthttp closes the
// connection afterwards.
func (s *Server) serveError(ctx *fasthttp.RequestCtx, err error) {
	c, _ := ctx.Conn().(*conn)
	if c != nil && c.isDisplaced() {
		return // it has been counted, and cannot be answered
	}
	o := malformed
	var tooSmall *fasthttp.ErrSmallBuffer
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		o = bodyTooLarge
		// The header of a body in chunks is gone by now.
		if refusal, ok := s.admit(ctx); !ok && ctx.Request.Header.ContentLength() > 0 {
			o = refusal
		}
	case errors.As(err, &tooSmall):
		o = headerTooLarge
	case c != nil:
		o = c.readOutcome()
	}
	if c != nil {
		// One who is too slow has had the time there is.
		c.linger = o != timedOut && o != truncated
	}
	s.reply(ctx, o)
}

// expect answers "Expect: 100-continue": a request that is bound to be refused
// is refused before its body is sent. Only serveRequest can add the Allow header
// that a wrong method needs, so that one is let through to there.
func (s *Server) expect(ctx *fasthttp.RequestCtx) int {
	o, ok := s.admit(ctx)
	switch {
	case !ok && o != wrongMethod:
	case ctx.Request.Header.ContentLength() > s.cfg.MaxBody:
		o = bodyTooLarge
	default:
		return fasthttp.StatusContinue
	}
	if c, isOurs := ctx.Conn().(*conn); isOurs {
		c.linger = true
	}
	s.note(ctx, o)
	return outcomes[o].status
}

// smallBody is how many bytes of a body are read before the target is looked at. It
// saves webhooks, which are smaller, a second look.
const smallBody = 4 << 10

// headerRead is fasthttp's HeaderReceived hook.
//
// A request with neither a length nor chunks has no body to fasthttp
// ("Transfer-Encoding: identity" among them). Should its sender think otherwise, the
// body must not be taken for the next request.
//
// One who does not know the target gets no memory for a large body: it is too large
// for him, and serveError says why. A body in chunks waits for expect, which refuses it.
func (s *Server) headerRead(header *fasthttp.RequestHeader) fasthttp.RequestConfig {
	const chunked, noFraming = -1, -2 // see fasthttp.RequestHeader.ContentLength
	length := header.ContentLength()
	if length == noFraming {
		header.SetConnectionClose()
	}
	switch {
	case length == chunked && !s.target.matches(header.RequestURI()):
		header.Set(fasthttp.HeaderExpect, "100-continue")
	case length > smallBody && (!s.target.matches(header.RequestURI()) || !header.IsPost()):
		return fasthttp.RequestConfig{MaxRequestBodySize: min(smallBody, s.cfg.MaxBody)}
	}
	return fasthttp.RequestConfig{}
}

// peerOf returns the address of the connection ctx came on.
func peerOf(ctx *fasthttp.RequestCtx) netip.Addr {
	if c, ok := ctx.Conn().(*conn); ok {
		return c.peer
	}
	return peerAddr(ctx.RemoteAddr())
}

// silent is fasthttp's logger: whatever it would say has been counted and
// logged here already, without the client's bytes.
type silent struct{}

func (silent) Printf(string, ...any) {}
