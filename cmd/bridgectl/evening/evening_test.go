package evening

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bintubridge/bridge/webhook"
	"bintubridge/subjects"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func small(d webhook.Dialect) Options {
	return Options{Seed: 4, Streams: 2, Viewers: 3, Length: 20 * time.Minute, Speed: 20, Updates: 5 * time.Minute, Dialect: d, Prefix: "sim-"}
}

// byAddress answers as rules do that refuse strangers.
func byAddress(r Request) bool { return !strings.HasPrefix(r.client.connections[0].addr, "192.0.2.") }

// all plays an evening whose answers come at once.
func all(e *Evening, answer func(Request) bool) []Request {
	var list []Request
	for {
		r, ok := e.Next()
		if !ok {
			return list
		}
		list = append(list, r)
		e.Answer(r, answer(r))
	}
}

var update = flag.Bool("update", false, "write testdata/evening anew")

// A small evening, byte for byte: what a seed gives stays what it is.
func TestGolden(t *testing.T) {
	for _, d := range []webhook.Dialect{webhook.Bintu, webhook.NginxRTMP} {
		t.Run(d.String(), func(t *testing.T) {
			var got bytes.Buffer
			for _, r := range all(New(small(d)), byAddress) {
				fmt.Fprintf(&got, "%-10s %s\n", r.At.Round(time.Millisecond), r.Body)
			}
			path := filepath.Join("../../../testdata/evening", d.String()+".txt")
			if *update {
				if err := os.WriteFile(path, got.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%s is not what comes out:\n%s", path, got.Bytes())
			}
		})
	}
}

// trustedKeys are the keys of a body behind, or without, what the client wrote.
func trustedKeys(body, args string) string {
	var keys []string
	for pair := range strings.SplitSeq(strings.Replace(body, args, "", 1), "&") {
		if key, _, ok := strings.Cut(pair, "="); ok {
			keys = append(keys, key)
		}
	}
	return strings.Join(keys, " ")
}

// The fields of every call are those of real requests of the dialect, in their order.
func TestFieldsAreThoseOfTheCaptures(t *testing.T) {
	const dir = "../../../testdata/captures"
	index, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var captures []struct {
		File, Dialect, Call, Variant string
		CustomRaw                    string `json:"custom_raw"`
	}
	if err := json.Unmarshal(index, &captures); err != nil {
		t.Fatal(err)
	}
	real := map[string][]string{}
	for _, c := range captures {
		if c.Variant != "full-session" && c.Variant != "plain" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, c.File))
		if err != nil {
			t.Fatal(err)
		}
		_, body, _ := strings.Cut(string(data), "\r\n\r\n")
		real[c.Dialect+" "+c.Call] = append(real[c.Dialect+" "+c.Call], trustedKeys(body, c.CustomRaw))
	}
	for _, d := range []webhook.Dialect{webhook.Bintu, webhook.NginxRTMP} {
		seen := map[string]bool{}
		all(New(small(d)), func(r Request) bool {
			kind := d.String() + " " + r.Call.String()
			seen[kind] = true
			if keys := trustedKeys(string(r.Body), r.client.connections[0].args); !slices.Contains(real[kind], keys) {
				t.Errorf("%s: %s\nreal ones are %q", r.Body, keys, real[kind])
			}
			return byAddress(r)
		})
		if len(seen) != 6 {
			t.Errorf("only %v in the evening of %s", seen, d)
		}
	}
}

// The wave rises to its crest and falls.
func TestViewersComeInAWave(t *testing.T) {
	o := small(webhook.Bintu)
	o.Viewers, o.Length, o.Streams = 3000, 3*time.Hour, 5
	e := New(o)
	var watching [10]int
	for {
		r, ok := e.Next()
		if !ok {
			break
		}
		e.Answer(r, true)
		_, playing := e.Present()
		tenth := min(9, int(10*r.At/(o.Length/20)))
		watching[tenth] = max(watching[tenth], playing)
		if len(e.away) > 0 {
			t.Fatal("somebody is away")
		}
	}
	if watching[0] >= watching[2] || watching[2] >= watching[4] || watching[4] <= watching[7] || watching[7] <= watching[9] || watching[4] < 300 {
		t.Errorf("viewers by tenths of the evening: %v", watching)
	}
}

// Speed changes when things are said and the seconds and bytes said, and nothing else.
func TestSpeed(t *testing.T) {
	o := small(webhook.Bintu)
	fast := all(New(o), byAddress)
	o.Speed = 1
	slow := all(New(o), byAddress)
	if len(fast) != len(slow) {
		t.Fatalf("%d and %d requests", len(fast), len(slow))
	}
	for i, f := range fast {
		s := slow[i]
		if f.Call != s.Call || f.At != time.Duration(float64(s.At)/20) {
			t.Fatalf("request %d: %s at %s, %s at %s", i, f.Call, f.At, s.Call, s.At)
		}
		if f.Call == subjects.UpdatePublish && !bytes.Contains(s.Body, []byte("&time=300&")) && !bytes.Contains(s.Body, []byte("&time=600&")) && !bytes.Contains(s.Body, []byte("&time=900&")) {
			t.Errorf("%s", s.Body)
		}
		if f.Call == subjects.UpdatePublish && bytes.Contains(s.Body, []byte("&time=300&timestamp=299923&")) && !bytes.Contains(f.Body, []byte("&time=15&timestamp=14923&")) {
			t.Errorf("%s\n%s", s.Body, f.Body)
		}
	}
}
