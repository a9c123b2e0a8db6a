package bridge

import (
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"bintubridge/bridge/embed"
	"bintubridge/subjects/natsenv"
	"bintubridge/subjects/provision"
)

// link is a connection to NATS, with what is known of it. Health and metrics go by that: asked
// itself, a connection answers after the write it is in, and a write to a server that is
// cut off waits for the flusher's time-out.
type link struct {
	conn *nats.Conn
	last atomic.Pointer[linkState]
}

type linkState struct {
	status     nats.Status
	server     string // without credentials; empty while there is none
	reconnects uint64
}

// note is told by the connection's own goroutine of handlers, one event after the other.
func (l *link) note(nc *nats.Conn) {
	l.last.Store(&linkState{status: nc.Status(), server: nc.ConnectedUrlRedacted(), reconnects: nc.Stats().Reconnects})
}

func (l *link) state() linkState { return *l.last.Load() }

func (l *link) connected() bool { return l.state().status == nats.CONNECTED }

// connect returns a connection named for its use. With an outside server that is
// down it returns at once and connects later. Both connections never give up:
// an operator who mends a server or its permissions need not restart bridges.
func connect(cfg Config, server *embed.Server, use string, log *slog.Logger, connected func()) (*link, error) {
	l := &link{}
	l.last.Store(&linkState{status: nats.CONNECTING})
	log = log.With("connection", use)
	var told string                   // the last reason logged
	opts := append(natsenv.Lasting(), // events wait in the spool, not in the connection
		nats.Name("bridge "+cfg.Name+" "+use),
		nats.CustomInboxPrefix(provision.InboxBridge),
		nats.ConnectHandler(func(nc *nats.Conn) { l.note(nc); log.Info("NATS connected"); connected() }),
		nats.ReconnectHandler(func(nc *nats.Conn) { l.note(nc); log.Info("NATS connected again"); connected() }),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			l.note(nc)
			if err != nil {
				log.Warn("NATS disconnected; events wait in the spool, rules stay as they are", "error", err)
			}
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { // of the connection's own goroutine
			if text := err.Error(); text != told {
				told = text
				log.Warn("NATS cannot be reached; trying again and again", "error", err)
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			log.Warn("NATS reports", "error", err)
		}),
	)
	url := cfg.NATSURL
	if server != nil {
		url = server.ClientURL()
		opts = append(opts, server.ConnectOptions()...)
	} else {
		auth, err := cfg.NATS.Options()
		if err != nil {
			return nil, err
		}
		opts = append(opts, auth...)
	}
	var err error
	if l.conn, err = nats.Connect(url, opts...); err != nil {
		return nil, fmt.Errorf("NATS: %w", err)
	}
	return l, nil
}
