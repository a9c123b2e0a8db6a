package webhook

// AppendBody appends the body that a sender of dialect d sends for r, whose
// client put args behind the '?' of the stream name: the sender's values
// escaped as it escapes them, args as they are. Fields the sender does not send
// with the call are left out, and so is r.Custom, which args stand for.
//
// The result reads as r again, args as r.Custom, save for the ambiguity that
// the package comment tells of.
func AppendBody(dst []byte, d Dialect, r *Request, args string) []byte {
	call := r.CallText
	if call == "" {
		call = r.Call.String()
	}
	b := builder{body: dst, start: len(dst)}
	if d == NginxRTMP {
		b.addSlots(r, sessionSlots(d, r.Call))
		b.addExtra(r)
		b.addPair("call", call)
		b.addSlots(r, callSlots(d, r.Call))
		b.addRaw(args)
		return b.body
	}
	b.addRaw(args)
	b.addPair("call", call)
	b.addSlots(r, callSlots(d, r.Call))
	b.addExtra(r)
	b.addSlots(r, sessionSlots(d, r.Call))
	return b.body
}

// builder appends the pairs of one body.
type builder struct {
	body  []byte
	start int // where this body begins in body
}

func (b *builder) addSlots(r *Request, slots []slot) {
	for _, s := range slots {
		if field, _ := r.field(s.name); *field != "" || s.presence != nonEmpty {
			b.addPair(s.name, *field)
		}
	}
}

func (b *builder) addExtra(r *Request) {
	for _, f := range r.Extra.List() {
		b.separate()
		for i := 0; i < len(f.Key); i++ {
			if f.Key[i] == '=' { // would end the key
				b.body = append(b.body, "%3D"...)
				continue
			}
			b.body = appendEscaped(b.body, f.Key[i:i+1])
		}
		b.body = append(b.body, '=')
		b.body = appendEscaped(b.body, f.Value)
	}
}

// addPair appends a pair whose name needs no escaping.
func (b *builder) addPair(name, value string) {
	b.separate()
	b.body = append(b.body, name...)
	b.body = append(b.body, '=')
	b.body = appendEscaped(b.body, value)
}

func (b *builder) addRaw(args string) {
	if args != "" {
		b.separate()
		b.body = append(b.body, args...)
	}
}

func (b *builder) separate() {
	if len(b.body) > b.start {
		b.body = append(b.body, '&')
	}
}
