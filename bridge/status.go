package bridge

import (
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"bintubridge/bridge/admin"
	"bintubridge/bridge/buildinfo"
	"bintubridge/bridge/forward"
	"bintubridge/bridge/keys"
	"bintubridge/bridge/receive"
	"bintubridge/bridge/rulestore"
	"bintubridge/bridge/spool"
)

// status is what /status shows.
type status struct {
	Bridge    string             `json:"bridge"`
	Version   string             `json:"version"`
	Started   time.Time          `json:"started"`
	Ready     bool               `json:"ready"`
	Checks    []admin.Check      `json:"checks"`
	Lost      uint64             `json:"lost_events"`   // answered, and not kept
	Recent    map[string]float64 `json:"recent"`        // the last whole second, as the columns of the history
	ByRule    []ruleCount        `json:"by_rule"`       // the rules that decided most
	Others    ruleCount          `json:"by_other_rule"` // all others
	Receive   receive.Stats      `json:"receive"`
	Rules     rulestore.Status   `json:"rules"`
	Keys      keys.Status        `json:"keys"`
	Spool     spool.Stats        `json:"spool"`
	SpoolMax  int64              `json:"spool_max_bytes"` // of what is not acked
	Forward   forward.Stats      `json:"forward"`
	Provision provisionStatus    `json:"provision"`
	NATS      natsStatus         `json:"nats"`
}

// natsStatus shows the server without credentials.
type natsStatus struct {
	Embedded   bool   `json:"embedded"`
	Restarts   uint64 `json:"restarts,omitempty"` // of the embedded one, while the bridge ran
	Trouble    string `json:"trouble,omitempty"`  // of the embedded one
	Server     string `json:"server,omitempty"`
	Publishing string `json:"publishing"` // the connection's state
	Watching   string `json:"watching"`
}

func (b *Bridge) status() any {
	checks := b.ready()
	publishing, watching := b.publishing.state(), b.watching.state()
	s := status{
		Bridge: b.cfg.Name, Version: buildinfo.Read().Version, Started: b.history.started, Ready: true, Checks: checks,
		Lost:   b.lost(),
		Recent: b.history.recent(), SpoolMax: int64(b.cfg.SpoolMaxBytes),
		Receive: b.receiver.Stats(), Rules: b.rules.Status(), Keys: b.keys.Status(), Spool: b.spool.Stats(), Forward: b.forwarder.Stats(),
		Provision: *b.provision.status.Load(),
		NATS: natsStatus{
			Embedded: b.embedded != nil, Server: publishing.server,
			Publishing: publishing.status.String(), Watching: watching.status.String(),
		},
	}
	s.ByRule, s.Others = b.answers.byRule.top()
	if b.embedded != nil {
		server := b.embedded.Status()
		s.NATS.Restarts, s.NATS.Trouble = server.Restarts, server.Trouble
	}
	for _, c := range checks {
		s.Ready = s.Ready && c.OK
	}
	return s
}

// lost is how many events were answered and are gone: the spool took none or has lost
// it to damage, or NATS takes it never and the dead-letter file neither.
func (b *Bridge) lost() uint64 {
	return b.answers.counts.lost.Load() + b.spool.Stats().Lost + b.forwarder.Stats().Lost
}

const (
	spoolHeadroom = 128 << 10       // bytes; an event is smaller
	spoolForgive  = 5 * time.Second // how long a failed append makes the bridge unready
)

// ready says what /readyz looks at. NATS and everything behind it are degraded,
// never failed: the bridge decides and spools without them.
func (b *Bridge) ready() []admin.Check {
	return []admin.Check{b.rulesReady(), b.keysReady(), b.spoolReady(), b.forwardReady(), b.natsReady(), b.provisionReady()}
}

func (b *Bridge) rulesReady() admin.Check {
	s := b.rules.Status()
	c := admin.Check{Name: "rules", OK: s.Loaded}
	c.Degraded = c.OK && (s.Stale || s.Trouble != "" || s.InvalidCount > 0)
	c.Detail = fmt.Sprintf("from %s, revision %d, %d documents, %d invalid, confirmed %s ago",
		s.Source, s.Revision, s.Documents, s.InvalidCount, s.Age.Round(time.Millisecond))
	if !s.Loaded {
		c.Detail = "none seen yet, the defaults decide"
	}
	if s.Trouble != "" && b.watching.connected() { // else the nats check tells
		c.Detail += ": " + s.Trouble
	}
	if s.InvalidCount > 0 {
		c.Detail += "; bridgectl rules status says what is wrong"
	}
	return c
}

// keysReady is never failed: without a key its tokens are good for nobody, and
// everything else decides as it did.
func (b *Bridge) keysReady() admin.Check {
	s := b.keys.Status()
	c := admin.Check{Name: "keys", OK: true, Degraded: s.Err != "" || len(s.Missing) > 0, Detail: fmt.Sprintf("%d in force", s.Keys)}
	if s.Err != "" {
		c.Detail += "; the file is not used as it is: " + strings.ReplaceAll(s.Err, "\n", "; ")
	}
	if len(s.Missing) > 0 {
		c.Detail += "; rules name keys that are not there: " + strings.Join(s.Missing, ", ")
	}
	return c
}

func (b *Bridge) spoolReady() admin.Check {
	s := b.spool.Stats()
	full := s.Unacked+spoolHeadroom > int64(b.cfg.SpoolMaxBytes) // what is acked gives way
	// The spool itself finds out when its disk takes writes again. Another failure, of
	// an fsync that an answer waits for, counts for some seconds only: whoever goes
	// by /readyz would never send the request that shows that it is over.
	c := admin.Check{Name: "spool", OK: !full && s.AppendError == "" && !b.answers.spoolFailedSince(time.Now().Add(-spoolForgive))}
	damage := s.Damaged > 0 || s.Quarantined > 0 || s.Lost > 0
	c.Degraded = c.OK && (s.SyncError != "" || s.CursorError != "" || damage)
	c.Detail = fmt.Sprintf("%d events wait, %d bytes on disk", s.Events, s.Bytes)
	if !c.OK {
		c.Detail = "takes no events; " + c.Detail
	}
	if damage {
		c.Detail += fmt.Sprintf(", %d segments are damaged, %d were set aside, %d events are lost: see bridgectl spool verify, then export --lost and redrive, and remove what was set aside",
			s.Damaged, s.Quarantined, s.Lost)
	}
	for _, text := range []string{s.AppendError, s.SyncError, s.CursorError} {
		if text != "" {
			c.Detail += ": " + text
		}
	}
	return c
}

// forwardReady tells of events that wait although NATS is there: a stream that is
// full or gone, a permission that is missing. And of those that wait for an operator.
func (b *Bridge) forwardReady() admin.Check {
	s, f := b.spool.Stats(), b.forwarder.Stats()
	c := admin.Check{Name: "forward", OK: true, Degraded: f.Failing && s.Events > 0, Detail: fmt.Sprintf("%d events acked", f.Acked)}
	if c.Degraded {
		c.Detail = fmt.Sprintf("%d events wait for %s: %s", s.Events, s.OldestAge.Round(time.Second), f.LastError)
	}
	if f.DeadBytes > 0 {
		c.Degraded = true
		c.Detail += fmt.Sprintf("; %d bytes of dead letters: see bridgectl spool redrive", f.DeadBytes)
		if f.Lost > 0 {
			c.Detail += fmt.Sprintf(", %d more events were lost because their file took no more", f.Lost)
		}
	}
	if f.DeadError != "" {
		c.Degraded = true
		c.Detail += fmt.Sprintf("; dead letters cannot be kept, %d events were lost: %s", f.Lost, f.DeadError)
	}
	return c
}

func (b *Bridge) natsReady() admin.Check {
	publishing, watching := b.publishing.state().status, b.watching.state().status
	c := admin.Check{
		Name: "nats", OK: true, Degraded: publishing != nats.CONNECTED || watching != nats.CONNECTED,
		Detail: fmt.Sprintf("publishing %s, watching %s", publishing, watching),
	}
	if b.embedded == nil {
		return c
	}
	if trouble := b.embedded.Status().Trouble; trouble != "" {
		c.Degraded = true
		c.Detail += "; the embedded server is started again when it can be: " + trouble
	}
	return c
}

func (b *Bridge) provisionReady() admin.Check {
	s := b.provision.status.Load()
	c := admin.Check{Name: "streams", OK: true, Detail: s.String()}
	c.Degraded = c.Detail != ""
	if len(s.Missing)+len(s.Drift) > 0 {
		c.Detail += "; bridgectl setup --check compares, bridgectl setup makes what is missing"
	}
	return c
}

func (b *Bridge) adminConfig(contract []byte) admin.Config {
	return admin.Config{
		Loopback:   isLoopback(b.cfg.AdminListen),
		Token:      b.cfg.AdminToken,
		Ready:      b.ready,
		Status:     b.status,
		Feed:       b.answers.feed,
		Queries:    b.queries(),
		Collectors: []prometheus.Collector{metrics{b}, b.answers.latency, b.answers.deciding},
		AsyncAPI:   contract,
		Profile:    true,
		Log:        b.log,
	}
}
