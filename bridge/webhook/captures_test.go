package webhook

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"bintubridge/subjects"
)

const captureDir = "../../testdata/captures"

// capture is one entry of index.json: a real request, and what is known of it.
type capture struct {
	File      string            `json:"file"`
	Dialect   string            `json:"dialect"`
	Call      string            `json:"call"`
	CustomRaw string            `json:"custom_raw"`
	Genuine   map[string]string `json:"genuine"`

	body string
}

// captures reads all captured requests. The body of a GET is its query.
func captures(t testing.TB) []capture {
	t.Helper()
	index, err := os.ReadFile(filepath.Join(captureDir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list []capture
	if err := json.Unmarshal(index, &list); err != nil {
		t.Fatal(err)
	}
	for i := range list {
		data, err := os.ReadFile(filepath.Join(captureDir, list[i].File))
		if err != nil {
			t.Fatal(err)
		}
		head, body, _ := bytes.Cut(data, []byte("\r\n\r\n"))
		line, _, _ := bytes.Cut(head, []byte("\r\n"))
		if query, isGet := bytes.CutPrefix(line, []byte("GET /hook?")); isGet {
			body = bytes.TrimSuffix(query, []byte(" HTTP/1.0"))
		}
		list[i].body = string(body)
	}
	if len(list) != 136 {
		t.Fatalf("%d captures, want 136", len(list))
	}
	return list
}

func (c *capture) dialect(t testing.TB) Dialect {
	t.Helper()
	d, err := ParseDialect(c.Dialect)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestCapturesParse holds Parse against what the captures' index says of them.
func TestCapturesParse(t *testing.T) {
	var r Request // one for all: nothing may stay from one to the next
	for _, c := range captures(t) {
		t.Run(c.File, func(t *testing.T) {
			got := parsed(&r, c.dialect(t), c.body)
			if got.err != nil {
				t.Fatal(got.err)
			}
			want := reading{call: c.Call, trusted: c.Genuine}
			maps.DeleteFunc(want.trusted, func(_, value string) bool { return value == "" })
			for _, p := range want.pairs(c.CustomRaw) {
				want.addTo(&want.custom, p, func(string) bool { return true })
			}
			wantReading(t, got, want)
			if r.Call != subjects.ParseCall(c.Call) || r.Call == subjects.UnknownCall {
				t.Errorf("call %d, want %d", r.Call, subjects.ParseCall(c.Call))
			}
			if r.Body != c.body {
				t.Errorf("body %q, want %q", r.Body, c.body)
			}
		})
	}
}

// TestCapturesCustom spells out what the customer has to see of the odd ones,
// so that the reading above does not rest on one decoder.
func TestCapturesCustom(t *testing.T) {
	want := map[string]struct {
		custom []subjects.Field
		lossy  bool
	}{
		"":                                 {},
		"foo=bar&batz=12345":               {custom: []subjects.Field{{Key: "foo", Value: "bar"}, {Key: "batz", Value: "12345"}}},
		"token=a%2Bb%20c":                  {custom: []subjects.Field{{Key: "token", Value: "a+b c"}}},
		"title=%E6%97%A5%C3%BC":            {custom: []subjects.Field{{Key: "title", Value: "日ü"}}},
		"foo=1&foo=2":                      {custom: []subjects.Field{{Key: "foo", Value: "1"}}, lossy: true},
		"call=play&name=evil&addr=1.2.3.4": {custom: []subjects.Field{{Key: "call", Value: "play"}, {Key: "name", Value: "evil"}, {Key: "addr", Value: "1.2.3.4"}}},
		"a=&b=&=c&&d":                      {custom: []subjects.Field{{Key: "a"}, {Key: "b"}, {Value: "c"}, {Key: "d"}}},
		"q=a+b+c":                          {custom: []subjects.Field{{Key: "q", Value: "a b c"}}},
		"justtoken":                        {custom: []subjects.Field{{Key: "justtoken"}}},
		"a=%zz&b=100%&c=ok":                {custom: []subjects.Field{{Key: "a", Value: "%zz"}, {Key: "b", Value: "100%"}, {Key: "c", Value: "ok"}}, lossy: true},
		"viewer=7":                         {custom: []subjects.Field{{Key: "viewer", Value: "7"}}},
		"foo=bar":                          {custom: []subjects.Field{{Key: "foo", Value: "bar"}}},
		"k=1":                              {custom: []subjects.Field{{Key: "k", Value: "1"}}},
		"who=first":                        {custom: []subjects.Field{{Key: "who", Value: "first"}}},
		"who=second":                       {custom: []subjects.Field{{Key: "who", Value: "second"}}},
	}
	var r Request
	for _, c := range captures(t) {
		w, known := want[c.CustomRaw]
		if !known {
			t.Errorf("%s: nothing is said of %q", c.File, c.CustomRaw)
			continue
		}
		if err := r.Parse(c.dialect(t), []byte(c.body)); err != nil {
			t.Errorf("%s: %v", c.File, err)
		}
		if !slices.Equal(r.Custom.List(), w.custom) || r.Lossy != w.lossy {
			t.Errorf("%s: custom %q, lossy %v, want %q, %v", c.File, r.Custom.List(), r.Lossy, w.custom, w.lossy)
		}
	}
}

// TestCapturesBuild builds every captured body again, byte for byte.
func TestCapturesBuild(t *testing.T) {
	var r Request
	for _, c := range captures(t) {
		d := c.dialect(t)
		if err := r.Parse(d, []byte(c.body)); err != nil {
			t.Fatal(err)
		}
		if got := string(AppendBody([]byte("before"), d, &r, c.CustomRaw)); got != "before"+c.body {
			t.Errorf("%s:\n got %s\nwant before%s", c.File, got, c.body)
		}
	}
}
