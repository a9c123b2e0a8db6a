package bridge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"bintubridge/bridge/admin"
	"bintubridge/bridge/decide"
	"bintubridge/bridge/embed"
	"bintubridge/bridge/forward"
	"bintubridge/bridge/keys"
	"bintubridge/bridge/receive"
	"bintubridge/bridge/rulestore"
	"bintubridge/bridge/spool"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"
)

const (
	intakeTimeout = 5 * time.Second  // for requests in flight at the end
	drainTimeout  = 10 * time.Second // for the spool to reach NATS at the end
)

// Bridge is a running bridge. Its fields stand in the order of the data's way;
// Close takes them down in that order.
type Bridge struct {
	cfg Config
	log *slog.Logger

	tls                         *tls.Config // nil: plain HTTP
	hookListener, adminListener net.Listener

	receiver  *receive.Server
	answers   *answerer
	keys      *keys.File
	rules     *rulestore.Store
	toRules   chan struct{} // signalled when the bucket may be there again
	toFleet   chan struct{} // signalled when the rules changed, or KV bridges may be there again
	spool     *spool.Spool
	forwarder *forward.Forwarder
	provision *provisioner
	fleet     *fleet

	publishing, watching *link
	watchingJS           jetstream.JetStream
	embedded             *embed.Server

	admin         *admin.Server
	history       *history
	live, bridges *mirror // of the KV buckets
	lock          *os.File
	served        sync.WaitGroup
}

// Open takes everything the bridge needs; the listeners accept connections, and Run
// answers them. An outside NATS that is down is no error. Other errors name what an
// operator can do.
func Open(cfg Config, log *slog.Logger) (*Bridge, error) {
	b := &Bridge{cfg: cfg, log: log}
	if err := b.open(); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

func (b *Bridge) open() (err error) {
	if b.cfg.guessable() {
		b.log.Warn("a secret of BRIDGE_HOOK_SECRETS is short enough to be guessed by whom the network brings", "want_characters", minSecret)
	}
	if b.lock, err = lockDir(b.cfg.DataDir); err != nil {
		return err
	}
	if b.cfg.TLSCert != "" {
		if b.tls, err = receive.LoadTLS(b.cfg.TLSCert, b.cfg.TLSKey, b.log); err != nil {
			return err
		}
	}
	if b.keys, err = keys.Open(b.cfg.KeysFile, b.log); err != nil {
		return err
	}
	if b.hookListener, err = b.listen("BRIDGE_LISTEN", b.cfg.Listen); err != nil {
		return err
	}
	if b.adminListener, err = b.listen("BRIDGE_ADMIN_LISTEN", b.cfg.AdminListen); err != nil {
		return err
	}
	provisioning := provision.Options{Mode: b.cfg.Provision, RulesBucket: b.cfg.RulesBucket}
	if b.cfg.NATSURL == "" {
		b.embedded, err = embed.Start(embed.Options{
			Listen: b.cfg.EmbeddedListen, StoreDir: filepath.Join(b.cfg.DataDir, "nats"),
			MaxStore: 2 * provisioning.Storage(), // as much again for streams of others
			User:     b.cfg.NATS.User, Password: b.cfg.NATS.Password, Token: b.cfg.NATS.Token,
			Log: b.log,
		})
		if err != nil {
			return err
		}
	}
	if b.spool, err = spool.Open(spool.Options{
		Dir: filepath.Join(b.cfg.DataDir, "spool"), Sync: b.cfg.SpoolSync, SyncInterval: b.cfg.SpoolSyncInterval,
		MaxBytes: int64(b.cfg.SpoolMaxBytes), Log: b.log,
	}); err != nil {
		return err
	}
	b.toFleet = make(chan struct{}, 1)
	if b.rules, err = rulestore.Open(rulestore.Options{
		Bucket: b.cfg.RulesBucket, SnapshotPath: filepath.Join(b.cfg.DataDir, "rules.snapshot"),
		Defaults:   decide.Defaults{Publish: b.cfg.DefaultPublish, Play: b.cfg.DefaultPlay},
		StaleAfter: b.cfg.StaleAfter, StaleDeny: b.cfg.Stale == StaleDeny, Changed: b.toFleet, Log: b.log,
	}); err != nil {
		return err
	}
	if err := b.startPublishing(provisioning); err != nil {
		return err
	}
	if err := b.startWatching(); err != nil {
		return err
	}
	if err := b.openServers(); err != nil {
		return err
	}
	return b.startFleet()
}

// listen takes a port early, so that a taken one is the first thing to be told.
func (b *Bridge) listen(variable, addr string) (net.Listener, error) {
	// No keep-alive probes, which cost each connection four system calls: the servers'
	// own time limits end those whose peer is gone.
	ln, err := (&net.ListenConfig{KeepAlive: -1}).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w; stop the program that holds the port or set %s to another", addr, err, variable)
	}
	return ln, nil
}

// startPublishing starts what brings the spool to JetStream.
func (b *Bridge) startPublishing(opts provision.Options) (err error) {
	toForward, toProvision := make(chan struct{}, 1), make(chan struct{}, 1)
	b.toRules = make(chan struct{}, 1)
	b.publishing, err = connect(b.cfg, b.embedded, "publish", b.log, func() {
		signal(toForward)
		signal(toProvision)
		signal(b.toFleet)
	})
	if err != nil {
		return err
	}
	js, err := jetstream.New(b.publishing.conn)
	if err != nil {
		return fmt.Errorf("NATS: %w", err)
	}
	b.provision = &provisioner{js: js, opts: opts, connected: toProvision, log: b.log}
	b.provision.created = []chan<- struct{}{toForward, b.toRules, b.toFleet}
	b.provision.hasRules = func() bool { return b.rules.Status().Documents > 0 }
	b.provision.start(b.embedded != nil)
	b.forwarder, err = forward.Start(forward.Options{
		Log: b.spool.Reader(), Conn: b.publishing.conn, Connected: toForward,
		DeadLetters: filepath.Join(b.cfg.DataDir, "dead-letters.jsonl"), Logger: b.log,
	})
	return err
}

// startWatching starts what keeps the rules current.
func (b *Bridge) startWatching() (err error) {
	b.watching, err = connect(b.cfg, b.embedded, "watch", b.log, func() { signal(b.toRules) })
	if err != nil {
		return err
	}
	if b.watchingJS, err = jetstream.New(b.watching.conn); err != nil {
		return fmt.Errorf("NATS: %w", err)
	}
	return b.rules.Start(b.watchingJS, b.toRules)
}

// openServers makes the two servers; Run serves them.
func (b *Bridge) openServers() (err error) {
	b.answers = newAnswerer(b.cfg, b.keys, b.rules, b.spool, b.log)
	b.receiver = receive.New(receive.Config{
		Path: b.cfg.HookPath, Secrets: b.cfg.HookSecrets,
		AllowFrom: b.cfg.AllowFrom, TrustedProxies: b.cfg.TrustedProxies,
		TLS: b.tls, MaxBody: int(b.cfg.MaxBody), MaxConns: b.cfg.MaxConns, MaxConnsPerAddr: b.cfg.MaxPerAddr, Log: b.log,
	}, b.answers)
	b.openPage()
	contract, err := subjects.AsyncAPI()
	if err != nil {
		return err
	}
	b.admin, err = admin.New(b.adminConfig(contract))
	return err
}

// HookAddr is where webhooks come in, host:port.
func (b *Bridge) HookAddr() string { return b.hookListener.Addr().String() }

// AdminAddr is where health, metrics and status are, host:port.
func (b *Bridge) AdminAddr() string { return b.adminListener.Addr().String() }

// Run answers until ctx ends or a listener fails, and closes the bridge.
func (b *Bridge) Run(ctx context.Context) error {
	failed := make(chan error, 2)
	b.served.Go(func() { failed <- b.receiver.Serve(b.hookListener) })
	b.served.Go(func() { failed <- b.admin.Serve(b.adminListener) })
	b.log.Info("the bridge answers", "webhooks", b.hookURL(), "admin", "http://"+b.AdminAddr(),
		"nats", b.natsURL(), "data", b.cfg.DataDir)
	var err error
	select {
	case <-ctx.Done():
		b.log.Info("stopping: answering what is in flight, then emptying the spool")
	case err = <-failed:
	}
	err = errors.Join(err, b.Close())
	b.log.Info("stopped")
	return err
}

// hookURL is what to call, without a secret.
func (b *Bridge) hookURL() string {
	scheme, path := "http", b.cfg.HookPath
	if b.cfg.TLSCert != "" {
		scheme = "https"
	}
	if len(b.cfg.HookSecrets) > 0 {
		path += "/<secret>"
	}
	return scheme + "://" + b.HookAddr() + path
}

// natsURL is where other programs find the events. An outside server's may hold
// a password.
func (b *Bridge) natsURL() string {
	if b.embedded == nil {
		return "NATS_URL"
	}
	return b.embedded.ClientURL()
}

// Close takes the bridge down in the direction of the data: intake, answers in
// flight, spool to NATS for up to ten seconds, its key in KV bridges, rules,
// connections, NATS. What stays in the spool is sent after the next start, and is no
// error.
func (b *Bridge) Close() error {
	var errs []error
	errs = append(errs, b.closeIntake())
	if b.forwarder != nil {
		ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
		if err := b.forwarder.Drain(ctx); err != nil {
			b.log.Warn("the next start sends the rest", "reason", err)
		}
		cancel()
		errs = append(errs, b.forwarder.Close())
	}
	if b.provision != nil {
		b.provision.close()
	}
	if b.fleet != nil {
		b.fleet.close()
	}
	if b.rules != nil {
		errs = append(errs, b.rules.Close())
	}
	if b.keys != nil {
		b.keys.Close()
	}
	if b.spool != nil {
		errs = append(errs, b.spool.Close())
	}
	b.closePage()
	for _, l := range []*link{b.watching, b.publishing} {
		if l != nil {
			l.conn.Close()
		}
	}
	if b.embedded != nil {
		b.embedded.Close()
	}
	errs = append(errs, b.closeAdmin())
	if b.lock != nil {
		errs = append(errs, b.lock.Close())
	}
	return errors.Join(errs...)
}

// closeIntake stops accepting and answers what has begun.
func (b *Bridge) closeIntake() error {
	if b.receiver != nil {
		ctx, cancel := context.WithTimeout(context.Background(), intakeTimeout)
		defer cancel()
		if err := b.receiver.Shutdown(ctx); err != nil {
			b.log.Warn("connections were cut off", "reason", err)
		}
	}
	return closeListener(b.hookListener)
}

// closeAdmin goes last: health and figures are there while the spool empties.
func (b *Bridge) closeAdmin() error {
	var err error
	if b.admin != nil {
		ctx, cancel := context.WithTimeout(context.Background(), intakeTimeout)
		defer cancel()
		err = b.admin.Shutdown(ctx)
	}
	err = errors.Join(err, closeListener(b.adminListener))
	b.served.Wait()
	return err
}

// closeListener closes a listener that its server may have closed, or never got.
func closeListener(ln net.Listener) error {
	if ln == nil {
		return nil
	}
	if err := ln.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
