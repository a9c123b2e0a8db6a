package consumerstest

import (
	"strings"

	"bintubridge/subjects"

	"github.com/nats-io/nats.go"
)

// Large is text that makes an event one of a megabyte, just under the server's limit of a message.
var Large = strings.Repeat("x", 1_040_000)

// PublishBad stores on the subject what no consumer of this version can read, and returns how many:
// broken JSON, JSON of another kind, none of an id, and one of a later version.
func (k *Kit) PublishBad(subject string) int {
	k.t.Helper()
	later := nats.Header{subjects.HeaderSpecVersion: {"2.0"}, subjects.HeaderID: {"later"}}
	bodies := []string{"{", `[1]`, `{}`}
	for _, body := range bodies {
		k.PublishRaw(subject, nil, []byte(body))
	}
	k.PublishRaw(subject, later, []byte(`{"id":"later","name":"n"}`))
	return len(bodies) + 1
}
