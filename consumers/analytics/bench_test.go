package analytics

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers"
	"bintubridge/consumers/consumerstest"
	"bintubridge/subjects"

	"github.com/nats-io/nats.go/jetstream"
)

// BenchmarkRun is from JetStream into the tables, one event an iteration. Server and
// database share the processors with it.
func BenchmarkRun(b *testing.B) {
	for _, batch := range []int{1000, 2000, 5000} {
		b.Run(fmt.Sprintf("postgres/%d", batch), func(b *testing.B) { measure(b, startPostgres(b).dsn(), batch) })
	}
	b.Run("sqlite/2000", func(b *testing.B) { measure(b, "sqlite://"+b.TempDir()+"/a.db", 2000) })
}

func measure(b *testing.B, dsn string, batch int) {
	kit := consumerstest.Start(b)
	s := open(b, dsn)
	for i := range b.N {
		e := consumerstest.Event("publish_done", fmt.Sprintf("CD6xx-%d", i%1000))
		e.ID, e.ReceivedAt, e.BytesIn, e.BytesOut = fmt.Sprintf("bXk2-%d", i), nine.Add(time.Duration(i)*time.Millisecond), "575", "8516372"
		e.TCURL, e.FlashVer = "rtmp://example.org/live", "FMLE/3.0"
		e.Custom.Add("foo", "bar")
		e.Custom.Add("batz", "12345")
		if _, err := kit.JS.PublishMsgAsync(consumerstest.EventMessage(e), jetstream.WithStallWait(bridgetest.Timeout)); err != nil {
			b.Fatal(err)
		}
	}
	<-kit.JS.PublishAsyncComplete()
	js := kit.JetStream()
	b.ResetTimer()
	stop := kit.Go(func(ctx context.Context) error {
		return Run(ctx, js, Config{Database: Database{dsn}, Batch: batch}, consumers.NewMonitor(), slog.New(slog.DiscardHandler))
	})
	for {
		c, err := kit.JS.Consumer(b.Context(), subjects.StreamEvents, Name)
		if err == nil && c.CachedInfo().AckFloor.Stream >= uint64(b.N) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	stop()
	var n int
	if err := s.db.QueryRowContext(b.Context(), "SELECT count(*) FROM events").Scan(&n); err != nil || n != b.N {
		b.Fatalf("%d rows of %d, %v", n, b.N, err)
	}
}
