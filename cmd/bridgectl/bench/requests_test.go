package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"

	"bintubridge/bridge/webhook"
	"bintubridge/subjects"
)

// Every request is what a webhook is: HTTP that net/http reads, and a body that webhook
// reads without loss. Each name comes with each call, equally often.
func TestRequests(t *testing.T) {
	const names, calls = 12, 6 // a name would miss calls if both went by the same count
	for _, f := range []form{keepAlive, http10} {
		for _, size := range []int{0, 100, 200, 5000} {
			t.Run(fmt.Sprint(f, " ", size), func(t *testing.T) {
				seen := map[string]int{}
				r := newRequests(f, names, size)
				var lengths []int64
				for n := range uint64(names * calls) {
					req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(r.next(n))))
					if err != nil {
						t.Fatal(err)
					}
					if req.Method != http.MethodPost || req.URL.Path != hookPath || req.Close != (f == http10) {
						t.Fatalf("%s %s, close %v", req.Method, req.URL, req.Close)
					}
					body, err := io.ReadAll(req.Body)
					if err != nil {
						t.Fatal(err)
					}
					lengths = append(lengths, req.ContentLength)
					var got webhook.Request
					if err := got.Parse(webhook.Bintu, body); err != nil || got.Lossy || got.Extra.Len() > 0 {
						t.Fatalf("%s: %v", body, err)
					}
					if token, _ := got.Custom.Get("token"); token == "" && size != 100 || got.Addr == "" {
						t.Fatalf("%s", body)
					}
					if want := fmt.Sprintf("%08d", n); got.ClientID != want {
						t.Fatalf("client %s, want %s", got.ClientID, want)
					}
					seen[got.CallText+" "+got.Name]++
				}
				for i := range names {
					for _, call := range []subjects.Call{
						subjects.Publish, subjects.Play, subjects.UpdatePublish, subjects.UpdatePlay, subjects.PublishDone, subjects.PlayDone,
					} {
						if key := fmt.Sprintf("%s "+nameFormat, call, i); seen[key] != 1 {
							t.Errorf("%s came %d times", key, seen[key])
						}
					}
				}
				sum := int64(0)
				for _, n := range lengths {
					sum += n
					if size > 0 && (n > int64(max(size, 120)) || n < int64(size-len("&pad="))) {
						t.Fatalf("a body of %d bytes, want %d", n, size)
					}
				}
				if got := r.size() * float64(len(lengths)); int64(got+0.5) != sum {
					t.Errorf("%.1f bytes a body, want %d of %d", r.size(), sum, len(lengths))
				}
			})
		}
	}
}
