package bridge

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"bintubridge/subjects"
	"bintubridge/subjects/natsenv"
)

const (
	maxConns         = 1_000_000
	minBody          = 1 << 10
	maxBody          = 512 << 10 // NATS takes 1 MiB; an event is mostly a little larger than its body, at worst 12 times as large
	minSpoolBytes    = 1 << 20
	minSyncInterval  = time.Millisecond
	maxNameLen       = 128
	minSecret        = 16 // characters that nobody guesses
	secretCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-"
)

// Check returns what each value alone, or two together, get wrong.
func (c Config) Check() []error {
	var problems []error
	add := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }

	if err := natsenv.CheckURL(c.NATSURL); err != nil {
		add("NATS_URL: %w", err)
	}
	if c.NATSURL == "" && (c.NATS.Creds != "" || c.NATS.NKey != "" || c.NATS.CA != "" || c.NATS.Cert != "") {
		add("NATS_URL is empty, which starts the embedded server: NATS_CREDS, NATS_NKEY, NATS_CA and NATS_CERT are for outside ones; set NATS_URL, or none of them")
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		add("BRIDGE_TLS_CERT and BRIDGE_TLS_KEY belong together: set both or none")
	}

	for _, listener := range c.listeners() {
		if err := checkListen(listener.addr); err != nil {
			add("%s=%q: %w", listener.name, listener.addr, err)
		} else if listener.unguarded != "" && !isLoopback(listener.addr) && !c.Open {
			add("%s=%q can be reached from the network: %s, or BRIDGE_OPEN=true if that is wanted",
				listener.name, listener.addr, listener.unguarded)
		}
	}
	if len(c.Name) > maxNameLen || strings.ContainsFunc(c.Name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		add("BRIDGE_NAME=%q: want at most %d bytes without control characters", c.Name, maxNameLen)
	}
	if !strings.HasPrefix(c.HookPath, "/") || c.HookPath == "/" || path.Clean(c.HookPath) != c.HookPath ||
		strings.Trim(c.HookPath, secretCharacters+"/") != "" {
		add("BRIDGE_HOOK_PATH=%q: want a path such as /hook, of letters, digits and ._~-", c.HookPath)
	}
	for i, secret := range c.HookSecrets {
		if secret == "" || strings.Trim(secret, secretCharacters) != "" {
			add("BRIDGE_HOOK_SECRETS: secret %d is empty or has other characters than letters, digits and ._~-", i+1)
		}
	}
	if c.TrustedProxies.all() && !c.Open {
		add("BRIDGE_TRUSTED_PROXIES has all addresses: every caller could say that it is another; name the proxies', or BRIDGE_OPEN=true if that is wanted")
	}
	if c.RulesBucket == "" || strings.Trim(c.RulesBucket, secretCharacters) != "" || strings.ContainsAny(c.RulesBucket, ".~") {
		add("BRIDGE_RULES_BUCKET=%q: want letters, digits, _ and -", c.RulesBucket)
	}
	if subjects.ReservedBucket(c.RulesBucket) {
		add("BRIDGE_RULES_BUCKET=%q: that bucket has another use, want a name of its own", c.RulesBucket)
	}
	if c.MaxBody < minBody || c.MaxBody > maxBody {
		add("BRIDGE_MAX_BODY: want 1KiB to 512KiB, an event has to fit into a NATS message of 1MiB")
	}
	if c.MaxConns < 1 || c.MaxConns > maxConns {
		add("BRIDGE_MAX_CONNS=%d: want 1 to %d", c.MaxConns, maxConns)
	} else if c.MaxPerAddr < 1 || c.MaxPerAddr > c.MaxConns {
		add("BRIDGE_MAX_CONNS_PER_ADDR=%d: want 1 to %d, BRIDGE_MAX_CONNS", c.MaxPerAddr, c.MaxConns)
	}
	if c.SpoolMaxBytes < minSpoolBytes {
		add("BRIDGE_SPOOL_MAX_BYTES: want at least 1MiB")
	}
	if c.SpoolSyncInterval < minSyncInterval {
		add("BRIDGE_SPOOL_SYNC_INTERVAL=%s: want at least %s", c.SpoolSyncInterval, minSyncInterval)
	}
	if c.StaleAfter < 0 {
		add("BRIDGE_RULES_STALE_AFTER=%s: want 0 (never) or more", c.StaleAfter)
	}
	if c.Stale == StaleDeny && c.StaleAfter == 0 {
		add("BRIDGE_RULES_STALE=deny never takes effect without BRIDGE_RULES_STALE_AFTER: set it, or leave BRIDGE_RULES_STALE out")
	}
	return problems
}

type listener struct {
	name, addr string
	unguarded  string // what to do about it, empty when callers are checked
}

func (c Config) listeners() []listener {
	hook := listener{name: "BRIDGE_LISTEN", addr: c.Listen}
	if len(c.HookSecrets) == 0 && !c.AllowFrom.guard() {
		hook.unguarded = "set BRIDGE_HOOK_SECRETS or BRIDGE_ALLOW_FROM, which may not have all addresses"
	}
	all := []listener{hook, {name: "BRIDGE_ADMIN_LISTEN", addr: c.AdminListen}}
	if c.NATSURL == "" {
		nats := listener{name: "BRIDGE_EMBEDDED_LISTEN", addr: c.EmbeddedListen}
		if c.NATS.Token == "" && c.NATS.User == "" {
			nats.unguarded = "set NATS_TOKEN, or NATS_USER and NATS_PASSWORD"
		}
		all = append(all, nats)
	}
	return all
}

// guessable reports whether the network can reach the hook by a secret that somebody might guess.
func (c Config) guessable() bool {
	short := func(secret string) bool { return len(secret) < minSecret }
	return !isLoopback(c.Listen) && !c.AllowFrom.guard() && slices.ContainsFunc(c.HookSecrets, short)
}

func checkListen(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return errors.New("want host:port, such as 127.0.0.1:8080 or :8080")
	}
	return nil
}

// isLoopback reports whether only this machine can reach addr.
func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
