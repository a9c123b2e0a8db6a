package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// format is the value of --output.
type format struct {
	name    string
	allowed []string // the first one is the default
}

func formats(allowed ...string) *format { return &format{name: allowed[0], allowed: allowed} }

// String, Set and Type make it a flag.
func (f *format) String() string { return f.name }

// Set takes one of the allowed names.
func (f *format) Set(name string) error {
	for _, a := range f.allowed {
		if a == name {
			f.name = name
			return nil
		}
	}
	return fmt.Errorf("want %s", strings.Join(f.allowed, " or "))
}

// Type is what --help calls the value.
func (f *format) Type() string { return strings.Join(f.allowed, "|") }

// writeJSON writes v for scripts.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// failing remembers the first error of a writer, so that what prints line by line
// need not look at each.
type failing struct {
	io.Writer
	err error
}

func (f *failing) Write(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.Writer.Write(p)
	if err != nil {
		f.err = fmt.Errorf("write the result: %w", err)
	}
	return n, err
}

// terminal returns the terminal that w writes to, or nil.
func terminal(w io.Writer) *os.File {
	if out, ok := w.(*failing); ok {
		w = out.Writer
	}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// plural returns "1 event", "2 events".
func plural[N int | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// does returns what one of something does, and more of it do.
func does(n int) string {
	if n == 1 {
		return "does"
	}
	return "do"
}
