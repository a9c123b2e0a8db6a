package webhook

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
)

// hidden is what stands for a secret, worked out the long way.
func hidden(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return fmt.Sprintf("sha256:%x", sum[:8])
}

func TestHiddenIsWhatTheDesignSays(t *testing.T) {
	if got, want := hidden("abc"), "sha256:ba7816bf8f01cfea"; got != want { // FIPS 180-2, B.1
		t.Errorf("%q, want %q", got, want)
	}
}

func TestRedact(t *testing.T) {
	redactor := NewRedactor([]string{"token", " StreamKey ", ""})
	tests := map[string]struct{ body, want string }{
		"nothing to hide":          {"foo=bar&a=%zz&&=c&d&call=publish&name=x", "foo=bar&a=%zz&&=c&d&call=publish&name=x"},
		"named":                    {"token=s&call=publish", "token=" + hidden("s") + "&call=publish"},
		"value decoded first":      {"token=a%2Bb+c&call=publish", "token=" + hidden("a+b c") + "&call=publish"},
		"value with broken escape": {"token=a%zz+&call=publish", "token=" + hidden("a%zz+") + "&call=publish"},
		"repeated":                 {"token=s&token=t&call=publish", "token=" + hidden("s") + "&token=" + hidden("t") + "&call=publish"},
		"another case":             {"ToKeN=s&STREAMKEY=t&call=publish", "ToKeN=" + hidden("s") + "&STREAMKEY=" + hidden("t") + "&call=publish"},
		"encoded key":              {"tok%65n=s&%54oken=t&call=publish", "tok%65n=" + hidden("s") + "&%54oken=" + hidden("t") + "&call=publish"},
		"blanks and NUL around":    {"+token=s&token%00=t&%0D%0Atoken%20=u&call=publish", "+token=" + hidden("s") + "&token%00=" + hidden("t") + "&%0D%0Atoken%20=" + hidden("u") + "&call=publish"},
		"empty value":              {"token=&token&call=publish", "token=&token&call=publish"},
		"more = than one":          {"token=a=b&call=publish", "token=" + hidden("a=b") + "&call=publish"},
		"key in a key":             {"mytoken=s&token2=t&call=publish", "mytoken=s&token2=t&call=publish"},
		"Kelvin sign":              {"to\u212aen=s&call=publish", "to\u212aen=s&call=publish"},
		"broken escape in key":     {"token%zz=s&call=publish", "token%zz=s&call=publish"},
		"semicolon is no split":    {"a=1;token=s&call=publish", "a=1;token=s&call=publish"},
		"trusted, unknown":         {"call=publish&token=s", "call=publish&token=" + hidden("s")},
		"URL": {"call=publish&tcurl=rtmp://h/live%3Fa=1%26token=s%26b=2&pageurl=http://p/%3Fstreamkey=t",
			"call=publish&tcurl=rtmp://h/live%3Fa=1%26token=" + hidden("s") + "%26b=2&pageurl=http://p/%3Fstreamkey=" + hidden("t")},
		"URL, raw and custom":       {"swfurl=h?token=s&call=publish", "swfurl=h%3Ftoken=" + hidden("s") + "&call=publish"},
		"URL with nothing to hide":  {"call=publish&tcurl=rtmp%3A//h/live?a=%zz&pageurl=token=s", "call=publish&tcurl=rtmp%3A//h/live?a=%zz&pageurl=token=s"},
		"a URL of a URL is a value": {"call=publish&tcurl=x%3Ftcurl=y%3Ftoken=s", "call=publish&tcurl=x%3Ftcurl=y%3Ftoken=s"},
		"no call":                   {"token=s&foo=bar", "token=" + hidden("s") + "&foo=bar"},
		"trailing &":                {"token=s&", "token=" + hidden("s") + "&"},
		"empty":                     {"", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := string(redactor.AppendRaw([]byte("before"), test.body)); got != "before"+test.want {
				t.Errorf("raw\n got %q\nwant %q", got, "before"+test.want)
			}
			// What Redact makes of the fields is what the redacted body says.
			var got, want Request
			if got.Parse(Bintu, []byte(test.body)) != nil {
				return
			}
			redactor.Redact(&got)
			if err := want.Parse(Bintu, []byte(test.want)); err != nil {
				t.Fatal(err)
			}
			wantReading(t,
				reading{call: got.CallText, trusted: trustedFields(&got), extra: got.Extra.List(), custom: got.Custom.List()},
				reading{call: want.CallText, trusted: trustedFields(&want), extra: want.Extra.List(), custom: want.Custom.List()})
			if got.Body != test.body {
				t.Errorf("body %q, want %q", got.Body, test.body)
			}
		})
	}
}

// TestRedactDefaults hides every name that BRIDGE_REDACT has by default.
func TestRedactDefaults(t *testing.T) {
	names := strings.Split("token,key,password,secret,jwt,sig,signature,streamkey", ",")
	redactor := NewRedactor(names)
	for _, name := range names {
		if got, want := string(redactor.AppendRaw(nil, "a=1&"+name+"=s3")), "a=1&"+name+"="+hidden("s3"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestRedactNothing(t *testing.T) {
	for _, redactor := range []*Redactor{{}, NewRedactor(nil), NewRedactor([]string{"", " "})} {
		if got := string(redactor.AppendRaw(nil, "token=s&=t&+=u")); got != "token=s&=t&+=u" {
			t.Errorf("%+v hides in %q", redactor, got)
		}
	}
}

// TestRedactKeepsGet holds that a redacted field is found by its key still, past
// the size from which Fields keeps an index.
func TestRedactKeepsGet(t *testing.T) {
	var body strings.Builder
	for i := range 100 {
		fmt.Fprintf(&body, "k%d=%d&", i, i)
	}
	body.WriteString("token=s&call=publish")
	var r Request
	if err := r.Parse(Bintu, []byte(body.String())); err != nil {
		t.Fatal(err)
	}
	NewRedactor([]string{"token", "k50"}).Redact(&r)
	for key, want := range map[string]string{"token": hidden("s"), "k50": hidden("50"), "k51": "51"} {
		if got, _ := r.Custom.Get(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}
