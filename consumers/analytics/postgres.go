package analytics

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

func postgresConfig(dsn string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("%w: it is no postgres:// URL that can be read", ErrDSN) // err quotes it
	}
	return config, nil
}

func openPostgres(dsn string) (*Store, error) {
	config, err := postgresConfig(dsn)
	if err != nil {
		return nil, err
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxIdleConns(postgresWorkers + 2)
	return &Store{db, dialect{
		migrations: "postgres",
		lock:       `SELECT pg_advisory_xact_lock(hashtext('bintubridge/analytics'))`,
		snapshot:   &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true},
		encodeTime: func(t time.Time) any { return t },
		write:      writePostgres,
		refuses:    postgresRefuses,
		busy:       func(error) bool { return false }, // the lock waits
	}}, nil
}

// connectTimeout is how long a connection may take.
const connectTimeout = 5 * time.Second

// writePostgres copies the rows to a table of the connection, and from there what is new.
func writePostgres(ctx context.Context, db *sql.DB, to table, rows [][]any) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	err = conn.Raw(func(driver any) error {
		return pgx.BeginFunc(ctx, driver.(*stdlib.Conn).Conn(), func(tx pgx.Tx) error { return copyRows(ctx, tx, to, rows) })
	})
	return errors.Join(err, conn.Close())
}

func copyRows(ctx context.Context, tx pgx.Tx, to table, rows [][]any) error {
	incoming := "incoming_" + to.name
	if _, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL client_min_messages = warning; CREATE TEMP TABLE IF NOT EXISTS %s (LIKE %s) ON COMMIT DELETE ROWS", incoming, to.name)); err != nil {
		return err
	}
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"pg_temp", incoming}, to.columns, pgx.CopyFromRows(rows)); err != nil {
		return err
	}
	columns := strings.Join(to.columns, ", ")
	_, err := tx.Exec(ctx, fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM pg_temp.%s %s", to.name, columns, columns, incoming, to.conflict))
	return err
}

// postgresRefuses tells by the class of the error: data exception, integrity constraint
// violation, program limit exceeded.
func postgresRefuses(err error) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) || len(e.Code) != 5 {
		return false
	}
	switch e.Code[:2] {
	case "22", "23", "54":
		return true
	}
	return false
}
