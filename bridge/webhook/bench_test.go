package webhook

import (
	"fmt"
	"strings"
	"testing"
)

// workloads are the bodies that allocations and time are taken of.
func workloads() map[string]struct {
	dialect Dialect
	body    []byte
} {
	type workload = struct {
		dialect Dialect
		body    []byte
	}
	var pairs strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&pairs, "k%d=%d&", i, i)
	}
	return map[string]workload{
		"bintu": {Bintu, []byte("foo=bar&batz=12345&call=publish&name=CD6xx-123456&type=live&addr=127.0.0.1&clientid=5&app=live" +
			"&flashver=FMLE/3.0%20(compatible%3B%20Lavf59.27.100)&tcurl=rtmp://127.0.0.1:37361/live")},
		"nginx-rtmp": {NginxRTMP, []byte("app=live&flashver=FMLE/3.0%20(compatible%3B%20Lavf59.27&swfurl=&tcurl=rtmp://127.0.0.1:47239/live&pageurl=" +
			"&addr=127.0.0.1&clientid=5&call=publish&name=CD6xx-123456&type=live&foo=bar&batz=12345")},
		"escapes": {Bintu, []byte("token=" + strings.Repeat("%41%2b+", 60) + "&t%69tle=%E6%97%A5%C3%BC&a=%zz&a=%ff" +
			"&tcurl=rtmp://h/live%3Ftoken=%41%2541&c%61ll=publish&name=a%20b")},
		"10000 pairs": {Bintu, []byte(pairs.String() + "call=publish&name=x")},
		"no call":     {Bintu, []byte("foo=bar&name=x")},
		"bad call":    {NginxRTMP, []byte("app=live&call=a.b")},
	}
}

func TestNoAllocations(t *testing.T) {
	redactor := NewRedactor([]string{"token", "key", "password", "foo"})
	for name, w := range workloads() {
		t.Run(name, func(t *testing.T) {
			var r Request
			dst := make([]byte, 0, 4*len(w.body))
			for what, run := range map[string]func(){
				"Parse":      func() { _ = r.Parse(w.dialect, w.body) },
				"AppendBody": func() { dst = AppendBody(dst[:0], w.dialect, &r, "foo=bar&batz=12345") },
				"AppendRaw":  func() { dst = redactor.AppendRaw(dst[:0], r.Body) },
				"Redact": func() {
					_ = r.Parse(w.dialect, w.body)
					redactor.Redact(&r)
				},
			} {
				if n := testing.AllocsPerRun(20, run); n != 0 {
					t.Errorf("%s allocates %v times", what, n)
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for _, name := range []string{"bintu", "nginx-rtmp", "escapes", "10000 pairs"} {
		w := workloads()[name]
		b.Run(name, func(b *testing.B) {
			var r Request
			b.ReportAllocs()
			b.SetBytes(int64(len(w.body)))
			for b.Loop() {
				if err := r.Parse(w.dialect, w.body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendBody(b *testing.B) {
	for _, name := range []string{"bintu", "nginx-rtmp"} {
		w := workloads()[name]
		b.Run(name, func(b *testing.B) {
			var r Request
			if err := r.Parse(w.dialect, w.body); err != nil {
				b.Fatal(err)
			}
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				dst = AppendBody(dst[:0], w.dialect, &r, "foo=bar&batz=12345")
			}
		})
	}
}

func BenchmarkRedact(b *testing.B) {
	redactor := NewRedactor(strings.Split("token,key,password,secret,jwt,sig,signature,streamkey", ","))
	for _, name := range []string{"bintu", "escapes", "10000 pairs"} {
		w := workloads()[name]
		b.Run(name, func(b *testing.B) {
			var r Request
			if err := r.Parse(w.dialect, w.body); err != nil {
				b.Fatal(err)
			}
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				dst = redactor.AppendRaw(dst[:0], r.Body)
			}
		})
	}
}
