package analytics

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// maxCell is how much of a cell a terminal shows, in runes.
const maxCell = 48

// WriteText writes the report for a terminal.
func (r *Report) WriteText(w io.Writer) error {
	out := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(out, "%s to %s UTC: %d events, %d refused, %d viewers at the end of a minute at most\n",
		r.Since.Format(time.DateTime), r.Until.Format(time.DateTime), r.Events, r.Refused, r.peak())
	for _, t := range r.Tables() {
		fmt.Fprintf(out, "\n%s\n", t.Title)
		if len(t.Rows) == 0 {
			fmt.Fprintln(out, "  none")
			continue
		}
		writeRow(out, t.Columns)
		for _, row := range t.Rows {
			writeRow(out, row)
		}
	}
	return out.Flush()
}

func writeRow(w io.Writer, cells []string) {
	safe := make([]string, len(cells))
	for i, c := range cells {
		safe[i] = printable(c)
	}
	fmt.Fprintln(w, "  "+strings.Join(safe, "\t"))
}

// printable makes a publisher's text harmless for a terminal, and short.
func printable(s string) string {
	if s == "" {
		return "-"
	}
	if runes := []rune(s); len(runes) > maxCell {
		s = string(runes[:maxCell-1]) + "…"
	}
	return escaped(s)
}

// escaped writes what is not printable, and the backslash, as Go does: \x1b, \n, \\.
func escaped(s string) string {
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

func (r *Report) peak() (most int64) {
	for _, step := range r.Audience {
		most = max(most, step.Viewers)
	}
	return most
}
