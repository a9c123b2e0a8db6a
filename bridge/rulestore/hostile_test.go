package rulestore

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// hostile are documents that a bridge refuses, and what it says of each: the rule and
// field where there is one, what stood there and what is wanted.
var hostile = []struct{ text, says string }{
	{"\x00\xff garbage", "text that is not UTF-8"},
	{strings.Repeat("[", 64<<10), "no JSON"},
	{`{"rules":[{"id":"r","effect":"allow","title":["x"]}]}`, `rule "r", field "title": got an unknown field, want`},
	{`{"rules":[{"id":"r","effect":"allow","name":"x"}]}`, `rule "r", field "name": got`},
	{`{"rules":[{"id":"r","effect":"allow"},{"id":"r","effect":"deny"}]}`, `field "id": got "r", want`},
	{`{"rules":[{"id":"r","effect":"allow","addr":["10.0.0.0/33"]}]}`, `rule "r", field "addr[0]": got "10.0.0.0/33", want`},
	{`{"rules":[{"id":"r","effect":"allow","name":["` + strings.Repeat("*a", 2000) + `"]}]}`, `rule "r", field "name[0]": got`},
	{`{"rules":[{"id":"r","effect":"allow","priority":1e99}]}`, `rule "r", field "priority": got 1e99, want`},
	{`{"rules":[{"id":"r","effect":"allow","when":"custom.all(a, custom.all(b, a == b || custom[a] != custom[b]))"}]}`, `rule "r", field "when": got an expression that may cost`},
	{`{"rules":[{"id":"r","effect":"allow","when":"1/0 == 1"}]}`, `rule "r", field "when": got "always fails: division by zero" at line 1, column 2, want`},
}

// Of a bucket one document in ten is refused, each with what is wrong with it. The
// others are in force, and remain so while such documents come each millisecond and
// oftener: as quickly as the server takes them.
func TestHostileBucket(t *testing.T) {
	const documents, invalid = 1000, 100
	f := &fixture{t: t, nats: startNATS(t), log: &logBuffer{}, ctx: t.Context()}
	_, f.js = f.nats.connect()
	f.create(defaultBucket())
	for i := range documents {
		text := allow(fmt.Sprint("cam-", i))
		if i%(documents/invalid) == 0 {
			text = hostile[i/(documents/invalid)%len(hostile)].text
		}
		f.putAsync(fmt.Sprintf("team-%04d", i), text)
	}
	f.flush()
	f.open(quick(t))
	f.follow()
	f.others(documents, invalid)
	status := f.store.Status()
	if status.InvalidCount != invalid || status.Documents != documents-invalid {
		t.Errorf("%d refused, %d in force", status.InvalidCount, status.Documents)
	}
	for i, d := range status.Invalid {
		if want := hostile[i%len(hostile)].says; !strings.HasPrefix(d.Err, fmt.Sprintf("document %q", d.Key)) || !strings.Contains(d.Err, want) || !strings.Contains(d.Err, ", want ") {
			t.Errorf("%s\nwant %s", d.Err, want)
		}
	}

	const pushes = 2000
	for i := range pushes {
		f.putAsync("team-0001", hostile[i%len(hostile)].text)
		f.putAsync("busy", allow(fmt.Sprint("busy-", i)))
	}
	f.flush()
	f.wait(fmt.Sprint("busy-", pushes-1), true)
	f.others(documents, invalid)
	if status := f.store.Status(); status.InvalidCount != invalid+1 {
		t.Errorf("%d refused", status.InvalidCount)
	}
}

// others wants all good documents in force, of which none is the first.
func (f *fixture) others(documents, invalid int) {
	f.t.Helper()
	for i := range documents {
		if want := i%(documents/invalid) != 0; allowed(f.store, fmt.Sprint("cam-", i)) != want {
			f.t.Fatalf("cam-%d is allowed: %v", i, !want)
		}
	}
}

func (f *fixture) putAsync(key, text string) {
	f.t.Helper()
	if _, err := f.js.PublishAsync("$KV.rules."+key, []byte(text), jetstream.WithStallWait(patience)); err != nil {
		f.t.Fatal(err)
	}
}

// flush waits until the server has all that was put.
func (f *fixture) flush() {
	f.t.Helper()
	eventually(f.t, "pushes are stored", func() bool { return f.js.PublishAsyncPending() == 0 })
}
