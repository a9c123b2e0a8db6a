package sessions

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"bintubridge/subjects"
)

var start = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// script is a machine and a clock in seconds since start; the bridge's and the server's are the same.
type script struct {
	m    *machine
	n    int
	told []subjects.Session
}

func newScript() *script { return &script{m: newMachine(time.Minute, 10*time.Second)} }

// event applies "publish lobby 192.0.2.1 7" at a second; "!" before the call is a refusal, and
// "in=1" or "out=1" behind are bytes.
func (s *script) event(second int, line string) *script {
	s.n++
	return s.again(s.n, second, second, line)
}

// again is event with the number of its id, and a time of the bridge of its own.
func (s *script) again(n, received, second int, line string) *script {
	words := strings.Fields(line)
	call, refused := strings.CutPrefix(words[0], "!")
	e := subjects.Event{
		ID: fmt.Sprint("x-", n), ReceivedAt: start.Add(time.Duration(received) * time.Second),
		Call: call, Name: words[1], App: "live", Addr: words[2], ClientID: words[3],
	}
	for _, w := range words[4:] {
		if v, ok := strings.CutPrefix(w, "in="); ok {
			e.BytesIn = subjects.Number(v)
		}
		if v, ok := strings.CutPrefix(w, "out="); ok {
			e.BytesOut = subjects.Number(v)
		}
	}
	if subjects.ParseCall(call).Asks() {
		e.Decision = &subjects.Decision{Effect: subjects.EffectAllow, Rule: "a/b"}
		if refused {
			e.Decision.Effect = subjects.EffectDeny
		}
	}
	s.told = append(s.told, s.m.apply(&e, start.Add(time.Duration(second)*time.Second))...)
	return s
}

func (s *script) tick(second int) *script {
	s.told = append(s.told, s.m.tick(start.Add(time.Duration(second)*time.Second))...)
	return s
}

// lines is what was told, short.
func (s *script) lines() []string {
	lines := []string{}
	for _, t := range s.told {
		line := t.ID + " " + t.Name + "/" + t.ClientID
		if t.HowEnded != "" {
			line += fmt.Sprintf(" %s %ds", t.HowEnded, t.DurationMS/1000)
		}
		for _, n := range []struct {
			name string
			n    int64
		}{{"in", t.BytesIn}, {"out", t.BytesOut}, {"re", int64(t.Reconnects)}, {"peak", int64(t.PeakViewers)}} {
			if n.n != 0 {
				line += fmt.Sprintf(" %s=%d", n.name, n.n)
			}
		}
		lines = append(lines, line)
	}
	return lines
}

func TestMachine(t *testing.T) {
	const a, b, v = " lobby 192.0.2.1 1", " lobby 192.0.2.2 2", " lobby 192.0.2.9 "
	for _, tt := range []struct {
		name string
		run  func(*script)
		want []string
	}{
		{"publish and done", func(s *script) {
			s.event(0, "publish"+a).event(5, "update_publish"+a).event(9, "publish_done"+a+" in=575 out=8").tick(30)
		}, []string{"x-1-started lobby/1", "x-1-ended lobby/1 done 9s in=575 out=8"}},
		{"viewers", func(s *script) {
			s.event(0, "play"+v+"3").event(1, "publish"+a).event(2, "play"+v+"4").event(3, "play_done"+v+"3").event(4, "play_done"+v+"4 out=7").
				event(9, "publish_done"+a).tick(30)
		}, []string{"x-1-started lobby/3", "x-2-started lobby/1", "x-3-started lobby/4", "x-1-ended lobby/3 done 3s",
			"x-3-ended lobby/4 done 2s out=7", "x-2-ended lobby/1 done 8s peak=2"}},
		{"refused", func(s *script) { s.event(0, "!publish"+a).event(1, "publish_done"+a).tick(1000) }, []string{}},
		{"unknown done", func(s *script) { s.event(0, "publish"+a).event(1, "publish_done"+b).event(2, "play_done"+a) }, []string{"x-1-started lobby/1"}},
		{"unknown update", func(s *script) { s.event(0, "update_publish"+a).event(1, "update_play"+v+"3") }, []string{}},
		{"silence", func(s *script) { s.event(0, "publish"+a).event(20, "update_publish"+a).tick(80).tick(81) },
			[]string{"x-1-started lobby/1", "x-1-lost lobby/1 timeout 20s"}},
		{"silence after the clock was set back", func(s *script) {
			s.again(1, 0, 4000, "publish"+a).again(2, 10, 410, "update_publish"+a).tick(470).tick(471)
		}, []string{"x-1-started lobby/1", "x-1-lost lobby/1 timeout 10s"}},
		{"the end after the clock was set back", func(s *script) {
			s.again(1, 0, 4000, "publish"+a).again(2, 10, 410, "publish_done"+a).tick(420).tick(421)
		}, []string{"x-1-started lobby/1", "x-1-ended lobby/1 done 10s"}},
		{"silence after the clock was set forward", func(s *script) {
			s.again(1, 0, 0, "publish"+a).again(2, 10, 3610, "update_publish"+a).tick(3670).tick(3671)
		}, []string{"x-1-started lobby/1", "x-1-lost lobby/1 timeout 10s"}},
		{"an early done is forgotten after the clock was set back", func(s *script) {
			s.again(2, 5, 4000, "publish_done"+a).again(3, 6, 400, "update_publish"+b).again(1, 4, 470, "publish"+a).tick(531)
		}, []string{"x-1-started lobby/1", "x-1-lost lobby/1 timeout 0s"}},
		{"alive after all", func(s *script) {
			s.event(0, "publish"+a).tick(61).event(90, "update_publish"+a).event(95, "publish_done"+a).tick(200)
		}, []string{"x-1-started lobby/1", "x-1-lost lobby/1 timeout 0s", "x-2-started lobby/1", "x-2-ended lobby/1 done 5s"}},
		{"done after lost", func(s *script) {
			s.event(0, "publish"+a).tick(61).event(90, "publish_done"+a).event(91, "update_publish"+a).tick(200)
		}, []string{"x-1-started lobby/1", "x-1-lost lobby/1 timeout 0s"}},
		{"comes back", func(s *script) {
			s.event(0, "publish"+a+" in=0").event(5, "publish_done"+a+" in=100").event(8, "publish lobby 192.0.2.1 9").tick(30).
				event(40, "publish_done lobby 192.0.2.1 9 in=11").tick(60)
		}, []string{"x-1-started lobby/1", "x-1-1-resumed lobby/9 re=1", "x-1-ended lobby/9 done 40s in=111 re=1"}},
		{"comes back, is lost, and another viewer came", func(s *script) {
			s.event(0, "publish"+a).event(1, "play"+v+"3").event(5, "publish_done"+a).event(8, "publish"+a).event(9, "publish_done"+a).event(10, "publish"+a).tick(71)
		}, []string{"x-1-started lobby/1", "x-2-started lobby/3", "x-1-1-resumed lobby/1 re=1", "x-1-2-resumed lobby/1 re=2",
			"x-2-lost lobby/3 timeout 0s", "x-1-lost lobby/1 timeout 10s re=2 peak=1"}},
		{"comes back too late", func(s *script) {
			s.event(0, "publish"+a).event(5, "publish_done"+a).event(16, "publish lobby 192.0.2.1 9").tick(17)
		}, []string{"x-1-started lobby/1", "x-3-started lobby/9", "x-1-ended lobby/1 done 5s"}},
		{"comes back too late, same connection", func(s *script) {
			s.event(0, "publish"+a).event(5, "publish_done"+a).event(16, "publish"+a)
		}, []string{"x-1-started lobby/1", "x-1-ended lobby/1 done 5s", "x-3-started lobby/1"}},
		{"another address is another session", func(s *script) {
			s.event(0, "publish"+a).event(5, "publish_done"+a).event(6, "publish"+b).tick(16)
		}, []string{"x-1-started lobby/1", "x-3-started lobby/2", "x-1-ended lobby/1 done 5s"}},
		{"an update of earlier", func(s *script) {
			s.event(0, "publish"+a).again(3, 2, 2, "update_publish"+a+" in=200 out=20").again(2, 1, 3, "update_publish"+a+" in=100 out=10").
				event(4, "publish_done"+a+" in=300 out=30").tick(30)
		}, []string{"x-1-started lobby/1", "x-1-ended lobby/1 done 4s in=300 out=30"}},
		{"repeats", func(s *script) {
			s.event(0, "publish"+a).again(1, 0, 1, "publish"+a).event(2, "publish_done"+a).again(2, 2, 3, "publish_done"+a).tick(13).
				again(1, 0, 20, "publish"+a).tick(500)
		}, []string{"x-1-started lobby/1", "x-1-ended lobby/1 done 2s"}},
		{"done before its publish", func(s *script) {
			s.again(2, 1, 0, "publish_done"+a+" in=5").again(1, 0, 1, "publish"+a).tick(30)
		}, []string{"x-1-started lobby/1", "x-1-ended lobby/1 done 1s in=5"}},
		{"a done of earlier", func(s *script) {
			s.again(1, 5, 5, "publish"+a).again(2, 3, 6, "publish_done"+a).again(3, 9, 9, "publish_done"+a).tick(30)
		}, []string{"x-1-started lobby/1", "x-1-ended lobby/1 done 4s"}},
		{"done lost, the number is used again", func(s *script) {
			s.event(0, "publish"+a).event(30, "publish"+a).event(50, "publish_done"+a).tick(70)
		}, []string{"x-1-started lobby/1", "x-1-ended lobby/1 done 50s"}},
		{"cut", func(s *script) {
			s.event(0, "publish"+a).event(5, "!update_publish"+a).event(6, "publish_done"+a)
		}, []string{"x-1-started lobby/1", "x-1-ended lobby/1 cut 6s"}},
		{"bytes wrap", func(s *script) {
			s.event(0, "publish"+a).event(1, "update_publish"+a+" in=4294967000").event(2, "update_publish"+a+" in=100").
				event(3, "publish_done"+a+" in=200 out=-1").tick(30)
		}, []string{"x-1-started lobby/1", "x-1-ended lobby/1 done 3s in=4294967496 out=4294967295"}},
		{"bytes that are none", func(s *script) {
			s.event(0, "publish"+a).event(3, "publish_done"+a+" in=x out=99999999999999999999").tick(30)
		}, []string{"x-1-started lobby/1", "x-1-ended lobby/1 done 3s"}},
		{"no name", func(s *script) {
			e := subjects.Event{ID: "x-1", Call: "publish", Decision: &subjects.Decision{Effect: subjects.EffectAllow}}
			s.told = s.m.apply(&e, start)
		}, []string{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScript()
			tt.run(s)
			if got := s.lines(); !slices.Equal(got, tt.want) {
				t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestNoTimeoutAndNoGrace(t *testing.T) {
	s := &script{m: newMachine(0, 0)}
	s.event(0, "publish lobby 192.0.2.1 1").tick(1<<30).event(5, "publish_done lobby 192.0.2.1 1")
	if got := s.lines(); !slices.Equal(got, []string{"x-1-started lobby/1", "x-1-ended lobby/1 done 5s"}) {
		t.Errorf("told %v", got)
	}
}

// The captured sequences, a second apart, with what a human reads from them.
func TestCaptures(t *testing.T) {
	for _, tt := range []struct {
		description, dialect string
		want                 []string
	}{
		{"special-second-publisher", "nginx-rtmp", []string{
			"x-0-started CD6xx-123456/195", "x-1-started CD6xx-123456/197",
			"x-1-ended CD6xx-123456/197 done 1s", "x-0-ended CD6xx-123456/195 done 5s"}},
		{"special-second-publisher", "bintu", []string{
			"x-0-started CD6xx-123456/195", "x-1-started CD6xx-123456/197",
			"x-1-ended CD6xx-123456/197 done 1s in=383 out=539", "x-0-ended CD6xx-123456/195 done 5s in=48938 out=667"}},
		{"mini-publish-mine-then-play-victim", "nginx-rtmp", []string{
			"x-0-started mine/53", "x-1-started victim/53", "x-1-ended victim/53 done 3s", "x-0-lost mine/53 timeout 0s"}},
		{"mini-publish-mine-then-play-victim", "bintu", []string{
			"x-0-started mine/53", "x-1-started victim/53", "x-1-ended victim/53 done 3s in=218 out=553", "x-0-lost mine/53 timeout 0s"}},
		{"full-session", "bintu", []string{
			"x-0-started CD6xx-123456/166", "x-1-started CD6xx-123456/168", "x-2-started CD6xx-123456/170",
			"x-1-ended CD6xx-123456/168 done 5s in=458 out=38014", "x-2-ended CD6xx-123456/170 done 5s in=427 out=35037",
			"x-0-ended CD6xx-123456/166 done 9s in=60921 out=685 peak=2"}},
		// ffmpeg was killed: its last word is the disconnect of the connection and the done.
		{"full-session-all-hooks", "nginx-rtmp", []string{
			"x-1-started CD6xx-123456/179", "x-3-started CD6xx-123456/182",
			"x-3-ended CD6xx-123456/182 done 3s", "x-1-ended CD6xx-123456/179 done 12s peak=1"}},
		{"full-session-all-hooks", "bintu", []string{
			"x-1-started CD6xx-123456/179", "x-3-started CD6xx-123456/182",
			"x-3-ended CD6xx-123456/182 done 3s in=458 out=37041", "x-1-ended CD6xx-123456/179 done 12s in=60921 out=685 peak=1"}},
	} {
		t.Run(tt.description+" "+tt.dialect, func(t *testing.T) {
			s := newScript()
			for i, e := range captured(t, tt.description, tt.dialect) {
				e.ID, e.ReceivedAt = fmt.Sprint("x-", i), start.Add(time.Duration(i)*time.Second)
				s.told = append(s.told, s.m.apply(&e, e.ReceivedAt)...)
			}
			s.tick(600)
			checkLives(t, s.told)
			if got := s.lines(); !slices.Equal(got, tt.want) {
				t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func captured(t *testing.T, description, dialect string) []subjects.Event {
	t.Helper()
	data, err := os.ReadFile("../../testdata/captures/index.json")
	if err != nil {
		t.Fatal(err)
	}
	var index []struct {
		Call, File, Dialect, Answered, Variant string
		Genuine                                subjects.Event
	}
	if err := json.Unmarshal(data, &index); err != nil {
		t.Fatal(err)
	}
	var events []subjects.Event
	for _, c := range index {
		if c.Dialect != dialect || c.Variant != description {
			continue
		}
		e := c.Genuine
		e.Call = c.Call
		if subjects.ParseCall(c.Call).Asks() {
			e.Decision = &subjects.Decision{Effect: subjects.EffectDeny}
			if c.Answered == "200" {
				e.Decision.Effect = subjects.EffectAllow
			}
		}
		events = append(events, e)
	}
	if len(events) == 0 {
		t.Fatal("no such capture")
	}
	return events
}

// checkLives: every session starts once and ends once, in that order, and is resumed in between.
func checkLives(t interface{ Errorf(string, ...any) }, told []subjects.Session) {
	lives, resumed := map[string][]string{}, map[string]int{}
	for _, s := range told {
		what := strings.TrimPrefix(s.ID, s.Session+"-")
		if what == fmt.Sprintf("%d-resumed", s.Reconnects) && len(lives[s.Session]) == 1 && s.HowEnded == "" && !s.ResumedAt.IsZero() {
			resumed[s.Session]++
			continue
		}
		if s.Reconnects != resumed[s.Session] {
			t.Errorf("resumed %d times: %+v", resumed[s.Session], s)
		}
		lives[s.Session] = append(lives[s.Session], what)
		if s.DurationMS < 0 || s.BytesIn < 0 || s.BytesOut < 0 || s.PeakViewers < 0 || s.Reconnects < 0 {
			t.Errorf("negative: %+v", s)
		}
	}
	for id, life := range lives {
		if len(life) != 2 || life[0] != "started" || life[1] != "ended" && life[1] != "lost" {
			t.Errorf("session %s: %v", id, life)
		}
	}
}
