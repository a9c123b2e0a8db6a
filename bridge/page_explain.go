package bridge

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"bintubridge/bridge/decide"
	"bintubridge/bridge/webhook"
	"bintubridge/subjects"
)

// queryExplain decides a request that somebody typed in, by the rules and keys in force
// and the code that answers webhooks. Nothing is counted and no event is made. The
// request is a webhook's body in "body", or fields and lines of field=value in "custom".
func (b *Bridge) queryExplain(_ context.Context, question url.Values) (any, error) {
	var r webhook.Request
	in, err := typedInput(&r, b.cfg.Dialect, question)
	if err != nil {
		return nil, err
	}
	at := time.Now()
	if text := question.Get("at"); text != "" {
		if at, err = time.Parse(time.RFC3339, text); err != nil {
			return nil, fmt.Errorf("time %q: want RFC 3339, as 2026-12-01T00:00:00Z", text)
		}
	}
	in.Keys = b.keys.Current()
	x, revision, ageMS := b.rules.Explain(&in, at)
	return struct {
		Call       string              `json:"call"`
		Name       string              `json:"name"`
		At         time.Time           `json:"at"`
		Decision   subjects.Decision   `json:"decision"`
		Considered []decide.Considered `json:"considered"`
		Shadow     []decide.Considered `json:"shadow"`
	}{
		Call: in.Call.String(), Name: in.Name, At: at.UTC(),
		Decision: subjects.Decision{
			Effect: x.Decision.Effect.String(), Rule: x.Decision.Rule, Reason: x.Decision.Reason, Revision: revision, RulesAgeMS: ageMS,
		},
		Considered: b.withWants(x.Considered), Shadow: b.withWants(x.Shadow),
	}, nil
}

// withWants adds the conditions that failed, as their documents have them.
func (b *Bridge) withWants(considered []decide.Considered) []decide.Considered {
	all := append([]decide.Considered{}, considered...)
	for i := range all {
		key := all[i].Rule[:max(strings.LastIndexByte(all[i].Rule, '/'), 0)] // an id has no slash
		if doc := b.rules.Document(key); doc != nil {
			all[i].Wants = doc.Wants(all[i])
		}
	}
	return all
}

// typedInput reads what was typed. The input's texts live in r.
func typedInput(r *webhook.Request, dialect webhook.Dialect, question url.Values) (decide.Input, error) {
	if body := strings.TrimSpace(question.Get("body")); body != "" {
		if err := r.Parse(dialect, []byte(body)); err != nil {
			return decide.Input{}, fmt.Errorf("the body cannot be read as a webhook: %w", err)
		}
	} else {
		r.Call, r.Name, r.App, r.Addr = subjects.ParseCall(question.Get("call")), question.Get("name"), question.Get("app"), question.Get("addr")
		r.ClientID, r.Type, r.FlashVer = question.Get("clientid"), question.Get("type"), question.Get("flashver")
		r.SWFURL, r.TCURL, r.PageURL = question.Get("swfurl"), question.Get("tcurl"), question.Get("pageurl")
		for line := range strings.Lines(question.Get("custom")) {
			line = strings.TrimRight(line, "\r\n")
			if line == "" {
				continue
			}
			key, value, ok := strings.Cut(line, "=")
			if !ok || key == "" {
				return decide.Input{}, fmt.Errorf("custom field %q: want field=value, one a line", line)
			}
			r.Custom.Add(key, value)
		}
	}
	if !r.Call.Asks() {
		return decide.Input{}, fmt.Errorf("this call is not decided: want publish, play, update_publish, update_play or connect")
	}
	return inputOf(r), nil
}
