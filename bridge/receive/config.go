package receive

import (
	"crypto/tls"
	"log/slog"
	"net/netip"
	"time"
)

// MaxHeader is the most a request line and its header may have together, in
// bytes. The sender's have a few hundred; 16 KiB leaves room for what proxies
// add.
const MaxHeader = 16 << 10

// The defaults of Config's limits.
const (
	DefaultPath         = "/hook"
	DefaultMaxBody      = 64 << 10
	DefaultMaxConns     = 4096
	DefaultMaxPerAddr   = 1024
	DefaultReadTimeout  = 10 * time.Second
	DefaultWriteTimeout = 5 * time.Second
	DefaultIdleTimeout  = time.Minute
)

// Config says what a Server takes. The zero value of each limit is its default.
type Config struct {
	// Path is the path webhooks are posted to, compared byte for byte.
	Path string

	// Secrets, if there are any, must follow Path as one more path segment:
	// <Path>/<secret>. Any of them will do, so that one can be rotated. They
	// are compared as they stand in the request line, undecoded, so they
	// should be of letters, digits, '-' and '_'. An empty one matches nothing.
	Secrets []string

	// AllowFrom lists who may call; empty means everyone.
	AllowFrom []netip.Prefix

	// TrustedProxies lists whose X-Forwarded-For names the caller. It only
	// matters with AllowFrom.
	TrustedProxies []netip.Prefix

	// TLS makes the server speak TLS only; see LoadTLS. nil is plain HTTP.
	TLS *tls.Config

	MaxBody  int // bytes of a body
	MaxConns int // open connections; see room for who has to go when there are more

	// MaxConnsPerAddr is how many of MaxConns one address may have open, an IPv6
	// network of 64 bits counting as one. Peers in AllowFrom and TrustedProxies
	// are not limited by it.
	MaxConnsPerAddr int

	ReadTimeout  time.Duration // from a request's first byte to its last; also for the TLS handshake and the first byte
	WriteTimeout time.Duration // for a reply
	IdleTimeout  time.Duration // between two requests of one connection

	// Log gets one line a second at most for each kind of refusal; nil is
	// silence. What a client sent is cut short and escaped, secrets and the
	// paths that may hold them are left out.
	Log *slog.Logger
}

// withDefaults returns cfg with its limits filled in.
func (cfg Config) withDefaults() Config {
	if cfg.Path == "" {
		cfg.Path = DefaultPath
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	positive := func(n *int, fallback int) {
		if *n <= 0 {
			*n = fallback
		}
	}
	positive(&cfg.MaxBody, DefaultMaxBody)
	positive(&cfg.MaxConns, DefaultMaxConns)
	positive(&cfg.MaxConnsPerAddr, DefaultMaxPerAddr)
	within := func(d *time.Duration, fallback time.Duration) {
		if *d <= 0 {
			*d = fallback
		}
	}
	within(&cfg.ReadTimeout, DefaultReadTimeout)
	within(&cfg.WriteTimeout, DefaultWriteTimeout)
	within(&cfg.IdleTimeout, DefaultIdleTimeout)
	return cfg
}
