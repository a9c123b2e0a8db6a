package consumers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"bintubridge/subjects"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Lengths of a reason in bytes: in a header, and in the server's advisory.
const (
	maxReason     = 1024
	maxTermReason = 200
)

// maxSubject bounds a subject that is published to, in bytes. The server closes the connection of whoever sends
// more than 4096 in a command, the inbox of the answer and the lengths among them.
const maxSubject = 2048

// DeadLetters sets messages aside in the stream DEAD, as dead.<consumer>.<subject>. A subject that is too long
// is cut there, and whole in a header.
type DeadLetters struct {
	js       jetstream.JetStream
	consumer string
}

// NewDeadLetters returns those of a consumer.
func NewDeadLetters(js jetstream.JetStream, consumer string) *DeadLetters {
	return &DeadLetters{js, consumer}
}

// Put copies m with its reason. The same message twice is one letter, within the duplicate
// window of DEAD. A message that leaves no room for its reason is set aside without its
// body where its own stream keeps that, and else not at all. One whose headers leave none loses
// those: whoever made them is no bridge.
func (l *DeadLetters) Put(ctx context.Context, m *Message, reason string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	letter := l.letter(m, reason)
	_, err := l.js.PublishMsg(ctx, letter)
	if isHeaderTooLarge(err) {
		maps.DeleteFunc(letter.Header, func(name string, _ []string) bool {
			return !strings.HasPrefix(name, "dead-") && name != subjects.HeaderMsgID
		})
		_, err = l.js.PublishMsg(ctx, letter)
	}
	if errors.Is(err, nats.ErrMaxPayload) && l.isKept(ctx, m.Stream) {
		letter.Data = nil
		letter.Header.Set(subjects.HeaderDeadBody, subjects.DeadBodyLeft)
		_, err = l.js.PublishMsg(ctx, letter)
	}
	if err != nil {
		return fmt.Errorf("publish to %s: %w", subjects.StreamDead, err)
	}
	return nil
}

// isHeaderTooLarge reports whether JetStream refused a message for its headers, over 64 KiB.
func isHeaderTooLarge(err error) bool {
	const code = 10097 // JSStreamHeaderExceedsMaximumErr of nats-server
	var refused *jetstream.APIError
	return errors.As(err, &refused) && refused.ErrorCode == code
}

// isKept reports whether a stream has its messages when they are settled, as EVENTS and SESSIONS do: a
// work queue forgets them.
func (l *DeadLetters) isKept(ctx context.Context, stream string) bool {
	if stream == subjects.StreamEvents || stream == subjects.StreamSessions {
		return true // without the permission to ask
	}
	s, err := l.js.Stream(ctx, stream)
	return err == nil && s.CachedInfo().Config.Retention == jetstream.LimitsPolicy
}

func (l *DeadLetters) letter(m *Message, reason string) *nats.Msg {
	letter := nats.NewMsg(strings.TrimRight(shorten("dead."+l.consumer+"."+m.Subject, maxSubject), "."))
	letter.Data = m.Data
	maps.Copy(letter.Header, m.Header)
	for name := range letter.Header {
		if strings.HasPrefix(name, "Nats-") { // the server's own
			delete(letter.Header, name)
		}
	}
	sequence := strconv.FormatUint(m.Sequence, 10)
	for name, value := range map[string]string{
		subjects.HeaderDeadReason:   shorten(oneLine(reason), maxReason),
		subjects.HeaderDeadConsumer: l.consumer,
		subjects.HeaderDeadStream:   m.Stream,
		subjects.HeaderDeadSequence: sequence,
		subjects.HeaderDeadSubject:  m.Subject,
		subjects.HeaderMsgID:        strings.Join([]string{"dead", l.consumer, m.Stream, sequence}, "-"),
	} {
		letter.Header[name] = []string{value}
	}
	return letter
}

// oneLine makes text safe for a header and a log: reasons quote what publishers wrote.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '.'
		}
		return r
	}, text)
}

func shorten(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
