package webhook

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"bintubridge/subjects"
)

// reading is what a body says, by the oracle or by Parse.
type reading struct {
	err     error
	call    string
	trusted map[string]string // the fields of Request that are not empty
	extra   []subjects.Field
	custom  []subjects.Field
	lossy   bool
}

// oracle reads a body the slow and obvious way: it cuts the text in two with
// what position says, and then decodes the pairs of both parts.
func oracle(d Dialect, body string) reading {
	trusted, custom, err := oracleCut(d, body)
	if err != nil {
		return reading{err: err}
	}
	var o reading
	o.trusted = map[string]string{}
	for _, p := range o.pairs(trusted) {
		if p.Key == "call" {
			o.call = p.Value
			continue
		}
		if !slices.Contains(fieldNames, p.Key) {
			o.addTo(&o.extra, p, func(old string) bool { return old != p.Value })
			continue
		}
		if old, found := o.trusted[p.Key]; !found {
			o.trusted[p.Key] = p.Value
		} else if old != p.Value {
			o.lossy = true
		}
	}
	for _, p := range o.pairs(custom) {
		o.addTo(&o.custom, p, func(string) bool { return true })
	}
	maps.DeleteFunc(o.trusted, func(_, value string) bool { return value == "" })
	switch {
	case o.call == "":
		return reading{err: ErrNoCall}
	case !callPattern.MatchString(o.call):
		return reading{err: ErrCall}
	case o.call == "publish_update":
		o.call = "update_publish"
	}
	return o
}

var callPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// afterCall holds the fields of the nginx-rtmp order behind call=..., each one
// within the group of the one that has to be there before it.
var afterCall = map[string]*regexp.Regexp{
	"publish":        regexp.MustCompile(`^(?:name=[^&]*(?:&|$)(?:type=[^&]*(?:&|$))?)?`),
	"play":           regexp.MustCompile(`^(?:name=[^&]*(?:&|$)(?:start=[^&]*(?:&|$)(?:duration=[^&]*(?:&|$)(?:reset=[^&]*(?:&|$))?)?)?)?`),
	"update_publish": regexp.MustCompile(`^(?:time=[^&]*(?:&|$)(?:timestamp=[^&]*(?:&|$)(?:name=[^&]*(?:&|$))?)?)?`),
	"publish_done":   regexp.MustCompile(`^(?:name=[^&]*(?:&|$))?`),
	"disconnect":     regexp.MustCompile(`^(?:app=[^&]*(?:&|$))?`),
	"record_done":    regexp.MustCompile(`^(?:recorder=[^&]*(?:&|$)(?:name=[^&]*(?:&|$))?(?:path=[^&]*(?:&|$))?)?`),
}

func oracleCut(d Dialect, body string) (trusted, custom string, err error) {
	if body == "" {
		return "", "", ErrEmptyBody
	}
	pairs := strings.Split(body, "&")
	isCall := func(p string) bool {
		key, _, _ := strings.Cut(p, "=")
		text, err := url.QueryUnescape(key)
		return err == nil && text == "call"
	}
	if d == Bintu {
		for i := len(pairs) - 1; i >= 0; i-- {
			if isCall(pairs[i]) {
				return strings.Join(pairs[i:], "&"), strings.Join(pairs[:i], "&"), nil
			}
		}
		return "", "", ErrNoCall
	}
	if !strings.HasPrefix(body, "app=") {
		return "", "", ErrOrder
	}
	i := slices.IndexFunc(pairs, isCall)
	if i < 0 {
		return "", "", ErrNoCall
	}
	_, value, _ := strings.Cut(pairs[i], "=")
	call, _ := url.QueryUnescape(value)
	switch call {
	case "publish_update", "update_play":
		call = "update_publish"
	case "play_done", "done":
		call = "publish_done"
	}
	custom = strings.Join(pairs[i+1:], "&")
	trusted = strings.Join(pairs[:i+1], "&")
	if order := afterCall[call]; order != nil {
		n := order.FindStringIndex(custom)[1]
		trusted, custom = trusted+"&"+custom[:n], custom[n:]
	}
	return trusted, custom, nil
}

// pairs decodes the pairs of form, without the empty ones.
func (o *reading) pairs(form string) []subjects.Field {
	var list []subjects.Field
	for text := range strings.SplitSeq(form, "&") {
		if text == "" {
			continue
		}
		key, value, _ := strings.Cut(text, "=")
		list = append(list, subjects.Field{Key: o.text(key), Value: o.text(value)})
	}
	return list
}

func (o *reading) text(raw string) string {
	text, err := url.QueryUnescape(raw)
	if err != nil {
		text = raw
	}
	if err != nil || !utf8.ValidString(text) {
		o.lossy = true
	}
	return text
}

func (o *reading) addTo(list *[]subjects.Field, p subjects.Field, loses func(old string) bool) {
	for _, f := range *list {
		if f.Key == p.Key {
			o.lossy = o.lossy || loses(f.Value)
			return
		}
	}
	*list = append(*list, p)
}

// parsed is what Parse makes of a body.
func parsed(r *Request, d Dialect, body string) reading {
	if err := r.Parse(d, []byte(body)); err != nil {
		return reading{err: err}
	}
	return reading{
		call:    r.CallText,
		trusted: trustedFields(r),
		extra:   slices.Clone(r.Extra.List()),
		custom:  slices.Clone(r.Custom.List()),
		lossy:   r.Lossy,
	}
}

// fieldNames are the wire's names of the fields of a Request.
var fieldNames = []string{"name", "app", "addr", "clientid", "type", "flashver", "swfurl", "tcurl", "pageurl",
	"recorder", "path", "bytes_in", "bytes_out", "time", "timestamp", "start", "duration", "reset", "epoch"}

// trustedFields returns the request's own fields by their names on the wire,
// without the empty ones.
func trustedFields(r *Request) map[string]string {
	all := map[string]string{
		"name": r.Name, "app": r.App, "addr": r.Addr, "clientid": r.ClientID,
		"type": r.Type, "flashver": r.FlashVer, "swfurl": r.SWFURL, "tcurl": r.TCURL, "pageurl": r.PageURL,
		"recorder": r.Recorder, "path": r.Path, "bytes_in": r.BytesIn, "bytes_out": r.BytesOut,
		"time": r.Time, "timestamp": r.Timestamp, "start": r.Start, "duration": r.Duration, "reset": r.Reset,
		"epoch": r.Epoch,
	}
	maps.DeleteFunc(all, func(_, value string) bool { return value == "" })
	return all
}

// wantReading fails the test where got is not want.
func wantReading(t interface {
	Helper()
	Errorf(string, ...any)
}, got, want reading) {
	t.Helper()
	if got.err != want.err { //nolint:errorlint // Parse promises the variables themselves
		t.Errorf("error %v, want %v", got.err, want.err)
	}
	if got.call != want.call {
		t.Errorf("call %q, want %q", got.call, want.call)
	}
	if !maps.Equal(got.trusted, want.trusted) {
		t.Errorf("trusted fields\n got %q\nwant %q", got.trusted, want.trusted)
	}
	if !slices.Equal(got.extra, want.extra) {
		t.Errorf("extra fields\n got %q\nwant %q", got.extra, want.extra)
	}
	if !slices.Equal(got.custom, want.custom) {
		t.Errorf("custom fields\n got %q\nwant %q", got.custom, want.custom)
	}
	if got.lossy != want.lossy {
		t.Errorf("lossy %v, want %v", got.lossy, want.lossy)
	}
}

func TestOracleKnowsTheDifference(t *testing.T) {
	a := oracle(Bintu, "foo=1&call=publish&name=x")
	b := oracle(NginxRTMP, "app=live&call=publish&name=x&type=live&foo=1")
	if a.call != "publish" || a.trusted["name"] != "x" || len(a.custom) != 1 ||
		b.call != "publish" || b.trusted["type"] != "live" || len(b.custom) != 1 {
		t.Errorf("the oracle is wrong: %+v, %+v", a, b)
	}
}
