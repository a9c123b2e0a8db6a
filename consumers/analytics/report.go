package analytics

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Report is what happened since a time. Its lists have rowsShown rows at most. Of publishers' text nothing
// is made safe for a page or a terminal.
type Report struct {
	Since    time.Time    `json:"since"`
	Until    time.Time    `json:"until"`
	Events   int64        `json:"events"`
	Refused  int64        `json:"refused"`
	Audience []Step       `json:"audience"` // of all streams
	Streams  []StreamRow  `json:"streams"`  // those watched longest
	Days     []DayRow     `json:"days"`
	Refusals []RefusalRow `json:"refusals"` // the most frequent
	Uptime   []UptimeRow  `json:"uptime"`   // of those that publish, the worst first
}

// Step says how many watched from a time on.
type Step struct {
	At      time.Time `json:"at"`
	Viewers int64     `json:"viewers"`
}

// StreamRow is what was watched of a stream.
type StreamRow struct {
	Name           string  `json:"name"`
	App            string  `json:"app"`
	Plays          int64   `json:"plays"`
	WatchedSeconds float64 `json:"watched_seconds"`
	DeliveredBytes int64   `json:"delivered_bytes"`
	PeakViewers    int64   `json:"peak_viewers"`
}

// DayRow is what ended sessions came to that began on a day, of UTC.
type DayRow struct {
	Day            string  `json:"day"` // 2026-11-23
	Plays          int64   `json:"plays"`
	WatchedSeconds float64 `json:"watched_seconds"`
	ReceivedBytes  int64   `json:"received_bytes"`
	DeliveredBytes int64   `json:"delivered_bytes"`
}

// RefusalRow is what a rule refused to an address.
type RefusalRow struct {
	Rule    string    `json:"rule"` // "" is the default
	Addr    string    `json:"addr"`
	Call    string    `json:"call"`
	Refused int64     `json:"refused"`
	Last    time.Time `json:"last"`
}

// UptimeRow is all of a stream's life.
type UptimeRow struct {
	Name        string  `json:"name"`
	App         string  `json:"app"`
	Publishes   int64   `json:"publishes"`
	Reconnects  int64   `json:"reconnects"`
	Lost        int64   `json:"lost"`
	LiveSeconds float64 `json:"live_seconds"`
	Uptime      float64 `json:"uptime"` // 0 to 1
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
	r := &Report{
		Since: since.UTC(), Until: until.UTC(),
		Streams: []StreamRow{}, Days: []DayRow{}, Refusals: []RefusalRow{}, Uptime: []UptimeRow{},
	}
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
	return q.each(fmt.Sprintf(`SELECT name, app, count(CASE WHEN kind = 'play' THEN 1 END) AS plays,
			coalesce(sum(CASE WHEN kind = 'play' THEN seconds END), 0) AS watched,
			CAST(coalesce(sum(CASE WHEN kind = 'play' THEN bytes_out END), 0) AS BIGINT), coalesce(max(peak_viewers), 0)
		FROM session_times WHERE started_at >= $1 AND started_at < $2 GROUP BY name, app ORDER BY watched DESC, plays DESC, name, app LIMIT %d`, rowsShown),
		func(scan func(...any) error) error {
			var row StreamRow
			err := scan(&row.Name, &row.App, &row.Plays, &row.WatchedSeconds, &row.DeliveredBytes, &row.PeakViewers)
			r.Streams = append(r.Streams, row)
			return err
		})
}

func readDays(q reading, r *Report) error {
	return q.each(`SELECT day, count(CASE WHEN kind = 'play' THEN 1 END), coalesce(sum(CASE WHEN kind = 'play' THEN seconds END), 0),
			CAST(coalesce(sum(CASE WHEN kind = 'publish' THEN bytes_in END), 0) AS BIGINT),
			CAST(coalesce(sum(CASE WHEN kind = 'play' THEN bytes_out END), 0) AS BIGINT)
		FROM session_times WHERE ended_at IS NOT NULL AND started_at >= $1 AND started_at < $2 GROUP BY day ORDER BY day`,
		func(scan func(...any) error) error {
			var row DayRow
			err := scan(&row.Day, &row.Plays, &row.WatchedSeconds, &row.ReceivedBytes, &row.DeliveredBytes)
			r.Days = append(r.Days, row)
			return err
		})
}

func readRefusals(q reading, r *Report) error {
	return q.each(fmt.Sprintf(`SELECT rule, addr, call, count(*) AS refused, max(received_at)
		FROM events WHERE effect = 'deny' AND received_at >= $1 AND received_at < $2
		GROUP BY rule, addr, call ORDER BY refused DESC, rule, addr, call LIMIT %d`, rowsShown),
		func(scan func(...any) error) error {
			var row RefusalRow
			var last instant
			err := scan(&row.Rule, &row.Addr, &row.Call, &row.Refused, &last)
			row.Last = last.Time
			r.Refusals = append(r.Refusals, row)
			return err
		})
}

// readUptime shows all of a stream's life, when something of it is in the report's time.
func readUptime(q reading, r *Report) error {
	return q.each(fmt.Sprintf(`SELECT u.name, u.app, publishes, reconnects, lost, live_seconds, uptime FROM publish_uptime u
		JOIN (SELECT DISTINCT name, app FROM session_times WHERE kind = 'publish' AND started_at < $2 AND (ended_at IS NULL OR ended_at >= $1)) s
			ON s.name = u.name AND s.app = u.app
		ORDER BY uptime, u.name, u.app LIMIT %d`, rowsShown),
		func(scan func(...any) error) error {
			var row UptimeRow
			err := scan(&row.Name, &row.App, &row.Publishes, &row.Reconnects, &row.Lost, &row.LiveSeconds, &row.Uptime)
			r.Uptime = append(r.Uptime, row)
			return err
		})
}
