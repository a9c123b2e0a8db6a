package webhook

import (
	"bytes"
	"net/url"
	"strings"
	"testing"
	"unsafe"

	"bintubridge/subjects"
)

// FuzzParse holds Parse against the oracle, for any body in both orders.
func FuzzParse(f *testing.F) {
	for _, c := range captures(f) {
		f.Add(c.Dialect == "nginx-rtmp", []byte(c.body))
	}
	for _, body := range []string{"", "&", "call", "call=&call=x", "c%61ll=x&%63all=y", "a=%zz&b=%&call=x%", "app=&app=&call=disconnect&app=",
		"app=live&call=record_done&recorder=&path=p&name=n", "app=live&call=play&name=&start=", "=&==&&call=x&=1&=2", "\xff=\xfe&call=x"} {
		f.Add(false, []byte(body))
		f.Add(true, []byte(body))
	}
	var r Request
	f.Fuzz(func(t *testing.T, nginx bool, body []byte) {
		d := Bintu
		if nginx {
			d = NginxRTMP
		}
		sent := string(body)
		wantReading(t, parsed(&r, d, sent), oracle(d, sent))
		if err := r.Parse(d, body); err != nil || r.Body != sent {
			if r.Body != sent {
				t.Errorf("body %q, want %q", r.Body, sent)
			}
			return
		}
		for _, text := range texts(&r) {
			if !within(text, body) && !within(text, r.scratch[:cap(r.scratch)]) {
				t.Errorf("%q is a view of neither the body nor the scratch memory", text)
			}
		}
		if string(body) != sent {
			t.Errorf("the body was changed to %q", body)
		}
		// What is built from it reads as it did, and builds as it did.
		built := AppendBody(nil, d, &r, "")
		if err := r.Parse(d, built); err != nil {
			t.Fatalf("built %q: %v", built, err)
		}
		if again := AppendBody(nil, d, &r, ""); !bytes.Equal(again, built) {
			t.Errorf("built %q, and from that %q", built, again)
		}
	})
}

// texts returns every string of the request that may be a view.
func texts(r *Request) []string {
	var list []string
	for _, value := range trustedFields(r) {
		list = append(list, value)
	}
	for _, set := range []*subjects.Fields{&r.Extra, &r.Custom} {
		for _, f := range set.List() {
			list = append(list, f.Key, f.Value)
		}
	}
	return list
}

func within(text string, memory []byte) bool {
	if text == "" {
		return true
	}
	if len(memory) == 0 {
		return false
	}
	offset := uintptr(unsafe.Pointer(unsafe.StringData(text))) - uintptr(unsafe.Pointer(unsafe.SliceData(memory)))
	return offset < uintptr(len(memory)) && offset+uintptr(len(text)) <= uintptr(len(memory))
}

// FuzzRedact puts a secret under a named key between anything, both spelled as
// the bits of spelling say, and looks for it in what comes out.
func FuzzRedact(f *testing.F) {
	f.Add("", "", uint64(0))
	f.Add("foo=bar", "call=publish&name=x", uint64(0xAAAAAAAA))
	f.Add("call=publish&name=x&tcurl=rtmp://h/a%3Ftoken=1", "token=other", uint64(1)<<40)
	f.Add("a=%", "%zz&;token", ^uint64(0))
	f.Add("tcurl=x%3F", "pageurl=%3Fa%26token=b", uint64(3))
	redactor := NewRedactor([]string{"token"})
	f.Fuzz(func(t *testing.T, before, after string, spelling uint64) {
		const secret = "S3cretV4lue"
		if strings.Contains(decodeAll(before+"&"+after), secret) {
			return // not ours to hide
		}
		pair := spell("tOkEn", spelling) + "=" + spell(secret, spelling>>5)
		inURL := "tcurl=" + url.QueryEscape("rtmp://h/live?x=1&"+pair+"&y=2")
		digestText := string(digest([]byte(secret), 0))

		for _, body := range []string{before + "&" + pair + "&" + after, before + "&" + inURL + "&" + after} {
			raw := string(redactor.AppendRaw(nil, body))
			if strings.Contains(decodeAll(raw), secret) {
				t.Errorf("%q became %q, with the secret in it", body, raw)
			}
			if !strings.Contains(raw, digestText) {
				t.Errorf("%q became %q, without the digest", body, raw)
			}
			if strings.Count(raw, "&") != strings.Count(body, "&") {
				t.Errorf("%q became %q, with another number of pairs", body, raw)
			}
			for _, d := range []Dialect{Bintu, NginxRTMP} {
				var r Request
				if r.Parse(d, []byte("app=x&"+body+"&call=publish")) != nil {
					continue
				}
				redactor.Redact(&r)
				for _, text := range texts(&r) {
					if strings.Contains(text, secret) {
						t.Errorf("%v: %q has a field %q", d, body, text)
					}
				}
			}
		}
	})
}

// spell percent-encodes the bytes of text whose bit is set.
func spell(text string, bits uint64) string {
	var b strings.Builder
	for i := range len(text) {
		if bits>>i&1 == 1 {
			b.WriteString("%" + string("0123456789abcdef"[text[i]>>4]) + string("0123456789ABCDEF"[text[i]&15]))
		} else {
			b.WriteByte(text[i])
		}
	}
	return b.String()
}

// decodeAll replaces every good escape, twice, for a URL in a form.
func decodeAll(text string) string {
	for range 2 {
		var out []byte
		for i := 0; i < len(text); i++ {
			if i+2 < len(text) {
				if c, err := url.PathUnescape(text[i : i+3]); err == nil && len(c) == 1 {
					out = append(out, c[0])
					i += 2
					continue
				}
			}
			out = append(out, text[i])
		}
		text = string(out)
	}
	return text
}
