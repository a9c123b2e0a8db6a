package embed_test

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"bintubridge/bridge/bridgetest"
	"bintubridge/bridge/embed"
)

// The pauses between attempts grow to half a minute and no further, and are short
// again after half a minute without need.
func TestAttemptsAreSpaced(t *testing.T) {
	sick := errors.New("sick")
	phases := []struct {
		what     string
		until    int // second since the start
		look     error
		attempts []int // at these seconds
	}{
		{"healthy", 10, nil, nil},
		{"sick", 140, sick, []int{11, 12, 14, 18, 26, 42, 72, 102, 132}},
		{"healthy, but not for half a minute since an attempt was due", 180, nil, nil},
		{"sick soon after", 220, sick, []int{181, 211}},
		{"healthy for long", 300, nil, nil},
		{"sick long after", 305, sick, []int{301, 302, 304}},
	}
	got := make([][]int, len(phases))
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 305*time.Second+time.Millisecond)
		defer cancel()
		second, phase := 0, 0
		embed.Keep(ctx, func() error {
			second = int(time.Since(begin) / time.Second)
			for second > phases[phase].until {
				phase++
			}
			return phases[phase].look
		}, func(why error) {
			if !errors.Is(why, sick) {
				t.Errorf("the reason is %v", why)
			}
			got[phase] = append(got[phase], second)
		})
	})
	for i, p := range phases {
		if !slices.Equal(got[i], p.attempts) {
			t.Errorf("%s: attempts at seconds %v, want %v", p.what, got[i], p.attempts)
		}
	}
}

// down returns a server that has ended and cannot start again, because another
// program has its port.
func down(t *testing.T) (*embed.Server, net.Listener) {
	t.Helper()
	s := start(t, options(t))
	if err := os.Mkdir(s.WriteCheck(), 0o700); err != nil { // in the way of the file
		t.Fatal(err)
	}
	s.Crash()
	waitForTrouble(t, s, "is a directory")
	ln, err := net.Listen("tcp", strings.TrimPrefix(s.ClientURL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	if err := os.Remove(s.WriteCheck()); err != nil {
		t.Fatal(err)
	}
	waitForTrouble(t, s, "address already in use")
	return s, ln
}

func waitForTrouble(t *testing.T, s *embed.Server, text string) {
	t.Helper()
	bridgetest.Eventually(t, "trouble: "+text, func() bool { return strings.Contains(s.Status().Trouble, text) })
}

func TestServerComesBackWhenItsPortIsFree(t *testing.T) {
	s, ln := down(t)
	opts := append(s.ConnectOptions(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.RetryOnFailedConnect(true))
	nc, err := connect(t, s.ClientURL(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	if st := s.Status(); st.Restarts != 0 || nc.IsConnected() {
		t.Errorf("%+v, connected: %t", st, nc.IsConnected())
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	bridgetest.Eventually(t, "it runs again, and its client is there", func() bool {
		return s.Status() == embed.Status{Restarts: 1} && nc.IsConnected()
	})
	if _, err := connect(t, s.ClientURL()); err != nil {
		t.Errorf("over the network: %v", err)
	}
}

func TestCloseWhileNoServerRuns(t *testing.T) {
	s, _ := down(t)
	s.Close()
	if _, err := s.InProcessConn(); err == nil {
		t.Error("a connection to nothing")
	}
}
