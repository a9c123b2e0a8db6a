//go:build !linux

package spool

// Sync is fsync(2).
func (f osFile) Sync() error { return f.File.Sync() }

// Allocate reserves nothing: a segment grows as it is written.
func (osFile) Allocate(int64) error { return nil }
