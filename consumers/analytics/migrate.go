package analytics

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

//go:embed migrations
var migrations embed.FS

// ErrNewer says that a later version of this program has changed the database.
var ErrNewer = errors.New("the database is of a later version of this program")

// Migrate brings the schema to this version, each step in a transaction of its own. Several
// processes may do it at the same time.
func (s *Store) Migrate(ctx context.Context) error {
	steps, err := s.dialect.steps()
	if err != nil {
		return err
	}
	return migrate(ctx, s, steps)
}

// steps returns the migrations in order: those of the dialect and those of all, by file name.
// The nth brings the schema to version n.
func (d dialect) steps() ([]string, error) {
	var files []string
	for _, pattern := range []string{"migrations/*.sql", path.Join("migrations", d.migrations, "*.sql")} {
		list, err := fs.Glob(migrations, pattern)
		if err != nil {
			return nil, fmt.Errorf("migrations: %w", err)
		}
		files = append(files, list...)
	}
	slices.SortFunc(files, func(a, b string) int { return strings.Compare(path.Base(a), path.Base(b)) })
	steps := make([]string, 0, len(files))
	for _, file := range files {
		text, err := migrations.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("migrations: %w", err)
		}
		steps = append(steps, string(text))
	}
	return steps, nil
}

// How long a step waits for other processes that prepare the database, and how often it tries.
const (
	busyAtMost = 10 * time.Second
	busyEvery  = 20 * time.Millisecond
)

func migrate(ctx context.Context, s *Store, steps []string) error {
	limit := time.Now().Add(busyAtMost)
	for {
		done, err := s.step(ctx, steps)
		if s.dialect.busy(err) && time.Now().Before(limit) {
			pause(ctx, busyEvery)
			continue
		}
		if err != nil {
			return fmt.Errorf("schema: %w", err)
		}
		if done {
			return nil
		}
	}
}

// step does the next migration, and reports whether there is none.
func (s *Store) step(ctx context.Context, steps []string) (done bool, err error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	version, err := s.version(ctx, tx)
	switch {
	case err != nil:
		return false, err
	case version > len(steps):
		return false, fmt.Errorf("%w: schema %d, known are %d", ErrNewer, version, len(steps))
	case version == len(steps):
		return true, nil
	}
	if _, err := tx.ExecContext(ctx, steps[version]); err != nil {
		return false, fmt.Errorf("to version %d: %w", version+1, err)
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO schema_version (version) VALUES ($1)`, version+1); err != nil {
		return false, err
	}
	return false, tx.Commit()
}

// version locks out others until tx ends, and returns the version of the schema.
func (s *Store) version(ctx context.Context, tx *sql.Tx) (int, error) {
	if s.dialect.lock != "" {
		if _, err := tx.ExecContext(ctx, s.dialect.lock); err != nil {
			return 0, err
		}
	}
	if _, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY)`); err != nil {
		return 0, err
	}
	var version int
	err := tx.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM schema_version`).Scan(&version)
	return version, err
}
