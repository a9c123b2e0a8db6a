package analytics

import (
	"fmt"
	"time"
)

// Table is one of the report's for people, its cells as they are shown but not yet safe for a page or a
// terminal. Bars are as long as their rows' values.
type Table struct {
	Title   string
	Columns []string
	Rows    [][]string
	Bars    []float64
}

func (t *Table) add(bar float64, cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = fmt.Sprint(c)
	}
	t.Rows, t.Bars = append(t.Rows, row), append(t.Bars, bar)
}

// Tables returns the lists of the report. The template of the page calls it.
func (r *Report) Tables() []Table {
	streams := Table{Title: "Top streams", Columns: []string{"stream", "app", "plays", "watched", "delivered", "peak viewers"}}
	for _, s := range r.Streams {
		streams.add(s.WatchedSeconds, s.Name, s.App, s.Plays, duration(s.WatchedSeconds), byteSize(s.DeliveredBytes), s.PeakViewers)
	}
	days := Table{Title: "By day (UTC, of their beginning)", Columns: []string{"day", "plays", "watched", "received", "delivered"}}
	for _, d := range r.Days {
		days.add(d.WatchedSeconds, d.Day, d.Plays, duration(d.WatchedSeconds), byteSize(d.ReceivedBytes), byteSize(d.DeliveredBytes))
	}
	refusals := Table{Title: "Refusals", Columns: []string{"rule", "address", "call", "refused", "last"}}
	for _, f := range r.Refusals {
		refusals.add(float64(f.Refused), f.Rule, f.Addr, f.Call, f.Refused, f.Last.Format(time.DateTime))
	}
	uptime := Table{Title: "Publish uptime, since the first publish", Columns: []string{"stream", "app", "publishes", "reconnects", "lost", "live", "uptime"}}
	for _, u := range r.Uptime {
		uptime.add(u.Uptime, u.Name, u.App, u.Publishes, u.Reconnects, u.Lost, duration(u.LiveSeconds), fmt.Sprintf("%.1f %%", 100*u.Uptime))
	}
	return []Table{streams, days, refusals, uptime}
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
