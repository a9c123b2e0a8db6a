package subjects_test

import (
	"time"

	"bintubridge/subjects"

	"pgregory.net/rapid"
)

// anyBytes draws text as a hostile sender would: any bytes, and often the ones
// that mean something to JSON, HTML, UTF-8 or a form.
func anyBytes() *rapid.Generator[string] {
	piece := rapid.SampledFrom([]string{
		`"`, `\`, "\n", "\x00", "\x1f", "\x7f", "<", ">", "&", "\u2028", "\u2029", "\uFFFD",
		"\xff", "\xe2\x80", "\xc0\x80", "\xed\xa0\x80", "é", "😀", "%", "%FF", "a", "id", "=",
	})
	pieces := rapid.Custom(func(t *rapid.T) string {
		text := ""
		for _, p := range rapid.SliceOfN(piece, 0, 6).Draw(t, "pieces") {
			text += p
		}
		return text
	})
	random := rapid.Custom(func(t *rapid.T) string {
		return string(rapid.SliceOfN(rapid.Byte(), 0, 12).Draw(t, "bytes"))
	})
	return rapid.OneOf(pieces, random)
}

func genFields(text *rapid.Generator[string]) *rapid.Generator[subjects.Fields] {
	return rapid.Custom(func(t *rapid.T) (f subjects.Fields) {
		for range rapid.IntRange(0, 12).Draw(t, "fields") {
			f.Add(text.Draw(t, "key"), text.Draw(t, "value"))
		}
		return f
	})
}

// genEvent draws events with any fields set, texts drawn from text.
func genEvent(text *rapid.Generator[string]) *rapid.Generator[subjects.Event] {
	number := rapid.Custom(func(t *rapid.T) subjects.Number {
		return subjects.Number(rapid.OneOf(
			rapid.Just(""), rapid.StringMatching(`-?[0-9]{1,21}`), rapid.SampledFrom(numberEdges()), text,
		).Draw(t, "number"))
	})
	effect := rapid.SampledFrom([]string{subjects.EffectAllow, subjects.EffectDeny})
	return rapid.Custom(func(t *rapid.T) subjects.Event {
		e := subjects.Event{
			ID:         string(subjects.AppendID(nil, rapid.StringMatching(`[A-Za-z0-9_-]{1,8}`).Draw(t, "spool"), rapid.Uint64().Draw(t, "seq"))),
			ReceivedAt: time.UnixMicro(rapid.Int64Range(0, 253402300799999999).Draw(t, "time")).UTC(),
			Bridge:     text.Draw(t, "bridge"), Call: text.Draw(t, "call"),
			Name: text.Draw(t, "name"), App: text.Draw(t, "app"), Addr: text.Draw(t, "addr"), ClientID: text.Draw(t, "clientid"),
			Type: text.Draw(t, "type"), FlashVer: text.Draw(t, "flashver"), SWFURL: text.Draw(t, "swfurl"),
			TCURL: text.Draw(t, "tcurl"), PageURL: text.Draw(t, "pageurl"),
			Recorder: text.Draw(t, "recorder"), Path: text.Draw(t, "path"),
			BytesIn: number.Draw(t, "bytes_in"), BytesOut: number.Draw(t, "bytes_out"),
			Time: number.Draw(t, "time"), Timestamp: number.Draw(t, "timestamp"),
			Start: number.Draw(t, "start"), Duration: number.Draw(t, "duration"),
			Reset: number.Draw(t, "reset"), Epoch: number.Draw(t, "epoch"),
			Custom: genFields(text).Draw(t, "custom"), Extra: genFields(text).Draw(t, "extra"),
			Raw: text.Draw(t, "raw"),
		}
		if rapid.Bool().Draw(t, "decided") {
			e.Decision = &subjects.Decision{
				Effect: effect.Draw(t, "effect"), Rule: text.Draw(t, "rule"), Reason: text.Draw(t, "reason"),
				Revision: rapid.Uint64().Draw(t, "revision"), RulesAgeMS: rapid.Int64().Draw(t, "age"),
			}
		}
		for range rapid.IntRange(0, 2).Draw(t, "shadows") {
			e.Shadow = append(e.Shadow, subjects.ShadowDecision{Rule: text.Draw(t, "rule"), Effect: effect.Draw(t, "effect")})
		}
		return e
	})
}

func numberEdges() []string {
	return []string{
		"0", "-0", "-1", "00", "01", "-01", "+1", "1.5", "1e3", "-", "", " 1", "1 ", "0x1", "1_000", "NaN", "null", "٣",
		"9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
		"9999999999999999999", "18446744073709551615", "999999999999999999", "-999999999999999999",
	}
}

// publishEvent is an ordinary publish, the event of the request path.
func publishEvent() *subjects.Event {
	e := &subjects.Event{
		ReceivedAt: time.Date(2026, 11, 23, 9, 0, 0, 123456000, time.UTC),
		Bridge:     "edge-1", Call: "publish", Name: "CD6xx-123456", App: "live",
		Addr: "17.31.43.214", ClientID: "123456", Type: "live",
		FlashVer: "FMLE/3.0 (compatible; Lavf59.27.100)", TCURL: "rtmp://bintu-splay.nanocosmos.de:1935/live",
		Decision: &subjects.Decision{Effect: subjects.EffectAllow, Rule: "acme/ingest", Revision: 42, RulesAgeMS: 180},
	}
	e.Custom.Add("foo", "bar")
	e.Custom.Add("batz", "12345")
	return e
}

// hostileEvent is full of what needs escaping.
func hostileEvent() *subjects.Event {
	e := publishEvent()
	e.Name = "<a href=\"x\">\xff\u2028\\é😀\x00"
	e.Custom.Add("\xff", "\xfe")
	e.Custom.Add("\xfe", "\xff")
	e.Extra.Add("new", "\r\n")
	e.Shadow = []subjects.ShadowDecision{{Rule: "a/b", Effect: "deny"}, {Rule: "c/d", Effect: "allow"}}
	e.Start = "18446744073709551615"
	e.BytesIn = "575"
	e.Raw = "\xff=\xfe&\"<>"
	return e
}
