package evening

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"

	"bintubridge/bridge/webhook"
	"bintubridge/subjects"
)

// observer holds what is said of each connection against what a media server can say.
type observer struct {
	t      *rapid.T
	opts   Options
	latest time.Duration
	seen   map[string]*seen // by clientid
}

// seen is a connection as it shows in the requests.
type seen struct {
	addr, name string
	kind       string
	accepted   bool
	cut        bool
	updated    time.Duration
	dones      int
	plays      bool // a publisher that plays
}

func (o *observer) look(r Request, accepted bool) {
	if r.At < o.latest {
		o.t.Fatalf("%s comes behind %s", r.At, o.latest)
	}
	o.latest = r.At
	var w webhook.Request
	if err := w.Parse(o.opts.Dialect, r.Body); err != nil {
		o.t.Fatalf("%s: %v", r.Body, err)
	}
	if w.Call != r.Call || w.Name == "" || w.Addr == "" || w.ClientID == "" || w.Extra.Len() > 0 {
		o.t.Fatalf("%s", r.Body)
	}
	s := o.seen[w.ClientID]
	switch w.Call {
	case subjects.Publish, subjects.Play:
		o.asks(&w, s, accepted)
		return
	}
	if s == nil || s.addr != w.Addr || s.name != w.Name {
		o.t.Fatalf("nobody asked for %s", r.Body)
	}
	switch w.Call {
	case subjects.UpdatePublish, subjects.UpdatePlay:
		if !s.accepted || s.cut || s.dones > 0 || r.At < s.updated || kindOf(w.Call) != s.kind {
			o.t.Fatalf("%s of %+v", r.Body, s)
		}
		s.updated, s.cut = r.At, !accepted
	default:
		if s.dones++; s.dones > 1 && (!s.plays || s.dones > 2 || w.Call != subjects.PlayDone) || s.dones == 1 && kindOf(w.Call) != s.kind {
			o.t.Fatalf("%s of %+v", r.Body, s)
		}
		if !s.accepted && w.Call == subjects.PlayDone && !s.plays {
			o.t.Fatalf("%s of a player that was refused", r.Body)
		}
	}
}

func (o *observer) asks(w *webhook.Request, s *seen, accepted bool) {
	if s != nil {
		if w.Call != subjects.Play || s.kind != subjects.KindPublish || s.plays || !s.accepted {
			o.t.Fatalf("%s of %+v", w.Body, s)
		}
		s.plays, s.name, s.cut = true, w.Name, !accepted
		return
	}
	o.seen[w.ClientID] = &seen{addr: w.Addr, name: w.Name, kind: kindOf(w.Call), accepted: accepted}
}

func kindOf(c subjects.Call) string {
	switch c {
	case subjects.Play, subjects.UpdatePlay, subjects.PlayDone:
		return subjects.KindPlay
	}
	return subjects.KindPublish
}

func options(t *rapid.T) Options {
	return Options{
		Seed: rapid.Uint64().Draw(t, "seed"), Streams: rapid.IntRange(1, 8).Draw(t, "streams"), Viewers: rapid.IntRange(0, 60).Draw(t, "viewers"),
		Length:  time.Duration(rapid.Int64Range(int64(time.Second), int64(6*time.Hour)).Draw(t, "length")),
		Speed:   rapid.Float64Range(0.5, 500).Draw(t, "speed"),
		Updates: rapid.SampledFrom([]time.Duration{0, 30 * time.Second, 10 * time.Minute}).Draw(t, "updates"),
		Dialect: rapid.SampledFrom([]webhook.Dialect{webhook.Bintu, webhook.NginxRTMP}).Draw(t, "dialect"), Prefix: "a",
	}
}

// Whatever is answered and in whatever order, the media server says what one can say,
// and the evening ends; also when it is broken off.
func TestEveryDoneBelongsToSomebodyWhoAsked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := observer{t: t, opts: options(t), seen: map[string]*seen{}}
		e := New(o.opts)
		refuse := rapid.IntRange(0, 40).Draw(t, "refused, in percent")
		stop := rapid.IntRange(0, 400).Draw(t, "hang up after")
		random := rapid.IntRange(0, 99)
		for n := 0; ; n++ {
			r, ok := e.Next()
			if !ok {
				break
			}
			switch done := r.Call == subjects.PublishDone || r.Call == subjects.PlayDone; {
			case n == stop:
				e.HangUp()
			case n > stop && !done:
				t.Fatalf("%s after the end", r.Body)
			}
			accepted := refuse == 0 || n > 2000 || random.Draw(t, "answer") >= refuse
			o.look(r, accepted)
			e.Answer(r, accepted)
		}
		if publishing, playing := e.Present(); publishing+playing > 0 {
			t.Fatalf("%d and %d are left", publishing, playing)
		}
	})
}

// Everybody accepted ends with a done, or was planned to fall silent.
func TestWhoFallsSilentIsPlanned(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := observer{t: t, opts: options(t), seen: map[string]*seen{}}
		var planned, ended, fell int
		for _, c := range plan(o.opts) {
			for _, conn := range c.connections {
				if conn.ends == silent {
					planned++
				}
			}
		}
		for _, r := range all(New(o.opts), func(r Request) bool { o.look(r, true); return true }) {
			if r.At > time.Duration(float64(o.opts.Length+time.Minute)/o.opts.Speed) {
				t.Fatalf("%s is long after the end", r.At)
			}
		}
		for _, s := range o.seen {
			if s.dones == 0 {
				fell++
			} else {
				ended++
			}
		}
		if fell != planned || ended == 0 {
			t.Fatalf("%d fell silent, %d were to, %d ended", fell, planned, ended)
		}
	})
}

func TestTheSameSeedGivesTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := options(t)
		one, two := all(New(o), byAddress), all(New(o), byAddress)
		if len(one) != len(two) {
			t.Fatalf("%d and %d requests", len(one), len(two))
		}
		for i := range one {
			if one[i].At != two[i].At || !bytes.Equal(one[i].Body, two[i].Body) {
				t.Fatalf("%d: %s\n%s", i, one[i].Body, two[i].Body)
			}
		}
		o.Seed++
		if other := all(New(o), byAddress); len(other) > 0 && bytes.Equal(other[0].Body, one[0].Body) {
			t.Fatal("another seed gives the same")
		}
	})
}
