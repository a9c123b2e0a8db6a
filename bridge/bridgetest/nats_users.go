package bridgetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// User is a user of a NATS server with nothing but what is listed, in subjects. Its
// password is its name.
type User struct {
	Name      string
	Publish   []string
	Subscribe []string
}

// StartNATSFor returns a running server for users. Clients without a user, as those
// that NATS itself makes, may do anything.
func StartNATSFor(t testing.TB, users ...User) *NATS {
	t.Helper()
	const anything = "anything"
	n := newNATS(t)
	n.log = &violations{}
	n.opts.NoAuthUser = anything
	n.opts.Users = []*server.User{{Username: anything, Password: anything}}
	for _, u := range users {
		n.opts.Users = append(n.opts.Users, &server.User{Username: u.Name, Password: u.Name, Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: u.Publish}, Subscribe: &server.SubjectPermission{Allow: u.Subscribe},
		}})
	}
	n.Start()
	t.Cleanup(n.Stop)
	return n
}

// Violations returns what a server for users has logged of what they may not do.
func (n *NATS) Violations() []string {
	n.log.mu.Lock()
	defer n.log.mu.Unlock()
	return slices.Clone(n.log.lines)
}

// violations is a server's log, of which it keeps these.
type violations struct {
	mu    sync.Mutex
	lines []string
}

// Errorf implements server.Logger.
func (v *violations) Errorf(format string, args ...any) {
	if line := fmt.Sprintf(format, args...); strings.Contains(line, " Violation - ") {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.lines = append(v.lines, line)
	}
}

// Noticef, Warnf, Fatalf, Debugf and Tracef keep nothing.
func (*violations) Noticef(string, ...any) {}
func (*violations) Warnf(string, ...any)   {}
func (*violations) Fatalf(string, ...any)  {}
func (*violations) Debugf(string, ...any)  {}
func (*violations) Tracef(string, ...any)  {}
