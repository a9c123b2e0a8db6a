// Package freeport gives tests ports that stay free: a server that is started late, or again,
// finds its own.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// Get returns a port of 127.0.0.1 that nobody listens on at the moment, that the kernel gives to
// no outgoing connection (from 32768 on), and that no other test gets before this one ends, in
// whatever process.
func Get(t testing.TB) int {
	t.Helper()
	const first, last, tries = 10_000, 32_000, 100
	for range tries {
		port := first + rand.N(last-first)                                 //nolint:gosec // a test port
		mine, err := net.Listen("unix", fmt.Sprintf("@freeport-%d", port)) //nolint:noctx // a name without a file, which ends with the process
		if err != nil {
			continue
		}
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)) //nolint:noctx // closed at once
		if err != nil {
			_ = mine.Close()
			continue
		}
		t.Cleanup(func() { _ = mine.Close() })
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatal("no free port")
	return 0
}

// Addr returns the address of a port that Get gives.
func Addr(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", Get(t))
}
