package freeport_test

import (
	"net"
	"strconv"
	"testing"

	"bintubridge/bridge/bridgetest/freeport"
)

// A port is nobody else's while its test runs, though nobody listens on it.
func TestGet(t *testing.T) {
	const ports = 2000 // so many that chance alone would give some of them twice
	seen := map[int]bool{}
	t.Run("held", func(t *testing.T) {
		for range ports {
			port := freeport.Get(t)
			if seen[port] || port >= 32768 {
				t.Fatalf("port %d, of which the kernel or a test may have another opinion", port)
			}
			seen[port] = true
		}
		ln, err := net.Listen("tcp", freeport.Addr(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
	})
	for port := range seen { // given back with the end of that test
		mine, err := net.Listen("unix", "@freeport-"+strconv.Itoa(port))
		if err != nil {
			t.Fatal(err)
		}
		if err := mine.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
