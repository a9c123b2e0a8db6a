package bridge

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bintubridge/bridge/spool"
)

// Damage shows as long as an operator has something to do.
func TestDamageDegrades(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(dir string) error
		want  string // in the detail; empty when it is not degraded
	}{
		"nothing":          {func(string) error { return nil }, ""},
		"a file set aside": {func(dir string) error { return os.WriteFile(filepath.Join(dir, "1.seg.1.damaged"), nil, 0o600) }, "1 were set aside"},
		"repaired original": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "1.seg.1.repaired.damaged"), nil, 0o600)
		}, ""},
		"a segment is gone":  {func(dir string) error { return os.Truncate(filepath.Join(dir, "00000000000000000001.seg"), 64) }, "2 events are lost"},
		"an unread segment":  {func(dir string) error { return os.Mkdir(filepath.Join(dir, "00000000000000000009.seg"), 0o700) }, "1 segments are damaged"},
		"an unsaved cursor":  {func(dir string) error { return os.Remove(filepath.Join(dir, "cursor")) }, "open cursor"},
		"the cursor is away": {func(dir string) error { return os.Remove(filepath.Join(dir, "cursor")) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for range 2 {
				s := openSpool(t, dir)
				for range 2 {
					if _, err := s.Append([]byte("event")); err != nil {
						t.Fatal(err)
					}
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.spoil(dir); err != nil {
				t.Fatal(err)
			}
			if name == "an unsaved cursor" {
				if err := os.Symlink("/dev/full", filepath.Join(dir, "cursor")); err != nil {
					t.Fatal(err)
				}
			}
			s := openSpool(t, dir)
			defer s.Close()
			_ = s.Reader().Ack(1, "id", 1)
			b := &Bridge{cfg: Config{SpoolMaxBytes: 1 << 30}, spool: s, answers: &answerer{}}
			check := b.spoolReady()
			if !check.OK || check.Degraded != (c.want != "") || !strings.Contains(check.Detail, c.want) {
				t.Errorf("%+v", check)
			}
		})
	}
}

func openSpool(t *testing.T, dir string) *spool.Spool {
	t.Helper()
	s, err := spool.Open(spool.Options{Dir: dir, Sync: spool.SyncOff})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
