package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"bintubridge/subjects"
)

// digestBytes is how much of the SHA-256 stands for a secret, 16 hex digits:
// enough to tell values apart.
const digestBytes = 8

const digestPrefix = "sha256:"

// Redactor replaces the values of named fields by "sha256:" and the first 16
// hex digits of the SHA-256 of the decoded value, so that two events can be seen
// to carry the same token and neither tells it. (A secret short enough to guess
// can still be found by guessing.) It does not change after NewRedactor: any
// number of goroutines may use it. The zero Redactor redacts nothing.
//
// A field is named when its decoded key is, in any ASCII case and with blanks or
// control bytes around it. That is wider than what rules look at, since a secret
// under a misspelled key is still a secret. A key with a broken escape is
// compared as it stands. Text that is no field of that name stays: "a=1;token=x"
// is the field a, here as in the rules.
//
// A client may put its fields on the connection's URL, and then tcurl repeats
// them: the query of tcurl, pageurl and swfurl is redacted too.
type Redactor struct {
	names []string
}

// NewRedactor returns a redactor of the fields called names. An empty name
// names nothing.
func NewRedactor(names []string) *Redactor {
	r := &Redactor{}
	for _, name := range names {
		if name = trimKey(name); name != "" {
			r.names = append(r.names, name)
		}
	}
	return r
}

// Redact replaces the named values of req.Custom and req.Extra, and those in
// its URLs. The new texts live as long as req's other strings. Decide first: a
// redacted request has no tokens. req.Body stays as it is, see AppendRaw.
func (r *Redactor) Redact(req *Request) {
	r.redactFields(req, &req.Custom)
	r.redactFields(req, &req.Extra)
	r.redactURL(req, &req.TCURL)
	r.redactURL(req, &req.PageURL)
	r.redactURL(req, &req.SWFURL)
}

func (r *Redactor) redactFields(req *Request, fields *subjects.Fields) {
	list := fields.List()
	for i := range list {
		switch f := &list[i]; {
		case f.Value == "":
		case r.named(f.Key):
			start := len(req.redacted)
			req.redacted = digest(append(req.redacted, f.Value...), start)
			f.Value = view(req.redacted[start:])
		case isURLKey(f.Key):
			r.redactURL(req, &f.Value)
		}
	}
}

func (r *Redactor) redactURL(req *Request, url *string) {
	start := len(req.redacted)
	if out, changed := r.appendURL(req.redacted, *url); changed {
		req.redacted = out
		*url = view(out[start:])
	}
}

// Raw returns the whole body of req as it may leave the process, see AppendRaw.
// It lives as long as req's other strings.
func (r *Redactor) Raw(req *Request) string {
	start := len(req.redacted)
	req.redacted = r.AppendRaw(req.redacted, req.Body)
	return view(req.redacted[start:])
}

// AppendRaw appends body with the value of every named pair replaced: repeated
// ones too, trusted or custom, whether or not the body can be parsed. The rest
// stays byte for byte. A body that is no form, JSON say, has no pairs to find.
func (r *Redactor) AppendRaw(dst []byte, body string) []byte {
	dst, _ = r.appendForm(dst, body, true)
	return dst
}

// appendForm appends form redacted, and reports whether that changed it. With
// urls, it looks into URLs too. It does so once, a query is not searched for
// further URLs, so that the work stays linear in the form's size.
func (r *Redactor) appendForm(dst []byte, form string, urls bool) (out []byte, changed bool) {
	for more := true; more; {
		var text string
		text, form, more = strings.Cut(form, "&")
		var hit bool
		dst, hit = r.appendPair(dst, text, urls)
		changed = changed || hit
		if more {
			dst = append(dst, '&')
		}
	}
	return dst, changed
}

// appendPair appends the one pair that text is. The space behind dst serves to
// decode in.
func (r *Redactor) appendPair(dst []byte, text string, urls bool) (out []byte, changed bool) {
	p, _ := cutPair(text)
	if p.value == "" {
		return append(dst, text...), false
	}
	start := len(dst)
	dst = appendText(dst, p.key)
	named, url := r.named(view(dst[start:])), urls && isURLKey(view(dst[start:]))

	dst = append(dst[:start], text[:len(text)-len(p.value)]...)
	value := len(dst)
	switch {
	case named:
		return digest(appendText(dst, p.value), value), true
	case url:
		dst = appendText(dst, p.value)
		decoded := len(dst)
		if dst, changed = r.appendURL(dst, view(dst[value:])); changed {
			redacted := len(dst)
			dst = appendEscaped(dst, view(dst[decoded:]))
			return append(dst[:value], dst[redacted:]...), true
		}
	}
	return append(dst[:value], p.value...), false
}

// appendURL appends url with the named pairs of its query redacted, and reports
// whether there were any.
func (r *Redactor) appendURL(dst []byte, url string) (out []byte, changed bool) {
	i := strings.IndexByte(url, '?') + 1
	if i == 0 {
		return dst, false
	}
	return r.appendForm(append(dst, url[:i]...), url[i:], false)
}

func isURLKey(key string) bool {
	return key == "tcurl" || key == "pageurl" || key == "swfurl"
}

func (r *Redactor) named(key string) bool {
	key = trimKey(key)
	for _, name := range r.names {
		if equalFold(key, name) {
			return true
		}
	}
	return false
}

// trimKey cuts blanks and control bytes off both ends.
func trimKey(key string) string {
	return strings.TrimFunc(key, func(c rune) bool { return c <= ' ' || c == 0x7F })
}

// equalFold compares in ASCII only: strings.EqualFold holds the Kelvin sign for
// a k.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// digest replaces text[start:] by its redacted form.
func digest(text []byte, start int) []byte {
	sum := sha256.Sum256(text[start:])
	text = append(text[:start], digestPrefix...)
	return hex.AppendEncode(text, sum[:digestBytes])
}
