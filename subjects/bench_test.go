package subjects_test

import (
	"strings"
	"testing"
	"time"

	"bintubridge/subjects"
)

// steps are what the request path and the forwarder run for every event, into
// a buffer that has room.
func steps(tb testing.TB) map[string]func(dst []byte) []byte {
	publish, hostile := publishEvent(), hostileEvent()
	spooled := publish.AppendJSON(nil)
	id := []byte("bXk2-17")
	template := parseTemplate(tb, "stream.{call}.{app}.{name}")
	long := strings.Repeat("ü.", 1023)
	at := time.Date(2026, 11, 23, 9, 0, 0, 123456000, time.FixedZone("CET", 3600))
	return map[string]func(dst []byte) []byte{
		"json/publish": func(dst []byte) []byte { return publish.AppendJSON(dst) },
		"json/hostile": func(dst []byte) []byte { return hostile.AppendJSON(dst) },
		"withid": func(dst []byte) []byte {
			dst, err := subjects.AppendWithID(dst, spooled, id)
			if err != nil {
				panic(err)
			}
			return dst
		},
		"id":              func(dst []byte) []byte { return subjects.AppendID(dst, "bXk2", 1<<60) },
		"token/plain":     func(dst []byte) []byte { return subjects.AppendToken(dst, "CD6xx-123456") },
		"token/escaped":   func(dst []byte) []byte { return subjects.AppendToken(dst, "lobby/1 ü") },
		"token/cut":       func(dst []byte) []byte { return subjects.AppendToken(dst, long) },
		"subject/default": func(dst []byte) []byte { return subjects.Template{}.Append(dst, subjects.Denied, "publish", "n", "a") },
		"subject/name":    func(dst []byte) []byte { return template.Append(dst, subjects.Happened, "play", "a.b", "live") },
		"subject/unknown": func(dst []byte) []byte { return template.Append(dst, subjects.Unknown, "a.b", long, long) },
		"type":            func(dst []byte) []byte { return subjects.AppendType(dst, subjects.Denied, "publish") },
		"percent":         func(dst []byte) []byte { return subjects.AppendPercent(dst, long) },
		"source":          func(dst []byte) []byte { return subjects.AppendSource(dst, "edge 1") },
		"time":            func(dst []byte) []byte { return subjects.AppendTime(dst, at) },
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 64<<10)
	for name, step := range steps(t) {
		t.Run(name, func(t *testing.T) {
			if len(step(buf)) == 0 {
				t.Fatal("nothing was appended")
			}
			if allocs := testing.AllocsPerRun(200, func() { step(buf) }); allocs != 0 {
				t.Errorf("%v allocations, want 0", allocs)
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	buf := make([]byte, 0, 64<<10)
	for name, step := range steps(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(step(buf))))
			for b.Loop() {
				step(buf)
			}
		})
	}
}

func BenchmarkDecodeEvent(b *testing.B) {
	data := publishEvent().AppendJSON(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := subjects.DecodeEvent(data); err != nil {
			b.Fatal(err)
		}
	}
}
