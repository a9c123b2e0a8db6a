package receive

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pairFiles is a certificate and its key on disk.
type pairFiles struct {
	cert, key string
	writes    int
}

func newPairFiles(t *testing.T) *pairFiles {
	dir := t.TempDir()
	return &pairFiles{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
}

// renew writes a new self-signed certificate for name. The files' times are
// set, so that the test does not depend on the file system's clock.
func (p *pairFiles) renew(t *testing.T, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p.writes++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(p.writes)), DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p.write(t, p.cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	p.write(t, p.key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
}

func (p *pairFiles) write(t *testing.T, name, content string) {
	t.Helper()
	p.writes++
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_800_000_000+int64(p.writes), 0)
	if err := os.Chtimes(name, at, at); err != nil {
		t.Fatal(err)
	}
}

func TestLoadTLSErrors(t *testing.T) {
	files := newPairFiles(t)
	for name, prepare := range map[string]func(){
		"missing":    func() {},
		"broken":     func() { files.renew(t, "a"); files.write(t, files.cert, "no PEM") },
		"mismatched": func() { files.renew(t, "a"); other := newPairFiles(t); other.renew(t, "b"); files.cert = other.cert },
	} {
		t.Run(name, func(t *testing.T) {
			prepare()
			cfg, err := LoadTLS(files.cert, files.key, nil)
			if cfg != nil || err == nil || !strings.Contains(err.Error(), files.cert) || !strings.Contains(err.Error(), files.key) {
				t.Errorf("LoadTLS = %v, %v; want an error that names both files", cfg, err)
			}
		})
	}
}

// TestCertificateReload walks a certificate's life, one look at a time.
func TestCertificateReload(t *testing.T) {
	files, out := newPairFiles(t), &logBuffer{}
	files.renew(t, "first")
	p := &keyPair{certFile: files.cert, keyFile: files.key, log: slog.New(slog.NewJSONHandler(out, nil)), seen: stampOf(files.cert, files.key)}
	if err := p.load(); err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_900_000_000, 0)
	for _, step := range []struct {
		name   string
		change func()
		after  time.Duration
		want   string
		logged int // lines so far
	}{
		{"unchanged", func() {}, recheckEvery, "first", 0},
		{"renewed, but looked at just now", func() { files.renew(t, "second") }, recheckEvery - 1, "first", 0},
		{"renewed", func() {}, 1, "second", 1},
		{"broken", func() { files.write(t, files.cert, "half a fi") }, recheckEvery, "second", 2},
		{"still broken, not logged again", func() {}, recheckEvery, "second", 2},
		{"gone", func() { _ = os.Remove(files.cert) }, recheckEvery, "second", 3},
		{"back", func() { files.renew(t, "third") }, recheckEvery, "third", 4},
		{"a pipe that nobody writes", func() { makePipe(t, files.cert) }, recheckEvery, "third", 5},
		{"back again", func() { _ = os.Remove(files.cert); files.renew(t, "fourth") }, recheckEvery, "fourth", 6},
	} {
		step.change()
		now = now.Add(step.after)
		leaf, err := x509.ParseCertificate(p.certificate(now).Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		if leaf.DNSNames[0] != step.want || len(out.lines(t)) != step.logged {
			t.Errorf("%s: certificate %q, want %q; log %v, want %d lines", step.name, leaf.DNSNames[0], step.want, out.lines(t), step.logged)
		}
	}
}

func makePipe(t *testing.T, path string) {
	t.Helper()
	if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)); err != nil {
		t.Fatal(err)
	}
}

func TestServeTLS(t *testing.T) {
	files := newPairFiles(t)
	files.renew(t, "bridge.test")
	tlsConfig, err := LoadTLS(files.cert, files.key, nil)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pemCert, err := os.ReadFile(files.cert)
	if err != nil || !pool.AppendCertsFromPEM(pemCert) {
		t.Fatalf("certificate: %v", err)
	}
	client := &tls.Config{RootCAs: pool, ServerName: "bridge.test", MinVersion: tls.VersionTLS12}
	h := &recorder{}
	s, addr := started(t, Config{TLS: tlsConfig, MaxBody: 64, AllowFrom: prefixes("127.0.0.1/32")}, h)

	c := tls.Client(dial(t, addr), client)
	send(t, c, post("/hook", "a=1")+post("/hook", "no"))
	expect(t, c, ok+no)
	if got := c.ConnectionState().Version; got < tls.VersionTLS12 {
		t.Errorf("version %x", got)
	}
	send(t, c, post("/hook", strings.Repeat("x", 100_000)))
	expect(t, c, largeClose)
	expectClosed(t, c)
	_ = c.Close()
	free := func() { eventually(t, "free", func() bool { return s.Stats().Open == 0 }) }

	free()
	old := client.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if err := tls.Client(dial(t, addr), old).Handshake(); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
	free()
	plain := dial(t, addr)
	send(t, plain, post("/hook", "plain"))
	for buf := make([]byte, 64); ; { // an alert, then the end; never an HTTP reply
		n, err := plain.Read(buf)
		if strings.HasPrefix(string(buf[:n]), "HTTP/1.1 200") {
			t.Fatalf("plain HTTP was answered: %q", buf[:n])
		}
		if err != nil {
			break
		}
	}
	free()

	if got := s.Stats(); got.HandshakeFailed != 2 || got.Accepted != 1 || got.Refused != 1 || got.BodyTooLarge != 1 {
		t.Errorf("Stats = %+v", got)
	}
}

// TestSilentHandshake: a client that connected and says nothing is cut at ReadTimeout.
func TestSilentHandshake(t *testing.T) {
	files := newPairFiles(t)
	files.renew(t, "bridge.test")
	tlsConfig, err := LoadTLS(files.cert, files.key, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, addr := started(t, Config{TLS: tlsConfig, ReadTimeout: 20 * time.Millisecond}, &recorder{})
	expectCut(t, dial(t, addr))
	eventually(t, "counted", func() bool { return s.Stats() == Stats{HandshakeFailed: 1} })
}

// TestShutdownDuringHandshake: a client that connected and says nothing does
// not hold Shutdown up.
func TestShutdownDuringHandshake(t *testing.T) {
	files := newPairFiles(t)
	files.renew(t, "bridge.test")
	tlsConfig, err := LoadTLS(files.cert, files.key, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, addr := started(t, Config{TLS: tlsConfig}, &recorder{})
	var c net.Conn = dial(t, addr)
	eventually(t, "connected", func() bool { return s.Stats().Open == 1 })
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown = %v", err)
	}
	expectCut(t, c)
}
