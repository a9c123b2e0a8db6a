package bridge

import (
	"fmt"
	"io"
	"log/slog"
	"unicode"
	"unicode/utf8"
)

// NewLog returns the log the configuration asks for. Whatever it is told of, a line
// stays one line, and a terminal that shows it is given no orders.
func NewLog(cfg Config, w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == LogJSON {
		return slog.New(slog.NewJSONHandler(printable{w}, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts)) // quotes what cannot be printed
}

// printable writes JSON with escapes for what slog lets through and terminals act on:
// DEL, the control characters beyond ASCII, marks that turn the direction of text.
type printable struct{ io.Writer }

// Write takes whole lines, as slog writes them.
func (p printable) Write(line []byte) (int, error) {
	var escaped []byte
	done := 0 // bytes of line that are in escaped
	for i := 0; i < len(line); {
		r, size := utf8.DecodeRune(line[i:])
		if (r == '\n' || unicode.IsPrint(r)) && r != utf8.RuneError {
			i += size
			continue
		}
		escaped = append(escaped, line[done:i]...)
		if r > 0xFFFF {
			r = utf8.RuneError // would need two escapes, for no use
		}
		escaped = fmt.Appendf(escaped, `\u%04x`, r)
		i += size
		done = i
	}
	if escaped == nil {
		return p.Writer.Write(line)
	}
	if _, err := p.Writer.Write(append(escaped, line[done:]...)); err != nil {
		return 0, err
	}
	return len(line), nil
}
