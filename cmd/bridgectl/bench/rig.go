package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"bintubridge/bridge/receive"
)

const (
	rulesTimeout  = 2 * time.Minute // for a bridge to have a million
	statusTimeout = 5 * time.Second
	statusPoll    = 20 * time.Millisecond

	arrival    = 20 * time.Millisecond // how often a stream that fills is looked at
	pausing    = time.Second           // without growth the bridge is asked why
	standstill = 60 * time.Second      // how long the stream may not grow while events are missing
)

// rig is the processes of a bench, in the order they start in.
type rig struct {
	opts   Options
	dir    string
	port   int // of NATS, the same after an outage
	bare   *process
	nats   *process
	sink   *sink
	bridge *process
	sent   uint64 // events of all loads

	ahead time.Duration // what the steps that are still to come take
}

// start brings everything up: the bridge has all rules when it returns.
func (r *rig) start(ctx context.Context) (err error) {
	cmd, err := again(ctx, roleBare)
	if err != nil {
		return err
	}
	if r.bare, err = startProcess(roleBare, cmd); err != nil {
		return err
	}
	if r.port, err = freePort(); err != nil {
		return err
	}
	if err := r.startNATS(ctx); err != nil {
		return err
	}
	if r.sink, err = openSink(ctx, r.nats.told.Address); err != nil {
		return err
	}
	if r.opts.Push > 0 {
		if err := createUnread(ctx, r.sink.js); err != nil {
			return err
		}
	}
	r.step(0, "pushing %d rules", r.opts.Rules)
	if err := pushAll(ctx, r.sink.js, r.opts.Rules); err != nil {
		return err
	}
	if err := r.startBridge(ctx, "NATS_URL="+r.nats.told.Address); err != nil {
		return err
	}
	return r.awaitRules(ctx)
}

// startEmbedded brings up a bridge with NATS in it, without rules.
func (r *rig) startEmbedded(ctx context.Context) (err error) {
	if err := r.startBridge(ctx, "NATS_URL=", "BRIDGE_EMBEDDED_LISTEN=127.0.0.1:0"); err != nil {
		return err
	}
	return r.awaitRules(ctx)
}

func (r *rig) startNATS(ctx context.Context) error {
	cmd, err := again(ctx, roleNATS, filepath.Join(r.dir, "nats"), strconv.Itoa(r.port))
	if err != nil {
		return err
	}
	r.nats, err = startProcess(roleNATS, cmd)
	return err
}

func (r *rig) startBridge(ctx context.Context, env ...string) error {
	cmd := exec.CommandContext(ctx, r.opts.Bridge) //nolint:gosec // the operator's choice
	if r.opts.Bridge == "" {
		var err error
		if cmd, err = again(ctx, roleBridge); err != nil {
			return err
		}
	}
	var err error
	r.bridge, err = startProcess(roleBridge, cmd, slices.Concat([]string{
		"BRIDGE_DATA_DIR=" + filepath.Join(r.dir, "bridge"), "BRIDGE_NAME=bench", "BRIDGE_LOG_FORMAT=json",
		"BRIDGE_LISTEN=127.0.0.1:0", "BRIDGE_ADMIN_LISTEN=127.0.0.1:0", "BRIDGE_HOOK_PATH=" + hookPath,
	}, r.room(), env, r.opts.Env)...)
	return err
}

// room is what a bridge needs to take all connections from this one address. Those of a load
// may still be closing when the next begins.
func (r *rig) room() []string {
	n := 2 * r.opts.Conns
	if n <= receive.DefaultMaxPerAddr {
		return nil
	}
	return []string{fmt.Sprintf("BRIDGE_MAX_CONNS=%d", max(n, receive.DefaultMaxConns)), fmt.Sprintf("BRIDGE_MAX_CONNS_PER_ADDR=%d", n)}
}

// close ends everything, the bridge first.
func (r *rig) close() {
	r.bridge.stop()
	if r.sink != nil {
		r.sink.nc.Close()
	}
	r.nats.stop()
	r.bare.stop()
}

// addr is where the server takes webhooks.
func (r *rig) addr(server string) string {
	if server == roleBare {
		return r.bare.told.Address
	}
	return strings.TrimSuffix(strings.TrimPrefix(r.bridge.told.Webhooks, "http://"), hookPath)
}

// status is what the bench looks at in a bridge's /status.
type status struct {
	Lost  uint64 `json:"lost_events"`
	Rules struct {
		Documents int `json:"documents"`
	} `json:"rules"`
	Spool struct {
		Events uint64 `json:"events"`
	} `json:"spool"`
	Forward struct {
		Dead uint64 `json:"dead"`
	} `json:"forward"`
}

func (r *rig) status(ctx context.Context) (s status, err error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	resp, err := r.get(ctx, "/status")
	if err != nil {
		return s, fmt.Errorf("status of the bridge: %w", err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		return s, fmt.Errorf("status of the bridge: %s: %w", resp.Status, err)
	}
	return s, nil
}

// get asks the bridge's admin listener.
func (r *rig) get(ctx context.Context, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.bridge.told.Admin+path, nil)
	if err != nil {
		return nil, err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, errors.Join(err, r.bridge.check())
	}
	return resp, nil
}

// awaitStatus asks for the bridge's status until it is as wanted.
func (r *rig) awaitStatus(ctx context.Context, d time.Duration, wanted func(status) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, d, fmt.Errorf("not within %s", d))
	defer cancel()
	tick := time.NewTicker(statusPoll)
	defer tick.Stop()
	for {
		s, err := r.status(ctx)
		if err != nil || wanted(s) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the bridge's status is %+v: %w", s, context.Cause(ctx))
		}
	}
}

func (r *rig) awaitRules(ctx context.Context) error {
	err := r.awaitStatus(ctx, rulesTimeout, func(s status) bool { return s.Rules.Documents == r.opts.Rules })
	if err != nil {
		return fmt.Errorf("wait for %d rules: %w", r.opts.Rules, err)
	}
	return nil
}

// drained returns when the stream has n events more and the bridge knows it. It fails when
// they do not come: while some wait in the bridge's spool, NATS may still be starting.
func (r *rig) drained(ctx context.Context, n uint64) error {
	tick := time.NewTicker(arrival)
	defer tick.Stop()
	var before uint64
	for since := time.Now(); ; {
		got, err := r.sink.stored(ctx)
		if err != nil {
			return err
		}
		if got >= n {
			return r.awaitStatus(ctx, standstill, func(s status) bool { return s.Spool.Events == 0 })
		}
		if got > before {
			before, since = got, time.Now()
		}
		if still := time.Since(since); still > pausing { // asked all the time, the bridge would be busy with it
			s, err := r.status(ctx)
			if err != nil {
				return err
			}
			if s.Spool.Events == 0 && (s.Lost > 0 || s.Forward.Dead > 0) || still > standstill {
				return fmt.Errorf("%w: %d of %d came, and none for %s; %d wait in the bridge, it has lost %d, and %d are dead letters",
					errCount, got, n, still.Round(time.Second), s.Spool.Events, s.Lost, s.Forward.Dead)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// outage kills NATS after d, and starts it again after as long, unless the load ends before.
// The new NATS lives as long as ctx.
func (r *rig) outage(ctx, load context.Context, d time.Duration) error {
	if err := sleep(load, d); err != nil {
		return err
	}
	r.nats.kill()
	if err := sleep(load, d); err != nil {
		return err
	}
	return r.startNATS(ctx)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// freePort returns a port that nobody listens on, and that the kernel gives to no outgoing
// connection by default (from 32768 on): NATS is to find it free again after an outage. Nor is it
// one that a test may hold for a server which is down (package freeport, from 10000 on).
func freePort() (int, error) {
	const first, last, tries = 5_000, 10_000, 100
	var err error
	for range tries {
		port := first + rand.N(last-first) //nolint:gosec // any will do
		var ln net.Listener
		if ln, err = net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port)); err == nil { //nolint:noctx // closed at once
			return port, ln.Close()
		}
	}
	return 0, fmt.Errorf("a port for NATS: %w", err)
}
