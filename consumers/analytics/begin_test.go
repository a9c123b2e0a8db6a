package analytics

import (
	"errors"
	"path/filepath"
	"testing"
)

// Several processes may prepare a new file at once: one turns it to WAL while others wait, which
// busy_timeout does not cover.
func TestPrepareAtOnce(t *testing.T) {
	for range 20 {
		dsn := "sqlite://" + filepath.Join(t.TempDir(), "a.db")
		const processes = 4
		done := make(chan error, processes)
		for range processes {
			go func() {
				s, err := Open(dsn)
				if err != nil {
					done <- err
					return
				}
				done <- errors.Join(s.Migrate(t.Context()), s.Close())
			}()
		}
		for range processes {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
}
