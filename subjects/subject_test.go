package subjects_test

import (
	"errors"
	"strings"
	"testing"

	"bintubridge/subjects"

	"pgregory.net/rapid"
)

func parseTemplate(t testing.TB, text string) subjects.Template {
	t.Helper()
	template, err := subjects.ParseTemplate(text)
	if err != nil {
		t.Fatal(err)
	}
	return template
}

func TestTemplate(t *testing.T) {
	const long = "stream.{call}.eu-1.{app}.x_y.{name}"
	tests := []struct {
		name, template  string
		outcome         subjects.Outcome
		call, nm, app   string
		subject, ceType string
	}{
		{"publish", "stream.{call}", subjects.Happened, "publish", "n", "a", "stream.publish", "bintu.publish"},
		{"done", "stream.{call}", subjects.Happened, "publish_done", "n", "a", "stream.publish_done", "bintu.publish_done"},
		{"alias", "stream.{call}", subjects.Happened, "publish_update", "n", "a", "stream.update_publish", "bintu.update_publish"},
		{"denied", "stream.{call}", subjects.Denied, "publish", "n", "a", "stream.denied.publish", "bintu.denied.publish"},
		{"unknown", "stream.{call}", subjects.Unknown, "foo", "n", "a", "stream.unknown.foo", "bintu.unknown.foo"},
		{"unknown, hostile", "stream.{call}", subjects.Unknown, "a.*>\r\n", "n", "a", "stream.unknown.a=2E=2A=3E=0D=0A", "bintu.unknown.a=2E=2A=3E=0D=0A"},
		{"invalid", "stream.{call}", subjects.Invalid, "", "", "", "stream.invalid.request", "bintu.invalid.request"},
		{"zero outcome of a known call", "stream.{call}", subjects.Outcome(0), "publish", "n", "a", "stream.invalid.request", "bintu.invalid.request"},
		{"outcome beyond the last", "stream.{call}", subjects.Happened + 1, "publish", "n", "a", "stream.invalid.request", "bintu.invalid.request"},
		{"happened, but no known call", "stream.{call}", subjects.Happened, "denied", "n", "a", "stream.unknown.denied", "bintu.unknown.denied"},
		{"denied, but no known call", "stream.{call}", subjects.Denied, "foo", "n", "a", "stream.unknown.foo", "bintu.unknown.foo"},
		{"unknown, but a known call", "stream.{call}", subjects.Unknown, "publish", "n", "a", "stream.unknown.publish", "bintu.unknown.publish"},
		{"name", "stream.{call}.{name}", subjects.Happened, "play", "a.b", "", "stream.play.a=2Eb", "bintu.play"},
		{"name denied", "stream.{call}.{name}", subjects.Denied, "play", "", "", "stream.denied.play.=", "bintu.denied.play"},
		{"name called denied", "stream.{call}.{name}", subjects.Happened, "publish", "denied", "", "stream.publish.denied", "bintu.publish"},
		{"everything", long, subjects.Happened, "play", "n", "live", "stream.play.eu-1.live.x_y.n", "bintu.play"},
		{"everything, invalid", long, subjects.Invalid, "", "", "", "stream.invalid.request.eu-1.=.x_y.=", "bintu.invalid.request"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			template := parseTemplate(t, tt.template)
			if template.String() != tt.template {
				t.Errorf("String is %q, want %q", template, tt.template)
			}
			if got := string(template.Append(nil, tt.outcome, tt.call, tt.nm, tt.app)); got != tt.subject {
				t.Errorf("subject %q, want %q", got, tt.subject)
			}
			if got := string(subjects.AppendType([]byte("x"), tt.outcome, tt.call)); got != "x"+tt.ceType {
				t.Errorf("type %q, want %q", got, tt.ceType)
			}
		})
	}
}

func TestZeroTemplateIsTheDefault(t *testing.T) {
	var zero subjects.Template
	if zero.String() != subjects.DefaultTemplate {
		t.Errorf("String is %q", zero)
	}
	want := parseTemplate(t, subjects.DefaultTemplate).Append(nil, subjects.Denied, "play", "n", "a")
	if got := zero.Append(nil, subjects.Denied, "play", "n", "a"); string(got) != string(want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTemplateErrors(t *testing.T) {
	tests := []struct{ name, template, want string }{
		{"empty", "", `token 1 is "": the first token must be "stream"`},
		{"another first token", "events.{call}", `token 1 is "events"`},
		{"wildcard first", "*.{call}", `token 1 is "*"`},
		{"only stream", "stream", `token 2 is "": the second token must be "{call}"`},
		{"name before call", "stream.{name}.{call}", `token 2 is "{name}"`},
		{"literal before call", "stream.eu.{call}", `token 2 is "eu"`},
		{"call in a longer token", "stream.x{call}", `token 2 is "x{call}"`},
		{"call twice", "stream.{call}.{call}", `token 3 is "{call}": a placeholder may stand only once`},
		{"name twice", "stream.{call}.{name}.{name}", `token 4 is "{name}": a placeholder may stand only once`},
		{"app twice", "stream.{call}.{app}.x.{app}", `token 5 is "{app}": a placeholder may stand only once`},
		{"unknown placeholder", "stream.{call}.{addr}", `token 3 is "{addr}": allowed are {name}, {app}, and literal tokens`},
		{"part of a token", "stream.{call}.a{name}", `token 3 is "a{name}": allowed are`},
		{"empty token", "stream.{call}..x", `token 3 is "": a token may not be empty`},
		{"ends in a dot", "stream.{call}.", `token 3 is "": a token may not be empty`},
		{"wildcard", "stream.{call}.>", `token 3 is ">": allowed are`},
		{"space", "stream.{call}. x", `token 3 is " x": allowed are`},
		{"control characters", "stream.{call}.\r\n", `token 3 is "\r\n": allowed are`},
		{"too long", "stream.{call}." + strings.Repeat("x", 255), "269 bytes, allowed are 255"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := subjects.ParseTemplate(tt.template)
			if !errors.Is(err, subjects.ErrTemplate) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is %v, want one with %q", err, tt.want)
			}
		})
	}
}

// matches compares a subject with a NATS wildcard, slowly.
func matches(pattern, subject string) bool {
	p, s := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i := range p {
		switch {
		case p[i] == ">":
			return len(s) > i
		case len(s) <= i || p[i] != "*" && p[i] != s[i]:
			return false
		}
	}
	return len(p) == len(s)
}

// Whatever the sender chooses, a subject has the tokens the template says and
// the wildcards of the contract mean what they say.
func TestWildcardsMeanWhatTheySay(t *testing.T) {
	texts := []string{"", "denied", "publish", "a.b", ">", "*", "denied.publish", "\xff\n", strings.Repeat("ü.", 1000)}
	text := rapid.OneOf(rapid.SampledFrom(texts), rapid.String())
	templates := rapid.SampledFrom([]string{"stream.{call}", "stream.{call}.{name}", "stream.{call}.denied.{app}.{name}"})
	calls := rapid.SampledFrom([]string{"publish", "play", "update_play", "publish_done", "foo", "denied"})
	outcomes := rapid.SampledFrom([]subjects.Outcome{subjects.Invalid, subjects.Unknown, subjects.Denied, subjects.Happened})
	rapid.Check(t, func(t *rapid.T) {
		raw := templates.Draw(t, "template")
		template, err := subjects.ParseTemplate(raw)
		if err != nil {
			t.Fatal(err)
		}
		o := outcomes.Draw(t, "outcome")
		call := rapid.OneOf(calls, text).Draw(t, "call")
		subject := string(template.Append(nil, o, call, text.Draw(t, "name"), text.Draw(t, "app")))

		known := subjects.ParseCall(call) != subjects.UnknownCall
		denied, happened := o == subjects.Denied && known, o == subjects.Happened && known
		tokens := strings.Count(raw, ".") + 1
		if !happened {
			tokens++ // the outcome's own
		}
		if got := strings.Count(subject, ".") + 1; got != tokens || strings.ContainsAny(subject, "*> \r\n\t\x00") {
			t.Fatalf("%q has %d tokens, want %d", subject, got, tokens)
		}
		if len(subject) > 3500 {
			t.Fatalf("a subject of %d bytes comes near the server's 4,096", len(subject))
		}
		if matches("stream.denied.>", subject) != denied {
			t.Fatalf("stream.denied.> and %q: denied is %v", subject, denied)
		}
		if raw == subjects.DefaultTemplate && matches("stream.*", subject) != happened {
			t.Fatalf("stream.* and %q: happened is %v", subject, happened)
		}
		if matches("stream.publish.>", subject) && (!happened || call != "publish") {
			t.Fatalf("stream.publish.> matches %q of %v %q", subject, o, call)
		}
		if !matches("stream.>", subject) {
			t.Fatalf("stream.> does not match %q", subject)
		}
	})
}

func TestOutcomeNames(t *testing.T) {
	for o, want := range map[subjects.Outcome]string{
		subjects.Invalid: "invalid", subjects.Unknown: "unknown", subjects.Denied: "denied",
		subjects.Happened: "happened", subjects.Happened + 1: "invalid",
	} {
		if o.String() != want {
			t.Errorf("outcome %d is %q, want %q", uint8(o), o, want)
		}
	}
}
