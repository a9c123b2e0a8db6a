package webhook

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"bintubridge/subjects"
)

type fields = []subjects.Field

func TestParse(t *testing.T) {
	name64K := strings.Repeat("n", 64<<10)
	tests := map[string]struct {
		dialect Dialect
		body    string
		want    reading
	}{
		"bintu, as its documentation shows it": {
			body: "foo=bar&batz=12345&call=publish&name=CD6xx-123456&type=live&app=live&tcurl=rtmp%3A%2F%2Fb.de%3A1935%2Flive&addr=1.2.3.4&clientid=9",
			want: reading{call: "publish", trusted: map[string]string{"name": "CD6xx-123456", "type": "live", "app": "live",
				"tcurl": "rtmp://b.de:1935/live", "addr": "1.2.3.4", "clientid": "9"},
				custom: fields{{Key: "foo", Value: "bar"}, {Key: "batz", Value: "12345"}}},
		},
		"bintu, two calls": {
			body: "call=publish_done&name=victim&call=publish&name=mine",
			want: reading{call: "publish", trusted: map[string]string{"name": "mine"},
				custom: fields{{Key: "call", Value: "publish_done"}, {Key: "name", Value: "victim"}}},
		},
		"bintu, two calls in encoded spelling": {
			body: "c%61ll=publish_done&n%61me=victim&%63%61%6C%6c=publish&name=mine",
			want: reading{call: "publish", trusted: map[string]string{"name": "mine"},
				custom: fields{{Key: "call", Value: "publish_done"}, {Key: "name", Value: "victim"}}},
		},
		"bintu, keys that begin as call does, or go on": {
			body: "call=publish&name=x&c%61l=1&c%61llx=2&c%61ll%00=3&%63=4",
			want: reading{call: "publish", trusted: map[string]string{"name": "x"}, extra: fields{{Key: "cal", Value: "1"},
				{Key: "callx", Value: "2"}, {Key: "call\x00", Value: "3"}, {Key: "c", Value: "4"}}},
		},
		"bintu, an absent trusted field stays absent": {
			body: "pageurl=http://x&bytes_in=1&addr=9.9.9.9&call=publish&name=mine",
			want: reading{call: "publish", trusted: map[string]string{"name": "mine"},
				custom: fields{{Key: "pageurl", Value: "http://x"}, {Key: "bytes_in", Value: "1"}, {Key: "addr", Value: "9.9.9.9"}}},
		},
		"bintu, call in a name is no call": {
			body: "call=publish&name=x%26call=play%26name=y",
			want: reading{call: "publish", trusted: map[string]string{"name": "x&call=play&name=y"}},
		},
		"bintu, arguments cut inside an escape": {
			body: "t=abc%4&call=publish&name=x",
			want: reading{call: "publish", trusted: map[string]string{"name": "x"},
				custom: fields{{Key: "t", Value: "abc%4"}}, lossy: true},
		},
		"alias of bintu's documentation": {
			body: "call=publish_update&time=2&timestamp=-5&name=x",
			want: reading{call: "update_publish", trusted: map[string]string{"name": "x", "time": "2", "timestamp": "-5"}},
		},
		"unknown call with unknown fields": {
			body: "a=1&call=playlist&module=hls&name=x&module=hls&path=%2Fp",
			want: reading{call: "playlist", trusted: map[string]string{"name": "x", "path": "/p"},
				extra: fields{{Key: "module", Value: "hls"}}, custom: fields{{Key: "a", Value: "1"}}},
		},
		"unknown field with two values": {
			body: "call=x&k=1&k=2",
			want: reading{call: "x", extra: fields{{Key: "k", Value: "1"}}, lossy: true},
		},
		"trusted field with two values": {
			body: "call=publish&name=a&name=b",
			want: reading{call: "publish", trusted: map[string]string{"name": "a"}, lossy: true},
		},
		"trusted field empty and then not": {
			body: "call=publish&name=&name=b",
			want: reading{call: "publish", lossy: true},
		},
		"trusted field with a broken escape": {
			body: "call=publish&name=a%zz",
			want: reading{call: "publish", trusted: map[string]string{"name": "a%zz"}, lossy: true},
		},
		"trusted field that is no UTF-8": {
			body: "call=publish&name=a%ff",
			want: reading{call: "publish", trusted: map[string]string{"name": "a\xff"}, lossy: true},
		},
		"empty pairs everywhere": {
			body: "&&a=1&&&call=publish&&name=x&",
			want: reading{call: "publish", trusted: map[string]string{"name": "x"}, custom: fields{{Key: "a", Value: "1"}}},
		},
		"name of 64 KiB": {
			body: "call=publish&name=" + name64K,
			want: reading{call: "publish", trusted: map[string]string{"name": name64K}},
		},

		"custom: NUL, CR LF, quotes and a semicolon": {
			body: "a=\x00%00&b=\r\n%0D%0A&c=\"'<&d=1;call=play;name=y&call=publish",
			want: reading{call: "publish", custom: fields{{Key: "a", Value: "\x00\x00"}, {Key: "b", Value: "\r\n\r\n"},
				{Key: "c", Value: "\"'<"}, {Key: "d", Value: "1;call=play;name=y"}}},
		},
		"custom: broken escapes": {
			body: "%zz=1&a=%&b=%4&c=%4g&d=+%zz%41&call=publish",
			want: reading{call: "publish", lossy: true, custom: fields{{Key: "%zz", Value: "1"}, {Key: "a", Value: "%"},
				{Key: "b", Value: "%4"}, {Key: "c", Value: "%4g"}, {Key: "d", Value: "+%zz%41"}}},
		},
		"custom: plus is a space, as in any form": {
			body: "a+b=c+d%2B&call=publish",
			want: reading{call: "publish", custom: fields{{Key: "a b", Value: "c d+"}}},
		},
		"custom: invalid UTF-8 in a key": {
			body: "\xff=1&call=publish",
			want: reading{call: "publish", custom: fields{{Key: "\xff", Value: "1"}}, lossy: true},
		},
		"custom: UTF-8 in two spellings is one key": {
			body: "%C3%BC=1&\u00fc=2&call=publish",
			want: reading{call: "publish", custom: fields{{Key: "\u00fc", Value: "1"}}, lossy: true},
		},
		"custom: the same value again is a repeat too": {
			body: "a=1&a=1&call=publish",
			want: reading{call: "publish", custom: fields{{Key: "a", Value: "1"}}, lossy: true},
		},
		"custom: more = than one": {
			body: "a=b=c&==&call=publish",
			want: reading{call: "publish", custom: fields{{Key: "a", Value: "b=c"}, {Key: "", Value: "="}}},
		},

		"nginx-rtmp, two calls": {
			dialect: NginxRTMP,
			body:    "app=live&addr=1.2.3.4&call=publish&name=mine&type=live&call=play&name=victim&addr=9.9.9.9",
			want: reading{call: "publish", trusted: map[string]string{"app": "live", "addr": "1.2.3.4", "name": "mine", "type": "live"},
				custom: fields{{Key: "call", Value: "play"}, {Key: "name", Value: "victim"}, {Key: "addr", Value: "9.9.9.9"}}},
		},
		"nginx-rtmp, unknown session field": {
			dialect: NginxRTMP,
			body:    "app=live&new=1&call=connect&name=victim",
			want: reading{call: "connect", trusted: map[string]string{"app": "live"}, extra: fields{{Key: "new", Value: "1"}},
				custom: fields{{Key: "name", Value: "victim"}}},
		},
		"nginx-rtmp, nothing of an unknown call is trusted": {
			dialect: NginxRTMP,
			body:    "app=live&call=new&name=victim",
			want: reading{call: "new", trusted: map[string]string{"app": "live"},
				custom: fields{{Key: "name", Value: "victim"}}},
		},
		"nginx-rtmp, done without a name": {
			dialect: NginxRTMP,
			body:    "app=live&call=publish_done&foo=bar&name=victim",
			want: reading{call: "publish_done", trusted: map[string]string{"app": "live"},
				custom: fields{{Key: "foo", Value: "bar"}, {Key: "name", Value: "victim"}}},
		},
		"nginx-rtmp, done without a name, encoded spelling is not the module's": {
			dialect: NginxRTMP,
			body:    "app=live&call=publish_done&n%61me=victim",
			want: reading{call: "publish_done", trusted: map[string]string{"app": "live"},
				custom: fields{{Key: "name", Value: "victim"}}},
		},
		"nginx-rtmp, done without a name, an empty pair ends the order": {
			dialect: NginxRTMP,
			body:    "app=live&call=publish_done&&name=victim",
			want: reading{call: "publish_done", trusted: map[string]string{"app": "live"},
				custom: fields{{Key: "name", Value: "victim"}}},
		},
		"nginx-rtmp, done without a name, a key without = is not the module's": {
			dialect: NginxRTMP,
			body:    "app=live&call=publish_done&name",
			want:    reading{call: "publish_done", trusted: map[string]string{"app": "live"}, custom: fields{{Key: "name"}}},
		},
		"nginx-rtmp, the one ambiguity": {
			dialect: NginxRTMP,
			body:    "app=live&call=publish_done&name=victim",
			want:    reading{call: "publish_done", trusted: map[string]string{"app": "live", "name": "victim"}},
		},
		"nginx-rtmp, update without a name": {
			dialect: NginxRTMP,
			body:    "app=live&call=update_play&time=2&timestamp=3&foo=bar",
			want: reading{call: "update_play", trusted: map[string]string{"app": "live", "time": "2", "timestamp": "3"},
				custom: fields{{Key: "foo", Value: "bar"}}},
		},
		"nginx-rtmp, a publish with no name is not searched for one": {
			dialect: NginxRTMP,
			body:    "app=live&call=publish&type=live&name=victim",
			want: reading{call: "publish", trusted: map[string]string{"app": "live"},
				custom: fields{{Key: "type", Value: "live"}, {Key: "name", Value: "victim"}}},
		},
		"nginx-rtmp, a play's fields count in their order alone": {
			dialect: NginxRTMP,
			body:    "app=live&call=play&name=x&duration=1&start=2&reset=0",
			want: reading{call: "play", trusted: map[string]string{"app": "live", "name": "x"},
				custom: fields{{Key: "duration", Value: "1"}, {Key: "start", Value: "2"}, {Key: "reset", Value: "0"}}},
		},
		"nginx-rtmp, record_done without a name": {
			dialect: NginxRTMP,
			body:    "app=live&call=record_done&recorder=all&path=/a.flv&name=victim",
			want: reading{call: "record_done", trusted: map[string]string{"app": "live", "recorder": "all", "path": "/a.flv"},
				custom: fields{{Key: "name", Value: "victim"}}},
		},
		"nginx-rtmp, disconnect says app twice": {
			dialect: NginxRTMP,
			body:    "app=live&call=disconnect&app=live&app=evil",
			want: reading{call: "disconnect", trusted: map[string]string{"app": "live"},
				custom: fields{{Key: "app", Value: "evil"}}},
		},
		"nginx-rtmp, empty values": {
			dialect: NginxRTMP,
			body:    "app=&call=publish&name=&type=&name=victim",
			want:    reading{call: "publish", custom: fields{{Key: "name", Value: "victim"}}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var r Request
			wantReading(t, parsed(&r, test.dialect, test.body), test.want)
			wantReading(t, oracle(test.dialect, test.body), test.want)
		})
	}
}

func TestParseErrors(t *testing.T) {
	long := strings.Repeat("x", MaxCall)
	tests := map[string]struct {
		dialect Dialect
		body    string
		want    error
	}{
		"empty":                            {Bintu, "", ErrEmptyBody},
		"empty, nginx-rtmp":                {NginxRTMP, "", ErrEmptyBody},
		"no call":                          {Bintu, "foo=bar&name=x", ErrNoCall},
		"no call, nginx-rtmp":              {NginxRTMP, "app=live&name=x", ErrNoCall},
		"call in a value":                  {Bintu, "foo=call", ErrNoCall},
		"call in another case":             {Bintu, "Call=publish", ErrNoCall},
		"call behind a semicolon":          {Bintu, "a=1;call=publish", ErrNoCall},
		"call with a blank":                {Bintu, "call+=publish", ErrNoCall},
		"empty call":                       {Bintu, "call=&name=x", ErrNoCall},
		"empty call, nginx-rtmp":           {NginxRTMP, "app=live&call=&name=x", ErrNoCall},
		"call without a value":             {Bintu, "call", ErrNoCall},
		"last call is empty":               {Bintu, "call=publish&name=x&call=", ErrNoCall},
		"only separators":                  {Bintu, "&&&", ErrNoCall},
		"call with a dot":                  {Bintu, "call=a.b", ErrCall},
		"call with a wildcard":             {Bintu, "call=%3E", ErrCall},
		"call with a line break":           {Bintu, "call=publish%0A", ErrCall},
		"call with a NUL":                  {Bintu, "call=publish%00", ErrCall},
		"call with a space":                {Bintu, "call=pub+lish", ErrCall},
		"call with a broken escape":        {Bintu, "call=publish%4", ErrCall},
		"call outside ASCII":               {Bintu, "call=p\u00fcblish", ErrCall},
		"call of 65 bytes":                 {Bintu, "call=x" + long, ErrCall},
		"first call counts, nginx-rtmp":    {NginxRTMP, "app=live&call=a.b&call=publish", ErrCall},
		"bintu's order":                    {NginxRTMP, "call=publish&name=x&app=live", ErrOrder},
		"bintu's order with custom fields": {NginxRTMP, "foo=bar&call=publish&app=live", ErrOrder},
		"app without a value":              {NginxRTMP, "app&call=publish", ErrOrder},
		"JSON":                             {NginxRTMP, `{"app":"live"}`, ErrOrder},
	}
	var r Request
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if err := r.Parse(Bintu, []byte("left=over&call=publish&name=x&new=1&bad=%zz")); err != nil {
				t.Fatal(err)
			}
			err := r.Parse(test.dialect, []byte(test.body))
			if !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			if got := oracle(test.dialect, test.body).err; !errors.Is(got, test.want) {
				t.Errorf("the oracle says %v, want %v", got, test.want)
			}
			if r.Body != test.body {
				t.Errorf("body %q, want %q", r.Body, test.body)
			}
			if r.Call != 0 || r.CallText != "" || len(trustedFields(&r)) > 0 || r.Extra.Len() > 0 || r.Custom.Len() > 0 || r.Lossy {
				t.Errorf("half a request was left: %+v", r)
			}
		})
	}
	if err := r.Parse(Bintu, []byte("call="+long)); err != nil || r.CallText != long {
		t.Errorf("a call of %d bytes: %v", MaxCall, err)
	}
}

// TestParseManyPairs has as many fields as a body of the default limit holds,
// all different or all the same.
func TestParseManyPairs(t *testing.T) {
	var different, same strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&different, "k%%%02x%d=%d&", 'x', i, i)
		same.WriteString("k=1&")
	}
	var r Request
	if err := r.Parse(Bintu, []byte(different.String()+"call=publish&name=x")); err != nil {
		t.Fatal(err)
	}
	if r.Custom.Len() != 10_000 || r.Lossy || r.Name != "x" {
		t.Errorf("%d custom fields, lossy %v, name %q", r.Custom.Len(), r.Lossy, r.Name)
	}
	for _, i := range []int{0, 1, 4999, 9999} {
		if got, _ := r.Custom.Get(fmt.Sprintf("kx%d", i)); got != fmt.Sprint(i) {
			t.Errorf("field %d is %q", i, got)
		}
	}
	if err := r.Parse(NginxRTMP, []byte("app=live&call=publish&name=x&type=live&"+same.String())); err != nil {
		t.Fatal(err)
	}
	if r.Custom.Len() != 1 || !r.Lossy {
		t.Errorf("%d custom fields, lossy %v", r.Custom.Len(), r.Lossy)
	}
}

// TestParseAgain holds that views of one body survive the decoding of the rest
// of it, however often the request was used before.
func TestParseAgain(t *testing.T) {
	var r Request
	for n := range 50 {
		args := strings.Repeat("%41=%42%43&", n) + "z=%5A"
		for _, d := range []Dialect{Bintu, NginxRTMP} {
			sent := Request{Call: subjects.Play, Name: strings.Repeat("ü ", n+1), App: "a&b", Reset: "0"}
			body := AppendBody(nil, d, &sent, args)
			if err := r.Parse(d, body); err != nil {
				t.Fatal(err)
			}
			if r.Name != sent.Name || r.App != "a&b" {
				t.Errorf("%v, %d: name %q, app %q", d, n, r.Name, r.App)
			}
			want := fields{{Key: "A", Value: "BC"}, {Key: "z", Value: "Z"}}
			if n == 0 {
				want = want[1:]
			}
			if !slices.Equal(r.Custom.List(), want) {
				t.Errorf("%v, %d: custom %q", d, n, r.Custom.List())
			}
		}
	}
}

func TestDialect(t *testing.T) {
	for _, d := range []Dialect{Bintu, NginxRTMP} {
		if got, err := ParseDialect(d.String()); got != d || err != nil {
			t.Errorf("%v reads as %v, %v", d, got, err)
		}
	}
	for _, text := range []string{"", "Bintu", "nginx", "nginx-rtmp "} {
		if _, err := ParseDialect(text); err == nil || !strings.Contains(err.Error(), "bintu or nginx-rtmp") {
			t.Errorf("%q: error %v does not say what is allowed", text, err)
		}
	}
	if got := Dialect(9).String(); got != "Dialect(9)" {
		t.Errorf("unknown dialect is called %q", got)
	}
}
