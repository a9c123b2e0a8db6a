package analytics

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"
)

//go:embed report.html
var page string

// The plot of the audience, in the units of its viewBox.
const (
	plotWidth  = 800
	plotHeight = 200
	maxPoints  = 2000 // of the plot; more are not seen
)

// WriteHTML writes the report as a page that needs nothing else.
func (r *Report) WriteHTML(w io.Writer) error {
	t, err := template.New("report").Funcs(template.FuncMap{
		"escaped": escaped,
		"at":      func(t time.Time) string { return t.Format(time.DateTime) },
		"length":  func(t Table, i int) string { return fmt.Sprintf("%.1f", 100*t.Bars[i]/max(slices.Max(t.Bars), 1e-9)) },
	}).Parse(page)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return t.Execute(w, struct {
		*Report
		Peak          int64
		Width, Height int
		Line          string
	}{r, r.peak(), plotWidth, plotHeight, r.line()})
}

// line is the audience as the points of a polyline: a step at each change.
func (r *Report) line() string {
	var b strings.Builder
	last := r.thin()
	y := func(s Step) float64 { return plotHeight - plotHeight*float64(s.Viewers)/float64(max(r.peak(), 1)) }
	for i, s := range last {
		x := plotWidth * float64(s.At.Sub(r.Since)) / float64(max(r.Until.Sub(r.Since), 1))
		if i > 0 {
			fmt.Fprintf(&b, "%.1f,%.1f ", x, y(last[i-1]))
		}
		fmt.Fprintf(&b, "%.1f,%.1f ", x, y(s))
	}
	fmt.Fprintf(&b, "%d,%.1f", plotWidth, y(last[len(last)-1]))
	return b.String()
}

// thin keeps of neighbours the one with most viewers.
func (r *Report) thin() []Step {
	every := len(r.Audience)/maxPoints + 1
	var kept []Step
	for part := range slices.Chunk(r.Audience, every) {
		kept = append(kept, slices.MaxFunc(part, func(a, b Step) int { return int(a.Viewers - b.Viewers) }))
	}
	return kept
}
