package bridgetest

import (
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
