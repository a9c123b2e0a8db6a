package decide

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"bintubridge/subjects"
	"pgregory.net/rapid"
)

// The oracle answers from the raw JSON, rule after rule, with nothing shared
// with the table: no index, no order, patterns by regexp.

// oracleDocument is a document as encoding/json reads it.
type oracleDocument struct{ Rules []map[string]any }

func readOracleDocument(text []byte) (doc oracleDocument) {
	if err := json.Unmarshal(text, &doc); err != nil {
		panic(err)
	}
	return doc
}

func oracleDecide(docs map[string]oracleDocument, d Defaults, in *Input, now time.Time) Decision {
	if !slices.Contains([]string{"publish", "play", "update_publish", "update_play", "connect"}, in.Call.String()) {
		return Decision{Reason: "not_asked"}
	}
	starts := in.Call.String() == "publish" || in.Call.String() == "play"
	if starts && in.Name == "" {
		return Decision{Reason: "empty_name"}
	}
	if len(in.Name) >= 2048 {
		return Decision{Reason: "long_name"}
	}
	var found []Decision
	best := math.Inf(-1)
	for key, doc := range docs {
		for i, rule := range doc.Rules {
			if rule["shadow"] == true || !oracleMatches(rule, in, now) {
				continue
			}
			priority, _ := rule["priority"].(float64)
			if priority > best {
				best, found = priority, nil
			}
			if priority < best {
				continue
			}
			id, ok := rule["id"].(string)
			if !ok {
				id = fmt.Sprintf("#%d", i+1)
			}
			reason, _ := rule["reason"].(string)
			answer := Decision{Rule: key + "/" + id, Reason: reason}
			if rule["effect"] == "allow" {
				answer.Effect = Allow
			}
			found = append(found, answer)
		}
	}
	if len(found) > 0 {
		if slices.ContainsFunc(found, func(d Decision) bool { return d.Effect == Deny }) {
			found = slices.DeleteFunc(found, func(d Decision) bool { return d.Effect == Allow })
		}
		return slices.MinFunc(found, func(a, b Decision) int { return strings.Compare(a.Rule, b.Rule) })
	}
	switch in.Call.String() {
	case "publish":
		return Decision{Effect: d.Publish, Reason: "default"}
	case "play":
		return Decision{Effect: d.Play, Reason: "default"}
	}
	return Decision{Effect: Allow, Reason: "default"}
}

// oracleShadow lists every shadow rule that matches and keeps the best.
func oracleShadow(docs map[string]oracleDocument, in *Input, now time.Time) []subjects.ShadowDecision {
	if d := oracleDecide(docs, Defaults{}, in, now); d.Reason == "not_asked" || d.Reason == "empty_name" || d.Reason == "long_name" {
		return nil
	}
	type match struct {
		priority     float64
		effect, rule string
	}
	var found []match
	for key, doc := range docs {
		for i, rule := range doc.Rules {
			if rule["shadow"] != true || !oracleMatches(rule, in, now) {
				continue
			}
			m := match{effect: rule["effect"].(string), rule: fmt.Sprintf("%s/#%d", key, i+1)}
			m.priority, _ = rule["priority"].(float64)
			if id, ok := rule["id"].(string); ok {
				m.rule = key + "/" + id
			}
			found = append(found, m)
		}
	}
	slices.SortFunc(found, func(a, b match) int {
		// "deny" is behind "allow" in the alphabet.
		return cmp.Or(cmp.Compare(b.priority, a.priority), strings.Compare(b.effect, a.effect), strings.Compare(a.rule, b.rule))
	})
	var shadow []subjects.ShadowDecision
	for _, m := range found[:min(len(found), 8)] {
		shadow = append(shadow, subjects.ShadowDecision{Rule: m.rule, Effect: m.effect})
	}
	return shadow
}

func oracleMatches(rule map[string]any, in *Input, now time.Time) bool {
	calls := []any{"publish", "play"}
	if list, ok := rule["calls"].([]any); ok {
		calls = list
	}
	if !slices.Contains(calls, any(in.Call.String())) &&
		(in.Call.String() != "update_publish" || !slices.Contains(calls, any("publish_update"))) {
		return false
	}
	if text, ok := rule["not_before"].(string); ok {
		if at, _ := time.Parse(time.RFC3339, text); now.UnixNano() < at.UnixNano() {
			return false
		}
	}
	if text, ok := rule["expires_at"].(string); ok {
		if at, _ := time.Parse(time.RFC3339, text); now.UnixNano() >= at.UnixNano() {
			return false
		}
	}
	return oracleAny(rule["name"], func(want string) bool { return oracleGlob(want, in.Name) }) &&
		oracleAny(rule["app"], func(want string) bool { return want == in.App }) &&
		oracleAny(rule["addr"], func(want string) bool { return oracleContains(want, in.Addr) }) &&
		oracleCustom(rule["custom"], in.Custom) && oracleToken(rule["token"], in, now) && oracleWhen(rule, in, now)
}

func oracleAny(list any, holds func(string) bool) bool {
	values, ok := list.([]any)
	return !ok || slices.ContainsFunc(values, func(v any) bool { return holds(v.(string)) })
}

func oracleGlob(pattern, name string) bool {
	expression := `(?s)\A` + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`) + `\z`
	return regexp.MustCompile(expression).MatchString(name)
}

// oracleContains compares addresses as strings of bits.
func oracleContains(network, addr string) bool {
	bits := func(text string) (string, bool) {
		a, err := netip.ParseAddr(strings.Split(text, "%")[0])
		if err != nil {
			return "", false
		}
		var b strings.Builder
		for _, octet := range a.Unmap().AsSlice() {
			fmt.Fprintf(&b, "%08b", octet)
		}
		return b.String(), true
	}
	base, length, hasLength := strings.Cut(network, "/")
	want, _ := bits(base)
	n := len(want)
	if hasLength {
		if _, err := fmt.Sscan(length, &n); err != nil {
			panic(err)
		}
		if strings.Contains(base, "::ffff:") {
			n -= 96
		}
	}
	got, ok := bits(addr)
	return ok && len(got) == len(want) && got[:n] == want[:n]
}

func oracleCustom(custom any, have *subjects.Fields) bool {
	wants, _ := custom.(map[string]any)
	for field, want := range wants {
		value, present := "", false
		if have != nil {
			for _, f := range have.List() {
				if f.Key == field && !present {
					value, present = f.Value, true
				}
			}
		}
		switch want := want.(type) {
		case []any:
			if !present || !slices.Contains(want, any(value)) {
				return false
			}
		case map[string]any:
			if flag, ok := want["present"].(bool); ok && flag != present {
				return false
			}
			sum := sha256.Sum256([]byte(value))
			if sums, ok := want["sha256"].([]any); ok && (!present || !slices.Contains(sums, any(hex.EncodeToString(sum[:])))) {
				return false
			}
		}
	}
	return true
}

// Few values, so that rules and requests meet often.
var (
	drawName  = rapid.SampledFrom([]string{"a", "ab", "aba", "b", "cam-1", "cam-2", "cam-11-hd", "xcam-12-hd", "é", "a\nb", "abcdefghijklmnop-cam-1-hd"})
	drawGlob  = rapid.SampledFrom([]string{"a", "ab", "b", "cam-1", "*", "a*", "*a", "a*a", "**", "c*-*1", "cam-*", "cam-1*", "cam*hd", "*cam-1*", "*-hd", "*am*", "*m-1*-hd*", "a*b", "é", "é*"})
	drawApp   = rapid.SampledFrom([]string{"live", "vod"})
	drawValue = rapid.SampledFrom([]string{"", "x", "y"})
	drawAddr  = rapid.SampledFrom([]string{"10.0.0.1", "10.1.0.1", "::ffff:10.0.0.1", "2001:db8::1", "2001:db9::1", "fe80::1%eth0", "unix:", "", "1.2"})
	drawCIDR  = rapid.SampledFrom([]string{"10.0.0.0/8", "10.0.0.0/16", "10.0.0.1", "0.0.0.0/0", "::/0", "::ffff:10.1.0.0/112", "::ffff:10.0.0.1", "2001:db8::/32", "2001:db9::1", "fe80::/10"})
	drawCalls = rapid.SampledFrom([]string{"publish", "play", "update_publish", "publish_update", "update_play", "connect"})
	drawTime  = rapid.Custom(func(t *rapid.T) time.Time {
		return noon.Add(time.Duration(rapid.IntRange(-2, 2).Draw(t, "seconds")) * time.Second)
	})
)

func drawRule(t *rapid.T, id string) map[string]any {
	rule := map[string]any{"effect": rapid.SampledFrom([]string{"allow", "deny"}).Draw(t, "effect")}
	with := func(field string, draw func() any) {
		if rapid.IntRange(0, 2).Draw(t, field+"?") == 0 {
			rule[field] = draw()
		}
	}
	texts := func(field string, from *rapid.Generator[string]) {
		with(field, func() any { return rapid.SliceOfN(from, 1, 3).Draw(t, field) })
	}
	with("id", func() any { return id })
	with("reason", func() any { return "because " + id })
	with("priority", func() any { return rapid.IntRange(-1, 1).Draw(t, "priority") })
	with("shadow", func() any { return rapid.Bool().Draw(t, "shadow") })
	texts("calls", drawCalls)
	texts("name", drawGlob)
	texts("app", drawApp)
	texts("addr", drawCIDR)
	from := drawTime.Draw(t, "from")
	with("not_before", func() any { return from.Format(time.RFC3339) })
	with("expires_at", func() any {
		return from.Add(time.Duration(rapid.IntRange(1, 3).Draw(t, "life")) * time.Second).In(time.FixedZone("", 3600)).Format(time.RFC3339)
	})
	with("custom", func() any {
		return rapid.MapOfN(rapid.SampledFrom([]string{"k", "team"}), rapid.Custom(drawCustom), 1, 2).Draw(t, "custom")
	})
	with("token", func() any { return drawToken(t) })
	with("when", func() any { return drawWhen.Draw(t, "when") })
	return rule
}

func drawCustom(t *rapid.T) any {
	sums := func() []string {
		return rapid.SliceOfN(rapid.Map(drawValue, hexSum), 1, 2).Draw(t, "sums")
	}
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 0:
		return rapid.SliceOfN(drawValue, 1, 2).Draw(t, "equal")
	case 1:
		return map[string]any{"present": rapid.Bool().Draw(t, "present")}
	case 2:
		return map[string]any{"present": true, "sha256": sums()}
	}
	return map[string]any{"sha256": sums()}
}

func drawInput(t *rapid.T) *Input {
	in := &Input{
		Call: subjects.Call(rapid.IntRange(0, 11).Draw(t, "call")),
		Name: rapid.OneOf(drawName, rapid.Just("")).Draw(t, "name"),
		App:  rapid.OneOf(drawApp, rapid.Just("")).Draw(t, "app"),
		Addr: drawAddr.Draw(t, "addr"),
		Keys: oracleKeys,
	}
	if rapid.Bool().Draw(t, "custom?") {
		in.Custom = &subjects.Fields{}
		for range rapid.IntRange(0, 3).Draw(t, "fields") {
			in.Custom.Add(rapid.SampledFrom([]string{"k", "team"}).Draw(t, "key"), drawInputValue(t, in))
		}
	}
	return in
}

func drawInputValue(t *rapid.T, in *Input) string {
	if rapid.Bool().Draw(t, "token value") {
		return drawTokenValue(t, in)
	}
	return drawValue.Draw(t, "value")
}

func TestGlobAgreesWithRegexp(t *testing.T) {
	letters := rapid.StringOfN(rapid.SampledFrom([]rune("ab*")), 1, 8, -1)
	rapid.Check(t, func(t *rapid.T) {
		pattern, name := "*"+letters.Draw(t, "pattern"), letters.Draw(t, "name")
		if rapid.Bool().Draw(t, "anchored") {
			pattern = "a" + pattern
		}
		g := parseGlob(pattern)
		if got, want := g.match(name), oracleGlob(pattern, name); got != want {
			t.Fatalf("%q matches %q: got %v, want %v", pattern, name, got, want)
		}
	})
}
