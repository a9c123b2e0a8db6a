package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"bintubridge/consumers/documents"
	"bintubridge/subjects"
)

// tailed is one message of EVENTS or SESSIONS.
type tailed struct {
	Stream   string          `json:"stream"`
	Sequence uint64          `json:"sequence"`
	Subject  string          `json:"subject"`
	Data     json.RawMessage `json:"data"`

	time    time.Time // when it was stored
	pending uint64    // messages behind it, when it was sent
	event   *subjects.Event
	session *subjects.Session
	bad     error // it can be read as neither
}

func readTailed(stream, subject string, data []byte, meta *jetstream.MsgMetadata) *tailed {
	t := &tailed{Stream: stream, Subject: subject, Sequence: meta.Sequence.Stream, Data: data, time: meta.Timestamp, pending: meta.NumPending}
	t.decode()
	return t
}

func (t *tailed) decode() {
	if t.Stream == subjects.StreamSessions {
		var s subjects.Session
		if s, t.bad = subjects.DecodeSession(t.Data); t.bad == nil {
			t.session = &s
		}
		return
	}
	var e subjects.Event
	if e, t.bad = subjects.DecodeEvent(t.Data); t.bad == nil {
		t.event = &e
	}
}

func (t *tailed) name() string {
	switch {
	case t.event != nil:
		return t.event.Name
	case t.session != nil:
		return t.session.Name
	}
	return ""
}

// call is an event's, or the subject of a session.
func (t *tailed) call() string {
	if t.event != nil && t.event.Call != "" {
		return t.event.Call
	}
	return t.Subject
}

func (t *tailed) decision() subjects.Decision {
	switch {
	case t.event != nil && t.event.Decision != nil:
		return *t.event.Decision
	case t.session != nil:
		return subjects.Decision{Rule: t.session.Rule}
	}
	return subjects.Decision{}
}

// tailFilter says what is shown.
type tailFilter struct {
	calls, names, rules []string
	effect              string
}

func (f *tailFilter) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.calls, "call", nil, "a call, as publish_done, or session.ended; may be repeated")
	flags.StringArrayVar(&f.names, "name", nil, "stream name, * is any run of bytes; may be repeated")
	flags.StringArrayVar(&f.rules, "rule", nil, "the rule that decided, as acme/ingest or acme/*; may be repeated")
	flags.StringVar(&f.effect, "effect", "", "allow or deny: calls that were asked, and answered so")
}

func (f *tailFilter) check() error {
	if f.effect != "" && f.effect != subjects.EffectAllow && f.effect != subjects.EffectDeny {
		return usageError{fmt.Errorf("--effect %s: want allow or deny", shown(f.effect))}
	}
	return nil
}

func (f *tailFilter) wants(t *tailed) bool {
	matches := func(patterns []string, text string) bool {
		return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return documents.MatchName(p, text) })
	}
	d := t.decision()
	return matches(f.calls, t.call()) && matches(f.names, t.name()) && matches(f.rules, d.Rule) && (f.effect == "" || f.effect == d.Effect)
}

// tailPrinter writes lines.
type tailPrinter struct {
	out          io.Writer
	json, colour bool
}

func (p tailPrinter) print(t *tailed) error {
	if !p.json {
		_, err := io.WriteString(p.out, p.line(t)+"\n")
		return err
	}
	if !json.Valid(t.Data) {
		text, err := json.Marshal(string(t.Data))
		if err != nil {
			return fmt.Errorf("write the result: %w", err)
		}
		t.Data = text
	}
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(t); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	_, err := p.out.Write(line.Bytes())
	return err
}

// Colours of a terminal (ECMA-48).
const (
	red, green, yellow, cyan = 31, 32, 33, 36
)

func (p tailPrinter) paint(colour int, text string) string {
	if !p.colour {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", colour, text)
}

const tailTime = "2006-01-02 15:04:05.000"

func (p tailPrinter) line(t *tailed) string {
	switch {
	case t.event != nil:
		return p.eventLine(t)
	case t.session != nil:
		return p.sessionLine(t)
	}
	return fmt.Sprintf("%s %s %s, message %d of %s: %s", t.time.UTC().Format(tailTime), p.paint(yellow, "unreadable"),
		shown(t.Subject), t.Sequence, t.Stream, shown(t.bad.Error()))
}

func (p tailPrinter) eventLine(t *tailed) string {
	e, d := t.event, t.decision()
	effect, colour := "told", cyan
	switch d.Effect {
	case subjects.EffectAllow:
		effect, colour = "allow", green
	case subjects.EffectDeny:
		effect, colour = "deny", red
	}
	b := newLine(e.ReceivedAt, p.paint(colour, fmt.Sprintf("%-5s", effect)), word(t.call()), e.Name, e.Addr)
	b.add("clientid", e.ClientID)
	b.add("rule", d.Rule)
	b.add("reason", d.Reason)
	for _, s := range e.Shadow {
		b.add("shadow", s.Rule+":"+s.Effect)
	}
	b.add("in", string(e.BytesIn))
	b.add("out", string(e.BytesOut))
	b.add("time", string(e.Time))
	for _, f := range e.Custom.List() {
		b.WriteString(" ?" + word(f.Key) + "=" + word(f.Value))
	}
	return b.String()
}

func (p tailPrinter) sessionLine(t *tailed) string {
	s := t.session
	colour := green
	switch t.Subject {
	case subjects.SessionLost:
		colour = yellow
	case subjects.SessionEnded:
		colour = cyan
	}
	at := s.EndedAt
	if at.IsZero() {
		at = s.ResumedAt
	}
	if at.IsZero() {
		at = s.StartedAt
	}
	b := newLine(at, "     ", p.paint(colour, shown(t.Subject)), s.Name, s.Addr)
	b.add("clientid", s.ClientID)
	b.add("kind", s.Kind)
	if !s.EndedAt.IsZero() {
		b.add("after", (time.Duration(s.DurationMS) * time.Millisecond).String())
		b.add("by", s.HowEnded)
		b.add("in", fmt.Sprint(s.BytesIn))
		b.add("out", fmt.Sprint(s.BytesOut))
	}
	if s.PeakViewers > 0 {
		b.add("viewers", fmt.Sprint(s.PeakViewers))
	}
	if s.Reconnects > 0 {
		b.add("reconnects", fmt.Sprint(s.Reconnects))
	}
	return b.String()
}

// tailLine is a line in the making.
type tailLine struct{ strings.Builder }

func newLine(at time.Time, effect, call, name, addr string) *tailLine {
	b := &tailLine{}
	fmt.Fprintf(b, "%s %s %-14s %s from %s", at.UTC().Format(tailTime), effect, call, word(name), word(addr))
	return b
}

// add appends a field that is not empty.
func (b *tailLine) add(key, value string) {
	if value != "" {
		b.WriteString(" " + key + "=" + word(value))
	}
}
