package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"bintubridge/bridge/decide"
	"bintubridge/bridge/webhook"
	"bintubridge/subjects"
)

// dialectOf reads --dialect, or the environment's.
func dialectOf(flag string, getenv func(string) string) (webhook.Dialect, error) {
	d, err := webhook.ParseDialect(cmp.Or(flag, getenv("BRIDGE_DIALECT"), webhook.Bintu.String()))
	if err != nil {
		return d, usageError{err}
	}
	return d, nil
}

// inputOf is what the rules look at of a webhook.
func inputOf(r *webhook.Request) decide.Input {
	return decide.Input{
		Call: r.Call, Name: r.Name, App: r.App, Addr: r.Addr, ClientID: r.ClientID,
		Type: r.Type, FlashVer: r.FlashVer, SWFURL: r.SWFURL, TCURL: r.TCURL, PageURL: r.PageURL,
		Custom: &r.Custom,
	}
}

// recordedInput is what the rules looked at of an event, as far as it was recorded:
// decoded values may have lost bytes, which raw keeps.
func recordedInput(e *subjects.Event, d webhook.Dialect) decide.Input {
	in := decide.Input{
		Call: subjects.ParseCall(e.Call), Name: e.Name, App: e.App, Addr: e.Addr, ClientID: e.ClientID,
		Type: e.Type, FlashVer: e.FlashVer, SWFURL: e.SWFURL, TCURL: e.TCURL, PageURL: e.PageURL,
		Custom: &e.Custom,
	}
	if e.Raw == "" {
		return in
	}
	var r webhook.Request
	if err := r.Parse(d, []byte(e.Raw)); err == nil && r.Call == in.Call {
		return inputOf(&r)
	}
	return in
}

// parseAsk reads a call that is decided.
func parseAsk(text string) (subjects.Call, error) {
	call := subjects.ParseCall(text)
	if !call.Asks() {
		return call, fmt.Errorf("call %s: want publish, play, update_publish, update_play or connect", shown(text))
	}
	return call, nil
}

// parseCustom reads k=v pairs; the first value of a field counts.
func parseCustom(pairs []string) (*subjects.Fields, error) {
	fields := &subjects.Fields{}
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return nil, usageError{fmt.Errorf("--custom %s: want field=value", shown(pair))}
		}
		fields.Add(key, value)
	}
	return fields, nil
}

// parseAt reads a time, or gives the present one.
func parseAt(text string) (time.Time, error) {
	if text == "" {
		return time.Now(), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("time %s: want RFC 3339, as 2026-12-01T00:00:00Z", shown(text))
	}
	return at, nil
}
