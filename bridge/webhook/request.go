package webhook

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"bintubridge/subjects"
)

// MaxCall is the longest call that is well-formed, in bytes. The longest known
// one has 14; the limit keeps an unknown one short enough for a subject.
const MaxCall = 64

// Why a body is no webhook. Such a body is kept as an event, never decided.
var (
	ErrEmptyBody = errors.New("webhook: the body is empty: the sender has to POST a form")
	ErrNoCall    = errors.New("webhook: the body has no call: it is no webhook of bintu or nginx-rtmp")
	ErrCall      = errors.New("webhook: the call is not 1 to 64 bytes of [A-Za-z0-9_-]")
	ErrOrder     = errors.New("webhook: the body does not open with app=, as the nginx-rtmp order does: check BRIDGE_DIALECT")
)

// Request is one webhook, decoded. The zero value is ready to Parse into, and
// is best used again: a warm one does not allocate. One goroutine uses it at a
// time.
//
// Its strings are views into the body given to Parse or into memory of the
// request: they are valid until that body changes or the request is parsed into
// again, and have to be cloned to live longer.
type Request struct {
	Call     subjects.Call
	CallText string // the call's canonical name; for an unknown call, the text sent

	// What the sender says, "" when absent. See subjects.Event for the units.
	// FlashVer, SWFURL, TCURL and PageURL are the client's claims all the same.
	Name, App, Addr, ClientID              string
	Type, FlashVer, SWFURL, TCURL, PageURL string
	Recorder, Path                         string
	BytesIn, BytesOut                      string
	Time, Timestamp                        string
	Start, Duration, Reset                 string
	Epoch                                  string

	Extra  subjects.Fields // trusted fields this version does not know
	Custom subjects.Fields // chosen by the client: they prove nothing

	Lossy bool   // the fields above lost something: keep Body beside them
	Body  string // the whole body, as sent

	seen     uint32 // bit per key: the sender's field was there
	scratch  []byte // decoded text; never grown while a view into it is alive
	redacted []byte // text put in the place of secrets, see Redactor
}

// Parse reads body in the order of d. It forgets what the request held before.
// On an error, which is one of the Err variables, only Body is set.
func (r *Request) Parse(d Dialect, body []byte) error {
	r.reset(body)
	r.scratch = slices.Grow(r.scratch, len(body)) // decoded text is never longer
	err := r.parse(d)
	if err != nil {
		r.reset(body)
	}
	return err
}

func (r *Request) reset(body []byte) {
	r.Extra.Reset()
	r.Custom.Reset()
	*r = Request{
		Body:     view(body),
		Extra:    r.Extra,
		Custom:   r.Custom,
		scratch:  r.scratch[:0],
		redacted: r.redacted[:0],
	}
}

func (r *Request) parse(d Dialect) error {
	switch {
	case r.Body == "":
		return ErrEmptyBody
	case d == NginxRTMP:
		return r.parseTrustedFirst()
	}
	return r.parseCustomFirst()
}

// parseCustomFirst reads the bintu order: CUSTOM & call=... & trusted.
func (r *Request) parseCustomFirst() error {
	start := lastCall(r.Body)
	if start < 0 {
		return ErrNoCall
	}
	call, rest := cutPair(r.Body[start:])
	if err := r.setCall(call.value); err != nil {
		return err
	}
	var p pair
	for rest != "" {
		p, rest = cutPair(rest)
		r.setTrusted(p)
	}
	r.addCustom(r.Body[:start])
	return nil
}

// lastCall returns where the last pair whose decoded key is call begins, or -1.
func lastCall(body string) int {
	for end := len(body); end >= 0; {
		start := strings.LastIndexByte(body[:end], '&') + 1
		if p, _ := cutPair(body[start:end]); decodesTo(p.key, "call") {
			return start
		}
		end = start - 1
	}
	return -1
}

// parseTrustedFirst reads the nginx-rtmp order: trusted & call=... & the call's
// own fields & CUSTOM.
func (r *Request) parseTrustedFirst() error {
	p, rest := cutPair(r.Body)
	if p.key != "app" || !p.assigned {
		return ErrOrder
	}
	for !decodesTo(p.key, "call") {
		r.setTrusted(p)
		if rest == "" {
			return ErrNoCall
		}
		p, rest = cutPair(rest)
	}
	if err := r.setCall(p.value); err != nil {
		return err
	}
	r.addCustom(r.takeSlots(callSlots(NginxRTMP, r.Call), rest))
	return nil
}

// takeSlots reads the call's own fields off the start of form and returns what
// follows them. A field counts only where the sender writes it and in the
// sender's spelling: what differs is the client's.
func (r *Request) takeSlots(slots []slot, form string) (rest string) {
	for _, s := range slots {
		p, after := cutPair(form)
		switch {
		case p.key == s.name && p.assigned:
			r.setTrusted(p)
			form = after
		case s.presence == always:
			return form
		}
	}
	return form
}

func (r *Request) setCall(raw string) error {
	text := r.text(raw)
	if text == "" {
		return ErrNoCall
	}
	if !wellFormedCall(text) {
		return ErrCall
	}
	r.Call, r.CallText = subjects.ParseCall(text), text
	if r.Call != subjects.UnknownCall {
		r.CallText = r.Call.String()
	}
	return nil
}

func wellFormedCall(text string) bool {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return 0 < len(text) && len(text) <= MaxCall
}

// setTrusted keeps a field of the sender: the first value wins, and another one
// is a loss. The same one again is none: nginx-rtmp says app twice in a disconnect.
func (r *Request) setTrusted(p pair) {
	if p.empty() {
		return
	}
	name, value := r.text(p.key), r.text(p.value)
	field, k := r.field(name)
	switch {
	case field == nil:
		if old, found := r.Extra.Get(name); found {
			r.Lossy = r.Lossy || old != value
			return
		}
		r.Extra.Add(name, value)
	case r.seen&(1<<k) != 0:
		r.Lossy = r.Lossy || *field != value
	default:
		*field = value
		r.seen |= 1 << k
	}
}

// addCustom reads the client's part of the body.
func (r *Request) addCustom(form string) {
	var p pair
	for form != "" {
		p, form = cutPair(form)
		if p.empty() {
			continue
		}
		if !r.Custom.Add(r.text(p.key), r.text(p.value)) {
			r.Lossy = true
		}
	}
}

// text returns what raw stands for. It notes whether JSON could not say it.
func (r *Request) text(raw string) string {
	text := raw
	if !verbatim(raw) {
		start := len(r.scratch)
		decoded, ok := appendDecoded(r.scratch, raw)
		if ok {
			r.scratch = decoded
			text = view(decoded[start:])
		} else {
			r.Lossy = true
		}
	}
	if !utf8.ValidString(text) {
		r.Lossy = true
	}
	return text
}
