package bridge

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"bintubridge/bridge/admin"
	"bintubridge/bridge/decide"
	"bintubridge/bridge/forward"
	"bintubridge/bridge/receive"
	"bintubridge/bridge/webhook"
	"bintubridge/subjects"
)

// The parts of the request path as the answerer needs them.
type (
	keyring interface {
		Current() *decide.Keys
	}
	decider interface {
		Decide(in *decide.Input, now time.Time) (d decide.Decision, revision uint64, ageMS int64)
		Shadow(m *decide.Shadows, in *decide.Input, now time.Time) []subjects.ShadowDecision
	}
	appender interface {
		Append(payload []byte) (seq uint64, err error)
	}
)

// answerer is the request path: one body in, one answer out, the event in the
// spool before it. It implements receive.Handler.
type answerer struct {
	dialect  webhook.Dialect
	template subjects.Template
	redactor *webhook.Redactor
	name     string // of the bridge, in events
	source   []byte // ce-source
	full     FullPolicy
	keys     keyring
	rules    decider
	spool    appender
	log      *slog.Logger

	counts   counters
	byRule   *ruleCounts
	latency  *admin.Histogram // of answers
	deciding *admin.Histogram // of decisions, one in decideTimed
	feed     *admin.Feed
	failing  atomic.Bool  // the last append failed
	failedAt atomic.Int64 // when one last did, unix nanoseconds

	unreadable, disordered occasion

	exchange sync.Pool // of *exchange
}

func newAnswerer(cfg Config, keys keyring, rules decider, spool appender, log *slog.Logger) *answerer {
	return &answerer{
		dialect:  cfg.Dialect,
		template: cfg.Subject,
		redactor: webhook.NewRedactor(cfg.Redact),
		name:     cfg.Name,
		source:   subjects.AppendSource(nil, cfg.Name),
		full:     cfg.SpoolFull,
		keys:     keys,
		rules:    rules,
		spool:    spool,
		log:      log,
		latency: admin.NewHistogram("bridge_answer_duration_seconds",
			"Time from a webhook's body to its answer: parsing, deciding, spooling.", time.Microsecond),
		deciding: admin.NewHistogram("bridge_decision_duration_seconds",
			"Time of one look at the rules; one in 16 is measured.", 64*time.Nanosecond),
		byRule:   newRuleCounts(),
		feed:     admin.NewFeed(),
		exchange: sync.Pool{New: func() any { return new(exchange) }},
	}
}

// maxAbout bounds the ce-subject header, in bytes. No sender's name, cut at 2047
// bytes, comes near it; JetStream refuses headers over 64 KiB.
const maxAbout = 8 << 10

// exchange is the memory of one request, used again by later ones.
type exchange struct {
	req      webhook.Request
	input    decide.Input
	event    subjects.Event
	decision subjects.Decision
	shadow   decide.Shadows
	envelope forward.Envelope
	record   []byte
	eventAt  int  // in record
	asked    uint // calls that were decided with this memory
}

// Handle answers one webhook, whose event continues trace. The order matters: decide on
// what was sent, redact what leaves, append, answer.
func (a *answerer) Handle(body []byte, trace receive.Trace) receive.Answer {
	x := a.exchange.Get().(*exchange)
	defer a.exchange.Put(x)
	now := time.Now().UTC()

	outcome, answer := subjects.Invalid, receive.Invalid
	x.event = subjects.Event{ReceivedAt: now, Bridge: a.name}
	err := x.req.Parse(a.dialect, body)
	if err == nil {
		a.doubtOrder(x)
		outcome, answer = a.decide(x, now)
		a.redactor.Redact(&x.req)
		x.fill()
	} else if a.unreadable.due(now) {
		a.log.Warn("a webhook could not be read; its event has the body", "error", err)
	}
	if err != nil || x.req.Lossy {
		x.event.Raw = a.redactor.Raw(&x.req)
	}
	x.follow(trace)
	seq, err := a.spool.Append(a.encode(x, outcome))
	if err != nil {
		a.unspooled(err, now)
		if a.full == FullReject {
			a.counts.rejected.Add(1)
			return receive.Full
		}
		a.counts.lost.Add(1)
	} else if a.failing.Load() && a.failing.CompareAndSwap(true, false) {
		a.log.Info("the spool takes events again")
	}
	a.counts.requests[outcome][x.req.Call].Add(1)
	if a.feed.Wants() {
		a.show(x, outcome, seq)
	}
	a.latency.Observe(time.Since(now))
	return answer
}

// doubtOrder tells an operator of the one wrong setting that would let publishers
// forge the sender's fields: a sender that writes in nginx-rtmp order, read in bintu's. The
// real bintu always sends an address behind the call.
func (a *answerer) doubtOrder(x *exchange) {
	if a.dialect != webhook.Bintu || x.req.Addr != "" {
		return
	}
	if _, ok := x.req.Custom.Get("addr"); ok && a.disordered.due(x.event.ReceivedAt) {
		a.log.Error("the sender seems to write in nginx-rtmp order: with BRIDGE_DIALECT=bintu publishers can forge its fields; set BRIDGE_DIALECT=nginx-rtmp")
	}
}

// decide says what became of the request and what the sender is told.
func (a *answerer) decide(x *exchange, now time.Time) (subjects.Outcome, receive.Answer) {
	if x.req.Call == subjects.UnknownCall {
		return subjects.Unknown, receive.Accept
	}
	if !x.req.Call.Asks() {
		return subjects.Happened, receive.Accept
	}
	x.input = inputOf(&x.req)
	x.input.Keys = a.keys.Current()
	d, revision, ageMS := a.timedDecide(x, now)
	a.byRule.add(&d)
	if d.Rule == "" {
		a.counts.fallback[x.req.Call].Add(1)
	}
	x.decision = subjects.Decision{
		Effect: d.Effect.String(), Rule: d.Rule, Reason: d.Reason, Revision: revision, RulesAgeMS: ageMS,
	}
	x.event.Decision = &x.decision
	x.event.Shadow = a.rules.Shadow(&x.shadow, &x.input, now)
	if d.Effect == decide.Allow {
		return subjects.Happened, receive.Accept
	}
	return subjects.Denied, receive.Refuse
}

// inputOf is what the rules look at of a webhook, without the keys.
func inputOf(r *webhook.Request) decide.Input {
	return decide.Input{
		Call: r.Call, Name: r.Name, App: r.App, Addr: r.Addr, ClientID: r.ClientID,
		Type: r.Type, FlashVer: r.FlashVer, SWFURL: r.SWFURL, TCURL: r.TCURL, PageURL: r.PageURL,
		Custom: &r.Custom,
	}
}

// decideTimed is a power of two: one decision in so many is timed, so that the others
// need not ask the clock.
const decideTimed = 16

func (a *answerer) timedDecide(x *exchange, now time.Time) (d decide.Decision, revision uint64, ageMS int64) {
	if x.asked++; x.asked%decideTimed != 0 {
		return a.rules.Decide(&x.input, now)
	}
	began := time.Now()
	d, revision, ageMS = a.rules.Decide(&x.input, now)
	a.deciding.Observe(time.Since(began))
	return d, revision, ageMS
}

// fill takes the request's fields over into the event.
func (x *exchange) fill() {
	e, r := &x.event, &x.req
	e.Call = r.CallText
	e.Name, e.App, e.Addr, e.ClientID = r.Name, r.App, r.Addr, r.ClientID
	e.Type, e.FlashVer, e.SWFURL, e.TCURL, e.PageURL = r.Type, r.FlashVer, r.SWFURL, r.TCURL, r.PageURL
	e.Recorder, e.Path = r.Recorder, r.Path
	e.BytesIn, e.BytesOut = subjects.Number(r.BytesIn), subjects.Number(r.BytesOut)
	e.Time, e.Timestamp = subjects.Number(r.Time), subjects.Number(r.Timestamp)
	e.Start, e.Duration, e.Reset = subjects.Number(r.Start), subjects.Number(r.Duration), subjects.Number(r.Reset)
	e.Epoch = subjects.Number(r.Epoch)
	e.Custom, e.Extra = r.Custom, r.Extra
}

// follow takes the request's trace context over into the envelope, when it is one.
func (x *exchange) follow(trace receive.Trace) {
	env := &x.envelope
	env.TraceParent, env.TraceState = env.TraceParent[:0], env.TraceState[:0]
	if subjects.ValidTraceParent(trace.Parent) {
		env.TraceParent = append(env.TraceParent, trace.Parent...)
		env.TraceState = subjects.AppendTraceState(env.TraceState, trace.State...)
	}
}

// encode returns the spool record of the event. It is valid until the exchange is used again.
func (a *answerer) encode(x *exchange, outcome subjects.Outcome) []byte {
	e, env := &x.event, &x.envelope
	env.Subject = a.template.Append(env.Subject[:0], outcome, e.Call, e.Name, e.App)
	env.Type = subjects.AppendType(env.Type[:0], outcome, e.Call)
	env.Time = subjects.AppendTime(env.Time[:0], e.ReceivedAt)
	env.Source = a.source
	if env.About = subjects.AppendPercent(env.About[:0], e.Name); len(env.About) > maxAbout {
		env.About = env.About[:0] // the event has the name
	}
	x.record = env.AppendRecord(x.record[:0])
	x.eventAt = len(x.record)
	x.record = e.AppendJSON(x.record)
	return x.record
}

// unspooled notes that an event could not be kept: logged once for each bad
// spell, and shown by /readyz.
func (a *answerer) unspooled(err error, now time.Time) {
	a.failedAt.Store(now.UnixNano())
	if !a.failing.Swap(true) {
		a.log.Error("the spool takes no events; see BRIDGE_SPOOL_FULL for what callers get", "error", err)
	}
}

// spoolFailedSince reports whether an append has failed after t, and none went
// well since.
func (a *answerer) spoolFailedSince(t time.Time) bool {
	return a.failing.Load() && a.failedAt.Load() > t.UnixNano()
}
