package analytics

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Report is what happened since a time.
type Report struct {
	Since, Until time.Time
	Events       int64
	Refused      int64
	Audience     []Step // of all streams
	Tables       []Table
}

// Step says how many watched from a time on.
type Step struct {
	At      time.Time
	Viewers int64
}

// Table is one of the report's, its cells as they are shown but not yet safe for a page or a
// terminal. Bars, where there are some, are as long as their rows' values.
type Table struct {
	Title   string
	Columns []string
	Rows    [][]string
	Bars    []float64
}

// rowsShown is how long a table is at most.
const rowsShown = 20

// instant reads a time of either database.
type instant struct{ time.Time }

// Scan implements sql.Scanner.
func (i *instant) Scan(v any) (err error) {
	switch v := v.(type) {
	case time.Time:
		i.Time = v.UTC()
	case string:
		i.Time, err = time.Parse(sqliteTime, v)
	default:
		err = fmt.Errorf("%T is no time", v)
	}
	return err
}

// Report reads what happened between since and until. All of it is of one moment of the database.
func (s *Store) Report(ctx context.Context, since, until time.Time) (*Report, error) {
	tx, err := s.db.BeginTx(ctx, s.dialect.snapshot)
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // it only reads
	r := &Report{Since: since.UTC(), Until: until.UTC()}
	q := reading{ctx, tx, s.dialect.encodeTime(since), s.dialect.encodeTime(until)}
	for _, read := range []func(reading, *Report) error{readCounts, readAudience, readStreams, readDays, readRefusals, readUptime} {
		if err := read(q, r); err != nil {
			return nil, fmt.Errorf("report: %w", err)
		}
	}
	return r, nil
}

// reading is one transaction, and the bounds as the database takes them.
type reading struct {
	ctx          context.Context
	tx           *sql.Tx
	since, until any
}

// each calls row for every row of the query. $1 and $2 are the bounds.
func (q reading) each(query string, row func(scan func(...any) error) error) error {
	rows, err := q.tx.QueryContext(q.ctx, query, q.since, q.until)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

func readCounts(q reading, r *Report) error {
	return q.each(`SELECT count(*), count(CASE WHEN effect = 'deny' THEN 1 END) FROM events WHERE received_at >= $1 AND received_at < $2`,
		func(scan func(...any) error) error { return scan(&r.Events, &r.Refused) })
}

// readAudience takes who was there before for the first step.
func readAudience(q reading, r *Report) error {
	var viewers int64
	r.Audience = []Step{{At: r.Since}}
	return q.each(`SELECT minute, CAST(sum(came) AS BIGINT), CAST(sum(went) AS BIGINT) FROM viewers_by_minute
		WHERE minute < $2 AND $1 <= $2 GROUP BY minute ORDER BY minute`,
		func(scan func(...any) error) error {
			var at instant
			var came, went int64
			if err := scan(&at, &came, &went); err != nil {
				return err
			}
			viewers += came - went
			if at.After(r.Since) {
				r.Audience = append(r.Audience, Step{at.Time, viewers})
			} else {
				r.Audience[0].Viewers = viewers
			}
			return nil
		})
}

func readStreams(q reading, r *Report) error {
	t := Table{Title: "Top streams", Columns: []string{"stream", "app", "plays", "watched", "delivered", "peak viewers"}}
	err := q.each(fmt.Sprintf(`SELECT name, app, count(CASE WHEN kind = 'play' THEN 1 END) AS plays,
			coalesce(sum(CASE WHEN kind = 'play' THEN seconds END), 0) AS watched,
			CAST(coalesce(sum(CASE WHEN kind = 'play' THEN bytes_out END), 0) AS BIGINT), coalesce(max(peak_viewers), 0)
		FROM session_times WHERE started_at >= $1 AND started_at < $2 GROUP BY name, app ORDER BY watched DESC, plays DESC, name, app LIMIT %d`, rowsShown),
		func(scan func(...any) error) error {
			var name, app string
			var plays, bytes, peak int64
			var seconds float64
			if err := scan(&name, &app, &plays, &seconds, &bytes, &peak); err != nil {
				return err
			}
			t.Rows = append(t.Rows, []string{name, app, fmt.Sprint(plays), duration(seconds), byteSize(bytes), fmt.Sprint(peak)})
			t.Bars = append(t.Bars, seconds)
			return nil
		})
	r.Tables = append(r.Tables, t)
	return err
}

func readDays(q reading, r *Report) error {
	t := Table{Title: "By day (UTC, of their beginning)", Columns: []string{"day", "plays", "watched", "received", "delivered"}}
	err := q.each(`SELECT day, count(CASE WHEN kind = 'play' THEN 1 END), coalesce(sum(CASE WHEN kind = 'play' THEN seconds END), 0),
			CAST(coalesce(sum(CASE WHEN kind = 'publish' THEN bytes_in END), 0) AS BIGINT),
			CAST(coalesce(sum(CASE WHEN kind = 'play' THEN bytes_out END), 0) AS BIGINT)
		FROM session_times WHERE ended_at IS NOT NULL AND started_at >= $1 AND started_at < $2 GROUP BY day ORDER BY day`,
		func(scan func(...any) error) error {
			var day string
			var plays, in, out int64
			var seconds float64
			if err := scan(&day, &plays, &seconds, &in, &out); err != nil {
				return err
			}
			t.Rows = append(t.Rows, []string{day, fmt.Sprint(plays), duration(seconds), byteSize(in), byteSize(out)})
			t.Bars = append(t.Bars, seconds)
			return nil
		})
	r.Tables = append(r.Tables, t)
	return err
}

func readRefusals(q reading, r *Report) error {
	t := Table{Title: "Refusals", Columns: []string{"rule", "address", "call", "refused", "last"}}
	err := q.each(fmt.Sprintf(`SELECT rule, addr, call, count(*) AS refused, max(received_at)
		FROM events WHERE effect = 'deny' AND received_at >= $1 AND received_at < $2
		GROUP BY rule, addr, call ORDER BY refused DESC, rule, addr, call LIMIT %d`, rowsShown),
		func(scan func(...any) error) error {
			var rule, addr, call string
			var refused int64
			var last instant
			if err := scan(&rule, &addr, &call, &refused, &last); err != nil {
				return err
			}
			t.Rows = append(t.Rows, []string{rule, addr, call, fmt.Sprint(refused), last.Format(time.DateTime)})
			t.Bars = append(t.Bars, float64(refused))
			return nil
		})
	r.Tables = append(r.Tables, t)
	return err
}

// readUptime shows all of a stream's life, when something of it is in the report's time.
func readUptime(q reading, r *Report) error {
	t := Table{Title: "Publish uptime, since the first publish", Columns: []string{"stream", "app", "publishes", "reconnects", "lost", "live", "uptime"}}
	err := q.each(fmt.Sprintf(`SELECT u.name, u.app, publishes, reconnects, lost, live_seconds, uptime FROM publish_uptime u
		JOIN (SELECT DISTINCT name, app FROM session_times WHERE kind = 'publish' AND started_at < $2 AND (ended_at IS NULL OR ended_at >= $1)) s
			ON s.name = u.name AND s.app = u.app
		ORDER BY uptime, u.name, u.app LIMIT %d`, rowsShown),
		func(scan func(...any) error) error {
			var name, app string
			var publishes, reconnects, lost int64
			var live, uptime float64
			if err := scan(&name, &app, &publishes, &reconnects, &lost, &live, &uptime); err != nil {
				return err
			}
			t.Rows = append(t.Rows, []string{name, app, fmt.Sprint(publishes), fmt.Sprint(reconnects), fmt.Sprint(lost), duration(live), fmt.Sprintf("%.1f %%", 100*uptime)})
			t.Bars = append(t.Bars, uptime)
			return nil
		})
	r.Tables = append(r.Tables, t)
	return err
}

func duration(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
}

func byteSize(n int64) string {
	size, unit := float64(n), 0
	for ; size >= 1000 && unit < len(units)-1; unit++ {
		size /= 1000
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", size, units[unit])
}

var units = [...]string{"B", "kB", "MB", "GB", "TB", "PB"}
