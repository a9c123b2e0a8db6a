package rulestore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// fakeServer answers a check with a stream info or an error.
type fakeServer struct {
	jetstream.JetStream
	info jetstream.StreamInfo
	err  error
}

func (s *fakeServer) Stream(context.Context, string) (jetstream.Stream, error) {
	return fakeStream{info: &s.info}, s.err
}

type fakeStream struct {
	jetstream.Stream
	info *jetstream.StreamInfo
}

// Info is asked for one subject, of which the fake has what info says.
func (s fakeStream) Info(context.Context, ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error) {
	return s.info, nil
}

// GetLastMsgForSubject answers for the one subject by the number that info has.
func (s fakeStream) GetLastMsgForSubject(_ context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	if newest := s.info.State.Subjects[subject]; newest > 0 {
		return &jetstream.RawStreamMsg{Sequence: newest}, nil
	}
	return nil, jetstream.ErrMsgNotFound
}

func (s fakeStream) CachedInfo() *jetstream.StreamInfo { return s.info }

func TestCheck(t *testing.T) {
	created := time.Unix(1_800_000_000, 0)
	tests := []struct {
		name    string
		change  func(s *fakeServer)
		times   int   // checks in a row
		want    error // of the last check
		contact bool  // the rules count as current
		trouble string
	}{
		{"as known", func(*fakeServer) {}, 3, nil, true, ""},
		{"created again, and longer than before", func(s *fakeServer) {
			s.info.Created, s.info.State.LastSeq = created.Add(1), 99
		}, 1, errReload, false, ""},
		{"created again, and equal else", func(s *fakeServer) { s.info.Created = created.Add(1) }, 1, errReload, false, ""},
		{"its tail is lost", func(s *fakeServer) { s.info.State.LastSeq = 6 }, 1, errReload, false, ""},
		{"a message is on its way", func(s *fakeServer) { s.info.State.LastSeq = 8 }, 1, nil, false, ""},
		{"the message never comes", func(s *fakeServer) { s.info.State.LastSeq = 8 }, 2, errReload, false, ""},
		{"its newest message is another", func(s *fakeServer) { s.info.State.LastTime = created.Add(time.Hour) }, 1, errReload, false, ""},
		{"a marker expired", func(s *fakeServer) { s.info.State.NumSubjects, s.info.State.Msgs = 1, 2 }, 2, nil, true, ""},
		{"a message went without a marker", func(s *fakeServer) { s.info.State.Msgs = 2 }, 1, errVanished, false, ""},
		{"a message went with a marker that expired", func(s *fakeServer) {
			s.info.State.NumSubjects, s.info.State.Msgs = 1, 1
		}, 1, errVanished, false, ""},
		{"a key went, the marker is there", func(s *fakeServer) {
			s.info.State.NumSubjects, s.info.State.Subjects = 1, map[string]uint64{"$KV.rules.deleted": 1}
		}, 1, errVanished, false, ""},
		{"a key went, and the marker", func(s *fakeServer) { s.info.State.NumSubjects = 0 }, 1, errVanished, false, ""},
		{"a key that was never seen", func(s *fakeServer) { s.info.State.NumSubjects = 3 }, 1, errVanished, false, ""},
		{"the bucket is gone", func(s *fakeServer) { s.err = jetstream.ErrStreamNotFound }, 1, jetstream.ErrBucketNotFound, false, ""},
		{"no answer", func(s *fakeServer) { s.err = context.DeadlineExceeded }, 2, nil, false, "deadline"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store, err := Open(Options{})
			if err != nil {
				t.Fatal(err)
			}
			store.setTrouble("")
			l := store.ledger
			l.created = created
			l.apply(judge(version{key: "deleted", removed: true, message: message{6, created}}, l.docs))
			l.apply(judge(version{key: "acme", data: []byte(allow("cam")), message: message{7, created}}, l.docs))
			l.counted = count{last: 7, messages: 3}
			js := &fakeServer{}
			js.info.Created, js.info.State.LastSeq, js.info.State.LastTime, js.info.State.NumSubjects = created, 7, created, 2
			js.info.State.Msgs = 3
			tt.change(js)
			f := &follower{store: store, js: js, log: slog.New(slog.DiscardHandler)}
			w := &watch{updates: make(chan *version)}
			for i := range tt.times {
				err = f.check(t.Context(), w)
				if last := i == tt.times-1; !last && err != nil {
					t.Fatalf("check %d: %v", i, err)
				}
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if errors.Is(err, jetstream.ErrBucketNotFound) && !strings.Contains(err.Error(), "create it, which ends the rules in force") {
				t.Errorf("not told what creating it does: %v", err)
			}
			if got := store.contact.Load() > 0; got != tt.contact {
				t.Errorf("contact %v, want %v", got, tt.contact)
			}
			if got := *store.trouble.Load(); (got == "") != (tt.trouble == "") || !strings.Contains(got, tt.trouble) {
				t.Errorf("trouble %q", got)
			}
		})
	}
}

// farStream has all that it is asked for but the last one.
type farStream struct {
	fakeStream
	last, asked int
}

func (s *farStream) Info(ctx context.Context, _ ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error) {
	const roundTrip = 50 * time.Millisecond
	select {
	case <-time.After(roundTrip):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	info := &jetstream.StreamInfo{}
	if s.asked++; s.asked < s.last {
		info.State.Subjects = map[string]uint64{"a marker": 1}
	}
	return info, nil
}

// Pushes wait no longer for a check of markers than they would for a load.
func TestMarkersFarAway(t *testing.T) {
	for _, tt := range []struct {
		name           string
		last           int // asked for the marker that expired
		loadTook, most time.Duration
		want           error
	}{
		{"soon found", 10, 0, time.Second, nil},
		{"longer than a second", 900, 0, time.Second, errVanished},
		{"longer than a load", 900, 10 * time.Second, 10 * time.Second, errVanished},
		{"less than a load", 900, time.Minute, 50 * time.Second, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, err := Open(Options{})
				if err != nil {
					t.Fatal(err)
				}
				for i := range uint64(maxMarkersAsked) {
					store.ledger.gone[fmt.Sprintf("gone.%d", i)] = i
				}
				info := &jetstream.StreamInfo{State: jetstream.StreamState{NumSubjects: maxMarkersAsked - 1}}
				f := &follower{store: store, loadTook: tt.loadTook}
				began := time.Now()
				err = f.accountFor(t.Context(), &farStream{fakeStream: fakeStream{info: info}, last: tt.last})
				if took := time.Since(began); !errors.Is(err, tt.want) || took > tt.most {
					t.Errorf("%v after %v, want %v within %v", err, took, tt.want, tt.most)
				}
			})
		})
	}
}

// Changes that were taken from a watch that then ended are put in force by the
// next one, though it brings nothing new.
func TestChangesOfAnEndedWatch(t *testing.T) {
	store, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{store: store, js: &fakeServer{err: context.DeadlineExceeded}, log: slog.New(slog.DiscardHandler)}
	first, second := pushed("first", "{}", 1), pushed("acme", allow("cam"), 2)
	f.take(first)
	f.flush()
	updates := make(chan *version, 2)
	updates <- first
	updates <- second
	close(updates)
	if err := f.catchUp(t.Context(), &watch{updates: updates}, &jetstream.StreamInfo{}); err == nil {
		t.Fatal("the end of the watch was not noticed")
	}
	updates = make(chan *version, 2)
	updates <- second
	updates <- nil
	if err := f.catchUp(t.Context(), &watch{updates: updates}, &jetstream.StreamInfo{}); err != nil {
		t.Fatal(err)
	}
	if !allowed(store, "cam") {
		t.Error("the change is not in force")
	}
}

func pushed(key, data string, revision uint64) *version {
	return &version{key: key, data: []byte(data), message: message{revision, time.Unix(1_800_000_000, int64(revision))}}
}

func TestOptionsDefaults(t *testing.T) {
	o, err := Options{StaleAfter: 30 * time.Second}.withDefaults()
	if err != nil || o.Bucket != "rules" || o.CheckEvery != 10*time.Second || o.RetryMin != 250*time.Millisecond || o.RetryMax != 30*time.Second || o.Log == nil {
		t.Errorf("got %+v, %v", o, err)
	}
	if o, err := (Options{}).withDefaults(); err != nil || o.CheckEvery != 30*time.Second {
		t.Errorf("a check every %v, %v; README says 30 s", o.CheckEvery, err)
	}
}

// A key whose version was pushed away while the load was on its way to it stays in force
// until the newer version comes, and whatever becomes of that; one that the bucket does
// not have any more goes.
func TestPushedAwayWhileLoading(t *testing.T) {
	store, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{store: store, log: slog.New(slog.DiscardHandler)}
	for revision, key := range []string{"pushed", "gone"} {
		f.take(&version{key: key, data: []byte(allow(key)), message: message{revision: uint64(revision + 1)}})
	}
	f.flush()
	js := &fakeServer{}
	js.info.State.LastSeq, js.info.State.NumSubjects = 3, 1
	js.info.State.Subjects = map[string]uint64{"$KV.rules.pushed": 5}
	none := make(chan *version, 1)
	none <- nil
	stream, _ := js.Stream(t.Context(), "KV_rules")
	if err := f.load(t.Context(), &watch{updates: none}, nil, stream); err != nil {
		t.Fatal(err)
	}
	expect := func() {
		t.Helper()
		if !allowed(store, "pushed") || allowed(store, "gone") {
			t.Fatalf("pushed is allowed: %v, gone: %v", allowed(store, "pushed"), allowed(store, "gone"))
		}
		if keys := store.ledger.keys(); keys != 1 {
			t.Fatalf("%d keys known", keys)
		}
	}
	expect()
	f.take(&version{key: "pushed", data: []byte("bad"), message: message{revision: 4}})
	f.flush()
	expect()
	if s := store.Status(); s.InvalidCount != 1 || s.Invalid[0].InForce != 1 {
		t.Errorf("%+v", s)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}
