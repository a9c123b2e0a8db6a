package analytics

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite" // registers the driver
	sqlite3 "modernc.org/sqlite/lib"
)

// sqliteTime sorts as text.
const sqliteTime = "2006-01-02T15:04:05.000000Z"

// ErrNoDatabase says that there is no file where OpenExisting is to find one.
var ErrNoDatabase = errors.New("there is no database")

func openSQLite(path string, create bool) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDSN, err)
	}
	if create {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	} else if _, err = os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w at %s", ErrNoDatabase, path)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDSN, err)
	}
	// A commit is on the disk before its messages are acked.
	file := url.URL{Scheme: "file", Path: path, RawQuery: "_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"}
	db, err := sql.Open("sqlite", file.String())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDSN, err)
	}
	db.SetMaxOpenConns(1) // it has one writer at a time anyway
	return &Store{db, dialect{
		migrations: "sqlite",
		snapshot:   &sql.TxOptions{ReadOnly: true},
		encodeTime: func(t time.Time) any { return t.UTC().Format(sqliteTime) },
		write:      writeSQLite,
		refuses:    sqliteRefuses,
		busy:       sqliteBusy,
	}}, nil
}

func writeSQLite(ctx context.Context, db *sql.DB, to table, rows [][]any) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	values := strings.TrimSuffix(strings.Repeat("?,", len(to.columns)), ",")
	insert, err := tx.PrepareContext(ctx, fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s) %s", to.name, strings.Join(to.columns, ", "), values, to.conflict)) //nolint:gosec // our own words
	if err != nil {
		return err
	}
	defer insert.Close()
	for _, row := range rows {
		if _, err := insert.ExecContext(ctx, row...); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func sqliteRefuses(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff { // the rest says more of the same
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH:
		return true
	}
	return false
}

// sqliteBusy is of the change to WAL, too, for which no busy_timeout waits.
func sqliteBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}
