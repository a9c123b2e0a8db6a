package rulestore

import (
	"strings"
	"time"

	"bintubridge/bridge/decide"

	"github.com/nats-io/nats.go/jetstream"
)

// ledger is what is known of one bucket. Every key whose newest message the
// bucket holds is in documents, invalid or gone; one that is refused and had a
// good version is in two of them.
type ledger struct {
	created time.Time // of the bucket: its identity; zero: none seen yet
	last    uint64    // the highest revision that is accounted for
	seen    message   // the newest message that came
	tail    time.Time // the bucket's time of last; zero: not known
	counted count     // the messages of the last check, or of the load

	docs    *documents        // in force
	invalid *refusals         // newest versions that were refused
	gone    map[string]uint64 // markers of deleted and expired keys, with their revisions
	bare    int               // refused, and nothing in force
	endings *endings          // of newest versions that have a TTL
}

// message identifies a message of the bucket: after the bucket went back to an
// older state, the same revision is another message, of another time.
type message struct {
	revision uint64
	time     time.Time
}

// count is how many messages the bucket had at one time.
type count struct{ last, messages uint64 }

func countOf(info *jetstream.StreamInfo) count {
	return count{last: info.State.LastSeq, messages: info.State.Msgs}
}

// removed returns how many messages went out of the bucket since another count.
func (c count) removed(since count) int {
	return int(c.last-since.last) - int(c.messages) + int(since.messages)
}

// newLedger makes room for about as many keys as are expected.
func newLedger(expected int) *ledger {
	return &ledger{docs: newDocuments(expected), invalid: newRefusals(), gone: map[string]uint64{}, endings: newEndings()}
}

// keys returns how many keys the bucket holds a message of.
func (l *ledger) keys() int { return l.docs.count() + l.bare + len(l.gone) }

// reaches notes that all messages came that the bucket had at the time of info:
// the newest may be gone.
func (l *ledger) reaches(info *jetstream.StreamInfo) {
	if last := info.State.LastSeq; last >= l.last {
		l.last, l.tail = last, info.State.LastTime
	}
}

// knows reports whether the bucket holds a message of the key.
func (l *ledger) knows(key string) bool {
	_, gone := l.gone[key]
	return gone || l.invalid.has(key) || !l.docs.get(key).none()
}

// version is a message of the bucket, or of the snapshot.
type version struct {
	key     string
	data    []byte
	removed bool          // a marker
	ttl     time.Duration // 0: none
	rollup  bool          // it has deleted all others
	message
}

// verdict is a version with what came of compiling it.
type verdict struct {
	version
	doc *decide.Document // nil: removed, or refused
	err error            // why it was refused
}

// judge compiles a version. Known is where a document of the same bytes may be
// found compiled already.
func judge(v version, known *documents) verdict {
	if v.removed {
		return verdict{version: v}
	}
	if err := checkKey(v.key); err != nil {
		return verdict{version: v, err: err}
	}
	if k := known.get(v.key); k.compiled != nil && k.source == string(v.data) {
		return verdict{version: v, doc: k.compiled}
	}
	doc, err := decide.Compile(v.key, v.data)
	return verdict{version: v, doc: doc, err: err}
}

// apply takes one message of the bucket. It returns what was in force for its key
// before, and what is now. A refused one changes nothing.
func (l *ledger) apply(v verdict) (old, now record) {
	if v.revision > l.last || v.revision == l.last && l.seen.revision < l.last {
		l.last, l.seen, l.tail = v.revision, v.message, v.time
	}
	old = l.docs.get(v.key)
	if old.none() && l.invalid.has(v.key) {
		l.bare--
	}
	delete(l.gone, v.key)
	l.endings.remove(v.key)
	if v.ttl > 0 && !v.removed && checkKey(v.key) == nil { // a wildcard would ask for others
		l.endings.set(v.key, ending{revision: v.revision, at: v.time.Add(v.ttl)})
	}
	if v.err != nil {
		l.refuse(v)
		return old, old
	}
	l.invalid.remove(v.key)
	if v.removed {
		l.docs.remove(v.key)
		l.gone[v.key] = v.revision
		return old, record{}
	}
	l.docs.put(v.doc, v.revision)
	return old, recordOf(v.doc, v.revision)
}

func (l *ledger) refuse(v verdict) {
	last := l.docs.get(v.key)
	l.invalid.add(InvalidDocument{Key: v.key, Revision: v.revision, InForce: last.revision, Err: v.err.Error()})
	if last.none() {
		l.bare++
	}
}

// fallBack puts an older good version of a refused document in force.
func (l *ledger) fallBack(r record) {
	l.docs.put(r.document(), r.revision)
	l.bare--
	bad := l.invalid.all[r.key]
	bad.InForce = r.revision
	l.invalid.add(bad)
}

// checkKey refuses what the KV API would refuse and a plain publish to the
// bucket's subjects can store all the same. A key stands in every decision and
// is asked for again by name, where a wildcard would mean others.
func checkKey(key string) error {
	const others = "-/_=."
	for i := range len(key) {
		if !isAlphanumeric(key[i]) && strings.IndexByte(others, key[i]) < 0 {
			return &decide.RuleError{Document: key, Field: "key", Value: "a byte that no key has", Want: "A-Z a-z 0-9 - / _ = ."}
		}
	}
	return nil
}

// validBucket reports whether NATS takes the name for a bucket.
func validBucket(name string) bool {
	for i := range len(name) {
		if !isAlphanumeric(name[i]) && name[i] != '_' && name[i] != '-' {
			return false
		}
	}
	return name != ""
}

func isAlphanumeric(b byte) bool {
	return '0' <= b && b <= '9' || 'A' <= b && b <= 'Z' || 'a' <= b && b <= 'z'
}
