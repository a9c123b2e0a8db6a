package receive

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// recheckEvery is the least time between two looks at the certificate's files.
const recheckEvery = time.Second

// LoadTLS returns a TLS configuration that serves the certificate chain and
// key in the two PEM files, for TLS 1.2 and later. It looks at the files again
// during handshakes, at most once a second, and takes a changed pair into use.
// A changed pair that does not load is logged once, and the last good one
// stays in use, for example while a renewal has written one file of the two.
func LoadTLS(certFile, keyFile string, log *slog.Logger) (*tls.Config, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	p := &keyPair{certFile: certFile, keyFile: keyFile, log: log, seen: stampOf(certFile, keyFile)}
	if err := p.load(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return p.certificate(time.Now()), nil
		},
	}, nil
}

// keyPair is a certificate that follows its files.
type keyPair struct {
	certFile, keyFile string
	log               *slog.Logger
	current           atomic.Pointer[tls.Certificate]

	mu      sync.Mutex // held by the one handshake that looks at the files
	checked time.Time
	seen    stamp // of the files as last tried, good or not
}

// stamp tells one state of the two files from another.
type stamp struct{ cert, key fileStamp }

type fileStamp struct {
	modified time.Time
	size     int64
}

// stampOf returns the files' stamp. It is taken before they are read, so that
// a change in between shows at the next look. A missing file has a zero stamp:
// reading it tells why.
func stampOf(certFile, keyFile string) stamp {
	of := func(name string) fileStamp {
		info, err := os.Stat(name)
		if err != nil {
			return fileStamp{}
		}
		return fileStamp{info.ModTime(), info.Size()}
	}
	return stamp{of(certFile), of(keyFile)}
}

// certificate returns the certificate to present at now. Handshakes that come
// while another one looks at the files do not wait for it.
func (p *keyPair) certificate(now time.Time) *tls.Certificate {
	if p.mu.TryLock() {
		defer p.mu.Unlock()
		if now.Sub(p.checked) >= recheckEvery {
			p.checked = now
			p.reload()
		}
	}
	return p.current.Load()
}

// reload loads the files if they changed. The caller holds mu.
func (p *keyPair) reload() {
	now := stampOf(p.certFile, p.keyFile)
	if now == p.seen {
		return
	}
	p.seen = now
	if err := p.load(); err != nil {
		p.log.Error("the changed certificate is not used, the last good one is", "error", err)
		return
	}
	p.log.Info("certificate reloaded", "file", p.certFile)
}

// load reads the files and puts them to use.
func (p *keyPair) load() error {
	err := errors.Join(regular(p.certFile), regular(p.keyFile))
	var cert tls.Certificate
	if err == nil {
		cert, err = tls.LoadX509KeyPair(p.certFile, p.keyFile)
	}
	if err != nil {
		return fmt.Errorf("receive: load TLS certificate %s and key %s, check that both are readable PEM files that belong together: %w",
			p.certFile, p.keyFile, err)
	}
	p.current.Store(&cert)
	return nil
}

// regular refuses what reading may wait for, as a pipe. What is not there, reading tells.
func regular(path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s: want a regular file, it is %s", path, info.Mode())
	}
	return nil
}
