package keys

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A pipe in the place of the file holds up neither the next look nor the end.
func TestPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	write := func(name, secret string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(`{"`+name+`":{"secret":"`+b64(secret)+`"}}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("k1", one)
	synctest.Test(t, func(t *testing.T) {
		f, err := Open(path, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lookEvery)
		synctest.Wait()
		if s := f.Status(); !holds(t, f, one) || !strings.Contains(s.Err, "want a regular file") {
			t.Errorf("%+v", s)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		write("k2", two)
		time.Sleep(lookEvery)
		synctest.Wait()
		if s := f.Status(); holds(t, f, one) || !holds(t, f, two) || s.Err != "" {
			t.Errorf("%+v", s)
		}
	})
}
