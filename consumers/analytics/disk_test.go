package analytics

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers"
	"bintubridge/consumers/consumerstest"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"
)

// watched runs analytics with a log and a monitor that the test looks at.
func watched(kit *consumerstest.Kit, cfg Config) (log *consumerstest.Log, monitor *consumers.Monitor) {
	log, monitor = &consumerstest.Log{}, consumers.NewMonitor()
	js := kit.JetStream()
	kit.Go(func(ctx context.Context) error { return Run(ctx, js, cfg, monitor, log.Logger()) })
	return log, monitor
}

// failed returns how many tries have failed.
func failed(t *testing.T, m *consumers.Monitor) int {
	n, _ := strconv.Atoi(consumerstest.Metric(t, m, `consumer_failed_total{consumer="analytics"}`)) // none is 0
	return n
}

// A disk that is full in the middle of the batches is waited for: it is told and counted, nothing is set
// aside, and in the end the totals are those that were sent.
func TestDiskIsFull(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "disk")
	disk := bridgetest.MountDisk(t, dir, "16m")
	dsn := "sqlite://" + filepath.Join(dir, "a.db")
	t.Run("full", func(t *testing.T) { // everything is closed before the disk goes
		kit := consumerstest.StartFor(t, provision.ConsumerPermissions(Name))
		s := open(t, dsn)
		const n = 1000
		bytes := load(t, kit, n)
		disk.Fill()
		disk.Leave(256 << 10)
		log, monitor := watched(kit, Config{Database: Database{dsn}, Batch: 50})
		bridgetest.Eventually(t, "it is full", func() bool { return failed(t, monitor) > n })
		if events, _ := rows(t.Context(), s); events <= 0 || events == n {
			t.Errorf("%d rows of %d", events, n)
		}
		if !strings.Contains(log.String(), " rows to events: database or disk is full") {
			t.Errorf("log:\n%s", log)
		}
		disk.Empty()
		waitForAll(t, s, kit, n)
		expectTotals(t, s, n, bytes)
		for _, name := range []string{Name, SessionsName} {
			if dead := kit.Dead(name); len(dead) > 0 {
				t.Errorf("%d letters of %s: %s", len(dead), name, dead[0].Header.Get(subjects.HeaderDeadReason))
			}
		}
	})
}
