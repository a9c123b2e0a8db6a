package analytics

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"bintubridge/consumers"
	"bintubridge/subjects"
)

// Store is a database of events and sessions. Its methods may be called from several
// goroutines.
type Store struct {
	db      *sql.DB
	dialect dialect
}

// dialect is what differs between the databases.
type dialect struct {
	migrations string         // folder
	lock       string         // lets one process at a time migrate; "" where a transaction does
	snapshot   *sql.TxOptions // of a transaction that sees one moment
	encodeTime encodeTime
	write      func(context.Context, *sql.DB, table, [][]any) error
	refuses    func(error) bool // whether the database says that the rows are at fault
	busy       func(error) bool // whether another process has the database for a moment
}

// table is where rows go, and what becomes of those whose id is there.
type table struct {
	name     string
	columns  []string
	conflict string
}

var events = table{"events", eventColumns, "ON CONFLICT (event_id) DO NOTHING"}

// A session that is there is only changed by its end, once.
var sessions = table{"sessions", sessionColumns, `ON CONFLICT (session_id) DO UPDATE SET clientid = excluded.clientid,
	ended_at = excluded.ended_at, how_ended = excluded.how_ended, bytes_in = excluded.bytes_in, bytes_out = excluded.bytes_out,
	reconnects = excluded.reconnects, peak_viewers = excluded.peak_viewers
	WHERE sessions.ended_at IS NULL AND excluded.ended_at IS NOT NULL`}

// ErrDSN is wrapped by what Open says about a DSN. It never shows the DSN, which may hold a
// password.
var ErrDSN = errors.New("CONSUMER_ANALYTICS_DSN")

// Open returns the database of the DSN, sqlite:// and a path or postgres://…; it does not
// connect yet. A file that is not there is made.
func Open(dsn string) (*Store, error) { return openDSN(dsn, true) }

// OpenExisting is Open for who only reads: it makes no file, and returns ErrNoDatabase instead.
func OpenExisting(dsn string) (*Store, error) { return openDSN(dsn, false) }

func openDSN(dsn string, create bool) (*Store, error) {
	if err := checkDSN(dsn); err != nil {
		return nil, err
	}
	if path, ok := strings.CutPrefix(dsn, sqliteScheme); ok {
		return openSQLite(path, create)
	}
	return openPostgres(dsn)
}

const sqliteScheme = "sqlite://"

// checkDSN says what is wrong with a DSN, without looking for its database.
func checkDSN(dsn string) error {
	switch {
	case strings.HasPrefix(dsn, sqliteScheme):
		return nil
	case strings.HasPrefix(dsn, "postgres://"), strings.HasPrefix(dsn, "postgresql://"):
		_, err := postgresConfig(dsn)
		return err
	}
	return fmt.Errorf("%w: want sqlite:///path/file.db or postgres://user:password@host/database", ErrDSN)
}

// Close ends all connections.
func (s *Store) Close() error { return s.db.Close() }

// WriteEvents adds the events that are not there yet, in one transaction. An error that no retry
// will mend is consumers.Permanent.
func (s *Store) WriteEvents(ctx context.Context, list []*subjects.Event) error {
	rows := make([][]any, len(list))
	for i, e := range list {
		row, err := eventRow(e, s.dialect.encodeTime)
		if err != nil {
			return err
		}
		rows[i] = row
	}
	return s.write(ctx, events, rows)
}

// WriteSessions adds sessions and their ends, in one transaction, or returns an error as WriteEvents does. No
// session may be there twice.
func (s *Store) WriteSessions(ctx context.Context, list []*subjects.Session) error {
	rows := make([][]any, len(list))
	for i, session := range list {
		row, err := sessionRow(session, s.dialect.encodeTime)
		if err != nil {
			return err
		}
		rows[i] = row
	}
	return s.write(ctx, sessions, rows)
}

func (s *Store) write(ctx context.Context, to table, rows [][]any) error {
	err := s.dialect.write(ctx, s.db, to, rows)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("write %d rows to %s: %w", len(rows), to.name, err)
	if s.dialect.refuses(err) {
		return consumers.Permanent(err)
	}
	return err
}

// deleteAtOnce is how many rows one transaction of Delete takes.
const deleteAtOnce = 10_000

// Delete removes the events received before this time, and the sessions that ended before.
func (s *Store) Delete(ctx context.Context, before time.Time) (int64, error) {
	var total int64
	for _, query := range []string{
		`DELETE FROM events WHERE event_id IN (SELECT event_id FROM events WHERE received_at < $1 LIMIT $2)`,
		`DELETE FROM sessions WHERE session_id IN (SELECT session_id FROM sessions WHERE ended_at < $1 LIMIT $2)`,
	} {
		for {
			result, err := s.db.ExecContext(ctx, query, s.dialect.encodeTime(before), deleteAtOnce)
			if err != nil {
				return total, fmt.Errorf("delete what is old: %w", err)
			}
			n, err := result.RowsAffected()
			if err != nil {
				return total, fmt.Errorf("delete what is old: %w", err)
			}
			total += n
			if n < deleteAtOnce {
				break
			}
		}
	}
	return total, nil
}
