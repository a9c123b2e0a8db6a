package rulestore

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"pgregory.net/rapid"
)

// The first look is at the version that ends first, of those that are there, and the
// queue stays as long as they are many.
func TestEndings(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	rapid.Check(t, func(t *rapid.T) {
		e, want, revision := newEndings(), map[string]look{}, uint64(0)
		key := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})
		at := rapid.Custom(func(t *rapid.T) time.Time { return start.Add(time.Duration(rapid.IntRange(0, 50).Draw(t, "at"))) })
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				k, at := key.Draw(t, "key"), at.Draw(t, "end")
				revision++
				e.set(k, ending{revision: revision, at: at})
				want[k] = look{at: at, key: k, revision: revision}
			},
			"remove": func(t *rapid.T) {
				k := key.Draw(t, "key")
				e.remove(k)
				delete(want, k)
			},
			"again": func(t *rapid.T) {
				l, ok := e.first()
				if !ok {
					t.Skip("nothing ends")
				}
				l.at = at.Draw(t, "later")
				e.again(l.at)
				want[l.key] = l
			},
			"": func(t *rapid.T) {
				got, ok := e.first()
				if ok != (len(want) > 0) {
					t.Fatalf("first: %v with %d there", ok, len(want))
				}
				for _, l := range want {
					if l.at.Before(got.at) || l.key == got.key && l != got {
						t.Fatalf("first is %+v, %+v is there", got, l)
					}
				}
			},
		})
	})
}

func TestEndingsAreBounded(t *testing.T) {
	e := newEndings()
	for i := range 10_000 {
		e.set("acme", ending{revision: uint64(i), at: time.Unix(int64(i), 0)})
	}
	if l, ok := e.first(); !ok || l.revision != 9_999 {
		t.Errorf("first is %+v", l)
	}
	if len(e.queue) > 100 {
		t.Errorf("%d looks at one version", len(e.queue))
	}
}

// askedServer says which revision of a key is the newest.
type askedServer struct {
	jetstream.Stream
	newest uint64
	err    error
	asked  int
}

func (s *askedServer) GetLastMsgForSubject(context.Context, string) (*jetstream.RawStreamMsg, error) {
	s.asked++
	return &jetstream.RawStreamMsg{Sequence: s.newest}, s.err
}

func TestAskingForEndings(t *testing.T) {
	tests := []struct {
		name   string
		ends   time.Duration // from now, by the bridge's clock
		ahead  time.Duration // the server's clock
		newest uint64        // revision in the bucket; the one that ends is 7
		err    error
		asked  int
		want   error
	}{
		{"not over", time.Hour, 0, 7, nil, 0, nil},
		{"just over", -endingGrace / 4, 0, 7, nil, 0, nil},
		{"over, and not removed yet", -time.Minute, 0, 7, nil, 1, nil},
		{"over, and replaced", -time.Minute, 0, 8, nil, 1, nil},
		{"over, an older version is there", -time.Minute, 0, 6, nil, 1, errVanished},
		{"over, nothing is there", -time.Minute, 0, 0, jetstream.ErrMsgNotFound, 1, errVanished},
		{"over, no answer", -time.Minute, 0, 0, context.DeadlineExceeded, 1, context.DeadlineExceeded},
		{"over by the server's clock alone", time.Minute, time.Hour, 6, nil, 1, errVanished},
		{"over by the bridge's clock alone", -time.Minute, -time.Hour, 6, nil, 0, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store, err := Open(Options{})
			if err != nil {
				t.Fatal(err)
			}
			f := &follower{store: store, log: slog.New(slog.DiscardHandler), ahead: tt.ahead}
			e := pushed("acme", allow("cam"), 7)
			e.time, e.ttl = time.Now().Add(tt.ends-time.Hour), time.Hour
			f.take(e)
			server := &askedServer{newest: tt.newest, err: tt.err}
			if err := f.accountForEndings(t.Context(), server); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) || server.asked != tt.asked {
				t.Errorf("asked %d times: %v; want %d and %v", server.asked, err, tt.asked, tt.want)
			}
			if wait := f.untilEnding(); tt.want == nil && wait <= 0 {
				t.Error("the next look is at once")
			}
		})
	}
}

// expiring is a bucket whose TTLs end when they should, and a store that looks for
// what it missed once an hour.
func expiring(t *testing.T, markers bool) *fixture {
	t.Helper()
	opts := quick(t)
	opts.CheckEvery = time.Hour
	bucket := defaultBucket()
	bucket.LimitMarkerTTL = time.Second // the server lifts a shorter TTL to it
	f := newFixture(t, opts, bucket)
	if markers {
		return f
	}
	stream, err := f.js.Stream(f.ctx, "KV_rules")
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	cfg.SubjectDeleteMarkerTTL = 0
	if _, err := f.js.UpdateStream(f.ctx, cfg); err != nil {
		t.Fatal(err)
	}
	return f
}

// A version that expires over an older one of its key is removed without a
// marker: the older one, be it a delete, is the key's value again. That is found when
// the TTL is over, and not by a check, of which there is none here.
func TestExpiryOverAnOlderVersion(t *testing.T) {
	tests := []struct {
		name    string
		markers bool
		older   func(f *fixture)
		revived bool // the older version is in force again
	}{
		{"a delete", true, func(f *fixture) {
			f.put("guest", allow("older"))
			if err := f.kv.Delete(f.ctx, "guest"); err != nil {
				f.t.Fatal(err)
			}
		}, false},
		{"a document", true, func(f *fixture) { f.put("guest", allow("older")) }, true},
		{"a document that ends later", true, func(f *fixture) { f.putFor("guest", "older", time.Hour) }, true},
		{"nothing, in a bucket without markers", false, func(*fixture) {}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := expiring(t, tt.markers)
			tt.older(f)
			f.put("other", allow("stays"))
			f.putFor("guest", "guest", 2*time.Second)
			eventually(t, "the end of the guest", func() bool {
				f.put("busy", allow("busy")) // pushes, each of which may have taken versions away
				return !allowed(f.store, "guest")
			})
			f.wait("older", tt.revived)
			f.wait("stays", true)
		})
	}
}

// A version that ends with a marker needs nothing else: the bucket is not loaded again.
func TestExpiryWithAMarker(t *testing.T) {
	f := expiring(t, true)
	f.put("other", allow("stays"))
	const tries = 5 // on a machine that stands still the marker may expire before it comes: that does cost a load
	for try := 1; ; try++ {
		loads := f.log.count("loading the bucket again")
		f.putFor("guest", "guest", time.Second)
		f.putFor("later", "later", 3*time.Second)
		f.wait("guest", false)
		f.wait("later", false)
		f.wait("stays", true)
		again := f.log.count("loading the bucket again") - loads
		if again == 0 {
			break
		}
		if try == tries {
			t.Fatalf("loaded again each time, now %d times", again)
		}
	}
}
