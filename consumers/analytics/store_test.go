package analytics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers"
	"bintubridge/consumers/consumerstest"
	"bintubridge/subjects"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	bridgetest.ServeIfAsked()
	consumerstest.ServeIfAsked(func(ctx context.Context, js jetstream.JetStream) error {
		cfg := Config{Database: Database{os.Getenv(dsnVariable)}, Batch: 50}
		return Run(ctx, js, cfg, consumers.NewMonitor(), slog.New(slog.DiscardHandler))
	})
	goleak.VerifyTestMain(m)
}

var nine = time.Date(2026, 11, 23, 9, 0, 0, 123456000, time.UTC)

func play(id, name string, start time.Time, length time.Duration) subjects.Session {
	s := subjects.Session{ID: id + "-started", Session: id, Kind: subjects.KindPlay, Name: name, App: "live", Addr: "192.0.2.1", ClientID: "7", StartedAt: start}
	if length > 0 {
		s.EndedAt, s.HowEnded, s.BytesOut = start.Add(length), subjects.EndedDone, 1000
	}
	return s
}

func publish(id, name string, start time.Time, length time.Duration) subjects.Session {
	s := play(id, name, start, length)
	s.Kind, s.BytesIn, s.BytesOut = subjects.KindPublish, s.BytesOut, 0
	return s
}

func pointers[T any](list ...T) []*T {
	all := make([]*T, len(list))
	for i := range list {
		all[i] = &list[i]
	}
	return all
}

// dump returns the rows of a query as lines.
func dump(t *testing.T, s *Store, query string) string {
	t.Helper()
	rows, err := s.db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for rows.Next() {
		values, to := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			to[i] = &values[i]
		}
		if err := rows.Scan(to...); err != nil {
			t.Fatal(err)
		}
		cells := make([]string, len(values))
		for i, v := range values {
			switch v := v.(type) {
			case time.Time:
				cells[i] = v.UTC().Format(sqliteTime)
			case []byte:
				cells[i] = string(v)
			default:
				cells[i] = fmt.Sprint(v)
			}
		}
		lines = append(lines, strings.Join(cells, " "))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

func expect(t *testing.T, s *Store, query, want string) {
	t.Helper()
	if got := dump(t, s, query); got != want {
		t.Errorf("%s:\n%s\nwant:\n%s", query, got, want)
	}
}

// What a publisher chose is stored, whatever it is, and PostgreSQL's poison is seen.
func TestEventRows(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		e := subjects.Event{ID: "a-1", ReceivedAt: nine, Call: "publish_done", Name: "n\x00'\"; --\xff", App: "live", Addr: "::1", ClientID: "5", BytesIn: "575", BytesOut: "18446744073709551615"}
		e.Custom.Add("k\x00", "v\x00ü")
		denied := subjects.Event{ID: "a-2", ReceivedAt: nine, Call: "publish", Decision: &subjects.Decision{Effect: "deny", Rule: "acme/x"}}
		large := subjects.Event{ID: "a-3", Name: strings.Repeat("\x00", 1<<20)}
		if err := s.WriteEvents(t.Context(), pointers(e, denied, e, large)); err != nil {
			t.Fatal(err)
		}
		if err := s.WriteEvents(t.Context(), pointers(denied, e)); err != nil {
			t.Fatal(err)
		}
		expect(t, s, `SELECT event_id, received_at, call, effect, rule, name, app, addr, clientid, bytes_in, bytes_out FROM events WHERE event_id < 'a-3' ORDER BY 1`,
			`a-1 2026-11-23T09:00:00.123456Z publish_done   n\x00'"; --\xff live ::1 5 575 <nil>`+"\n"+
				`a-2 2026-11-23T09:00:00.123456Z publish deny acme/x     <nil> <nil>`)
		expect(t, s, `SELECT replace(CAST(custom AS TEXT), ' ', '') FROM events WHERE event_id = 'a-1'`, `{"k\\x00":"v\\x00ü"}`)
		expect(t, s, `SELECT length(name) FROM events WHERE event_id = 'a-3'`, "4194304")
	})
}

// A row that PostgreSQL refuses is at fault itself, a database that is away is not.
func TestPermanent(t *testing.T) {
	c := startPostgres(t)
	s := open(t, c.dsn())
	var long strings.Builder // an id that no index takes, and no compression helps
	for range 10_000 {
		fmt.Fprint(&long, rand.Uint64())
	}
	if err := s.WriteEvents(t.Context(), pointers(subjects.Event{ID: "a-1"}, subjects.Event{ID: long.String()})); !consumers.IsPermanent(err) {
		t.Errorf("a long id: %v", err)
	}
	expect(t, s, "SELECT count(*) FROM events", "0")
	c.kill()
	if err := s.WriteEvents(t.Context(), pointers(subjects.Event{ID: "a-1"})); err == nil || consumers.IsPermanent(err) {
		t.Errorf("no database: %v", err)
	}
}

// The end of a session counts once, in whatever order and how often it is told.
func TestSessionRows(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		started, ended := publish("a-1", "lobby", nine, 0), publish("a-1", "lobby", nine, time.Minute)
		ended.Reconnects, ended.PeakViewers, ended.ClientID = 2, 3, "8"
		late := ended
		late.BytesIn = 5
		for i, batch := range [][]*consumers.Message{
			{{Session: started}},
			{{Session: ended}, {Session: started}},
			{{Session: late}},
			{{Session: started}},
		} {
			if err := s.WriteSessions(t.Context(), latest(batch)); err != nil {
				t.Fatal(err)
			}
			want := "a-1 publish lobby live 192.0.2.1 8 2026-11-23T09:00:00.123456Z 2026-11-23T09:01:00.123456Z done 1000 0 2 3"
			if i == 0 {
				want = "a-1 publish lobby live 192.0.2.1 7 2026-11-23T09:00:00.123456Z <nil> <nil> <nil> <nil> <nil> <nil>"
			}
			expect(t, s, "SELECT * FROM sessions", want)
		}
	})
}

// Counts that no session has are at fault themselves: their sum would have no room, and no report be made.
func TestImpossibleCounts(t *testing.T) {
	s := open(t, "sqlite://"+filepath.Join(t.TempDir(), "a.db"))
	for _, set := range []func(*subjects.Session){
		func(s *subjects.Session) { s.BytesIn = math.MaxInt64 },
		func(s *subjects.Session) { s.BytesOut = maxCount + 1 },
		func(s *subjects.Session) { s.Reconnects = -1 },
		func(s *subjects.Session) { s.PeakViewers = math.MaxInt64 },
	} {
		ended := publish("a-1", "lobby", nine, time.Minute)
		set(&ended)
		if err := s.WriteSessions(t.Context(), []*subjects.Session{&ended}); !consumers.IsPermanent(err) || !errors.Is(err, consumers.ErrMalformed) {
			t.Errorf("%+v: %v", ended, err)
		}
	}
	expect(t, s, "SELECT count(*) FROM sessions", "0")
}

func TestViews(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		backwards := play("p-5", "clock", nine, time.Second)
		backwards.EndedAt = nine.Add(-time.Hour)
		if err := s.WriteSessions(t.Context(), pointers(
			play("p-1", "lobby", nine, 90*time.Second), play("p-2", "lobby", nine.Add(time.Minute), 4*time.Minute),
			play("p-3", "lobby", nine.Add(2*time.Minute), 0), play("p-4", "other", nine, 24*time.Hour), backwards,
			publish("q-1", "lobby", nine, 10*time.Minute), publish("q-2", "lobby", nine.Add(5*time.Minute), 10*time.Minute),
			publish("q-3", "lobby", nine.Add(6*time.Minute), time.Minute), publish("q-4", "lobby", nine.Add(20*time.Minute), 10*time.Minute),
		)); err != nil {
			t.Fatal(err)
		}
		deny := &subjects.Decision{Effect: "deny", Rule: "acme/x"}
		if err := s.WriteEvents(t.Context(), pointers(
			subjects.Event{ID: "a-1", ReceivedAt: nine, Call: "publish", Addr: "::1", Decision: deny},
			subjects.Event{ID: "a-2", ReceivedAt: nine.Add(time.Second), Call: "publish", Addr: "::1", Decision: deny},
			subjects.Event{ID: "a-3", ReceivedAt: nine, Call: "publish", Addr: "::1", Decision: &subjects.Decision{Effect: "allow"}},
		)); err != nil {
			t.Fatal(err)
		}
		expect(t, s, "SELECT minute, viewers, came, went FROM viewers_by_minute WHERE name = 'lobby' ORDER BY 1", strings.Join([]string{
			"2026-11-23T09:00:00.000000Z 1 1 0", "2026-11-23T09:01:00.000000Z 2 1 1", "2026-11-23T09:02:00.000000Z 2 1 0", "2026-11-23T09:05:00.000000Z 2 0 1",
		}, "\n"))
		expect(t, s, "SELECT * FROM watch_by_day ORDER BY name", strings.Join([]string{
			"2026-11-23 clock live 1 0 0 1000", "2026-11-23 lobby live 2 330 4000 2000", "2026-11-23 other live 1 86400 0 1000",
		}, "\n"))
		expect(t, s, "SELECT * FROM top_streams", strings.Join([]string{
			"other live 1 86400 1000 0", "lobby live 3 330 2000 0", "clock live 1 0 1000 0",
		}, "\n"))
		expect(t, s, "SELECT * FROM refusals", "acme/x ::1 publish 2 2026-11-23T09:00:00.123456Z 2026-11-23T09:00:01.123456Z")
		expect(t, s, "SELECT name, publishes, reconnects, lost, round(live_seconds), round(span_seconds), round(uptime * 1000) FROM publish_uptime", "lobby 4 0 0 1500 1800 833")
	})
}

func TestDelete(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		list := make([]subjects.Event, deleteAtOnce+1)
		for i := range list {
			list[i] = subjects.Event{ID: fmt.Sprintf("a-%d", i), ReceivedAt: nine}
		}
		list = append(list, subjects.Event{ID: "new", ReceivedAt: nine.Add(time.Microsecond)})
		if err := s.WriteEvents(t.Context(), pointers(list...)); err != nil {
			t.Fatal(err)
		}
		if err := s.WriteSessions(t.Context(), pointers(play("old", "x", nine.Add(-time.Hour), time.Minute), play("open", "x", nine.Add(-time.Hour), 0), play("new", "x", nine.Add(-time.Hour), time.Hour+time.Second))); err != nil {
			t.Fatal(err)
		}
		if n, err := s.Delete(t.Context(), nine.Add(time.Microsecond)); err != nil || n != int64(deleteAtOnce+2) {
			t.Errorf("deleted %d, %v", n, err)
		}
		expect(t, s, "SELECT event_id FROM events", "new")
		expect(t, s, "SELECT session_id FROM sessions ORDER BY 1", "new\nopen")
	})
}

func TestMigrate(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		steps, err := s.dialect.steps()
		if err != nil {
			t.Fatal(err)
		}
		expect(t, s, "SELECT version FROM schema_version ORDER BY 1", "1\n2")
		if err := s.WriteEvents(t.Context(), pointers(subjects.Event{ID: "a-1"})); err != nil {
			t.Fatal(err)
		}
		if err := migrate(t.Context(), s, append(steps, "ALTER TABLE events ADD COLUMN x TEXT; CREATE TABLE y (z no_such_type(;")); err == nil {
			t.Error("a broken migration is done")
		}
		expect(t, s, "SELECT count(*) FROM events", "1") // nothing of it is left:
		next := slices.Concat(steps, []string{"ALTER TABLE events ADD COLUMN x TEXT; CREATE TABLE y (z TEXT)"})
		done := make(chan error)
		others := []*Store{open(t, dsn), open(t, dsn), open(t, dsn)} // as of other processes
		for _, other := range others {
			go func() { done <- migrate(t.Context(), other, next) }()
		}
		for range 3 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		expect(t, s, "SELECT event_id, x FROM events", "a-1 <nil>")
		if err := s.Migrate(t.Context()); !errors.Is(err, ErrNewer) {
			t.Errorf("a later schema: %v", err)
		}
	})
}

func TestDSN(t *testing.T) {
	for _, dsn := range []string{"", "mysql://u:s3cret@h/d", "postgres://u:s3cret@h:port/d", "/path"} {
		if _, err := Open(dsn); !errors.Is(err, ErrDSN) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v", dsn, err)
		}
	}
}
