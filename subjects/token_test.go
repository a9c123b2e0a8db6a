package subjects_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"bintubridge/subjects"

	"pgregory.net/rapid"
)

var tokenForm = regexp.MustCompile(`^(=|([A-Za-z0-9_-]|=[0-9A-F]{2})+(==[0-9a-f]{32})?)$`)

func token(text string) string { return string(subjects.AppendToken(nil, text)) }

// cutToken is the form of a long text, written down a second time.
func cutToken(text string) string {
	sum := sha256.Sum256([]byte(text))
	var head strings.Builder
	for _, c := range []byte(text[:223]) {
		if regexp.MustCompile(`[A-Za-z0-9_-]`).Match([]byte{c}) {
			head.WriteByte(c)
		} else {
			fmt.Fprintf(&head, "=%02X", c)
		}
	}
	return fmt.Sprintf("%s==%x", &head, sum[:16])
}

func TestAppendToken(t *testing.T) {
	a255, a256 := strings.Repeat("a", 255), strings.Repeat("a", 256)
	dots := strings.Repeat(".", 2047)
	tests := []struct{ name, text, want string }{
		{"empty", "", "="},
		{"plain", "CD6xx-123456_", "CD6xx-123456_"},
		{"separators", "a.b c", "a=2Eb=20c"},
		{"wildcards", "*>", "=2A=3E"},
		{"escape", "=", "=3D"},
		{"escape in text", "=2E", "=3D2E"},
		{"control", "\x00\r\n\x7f", "=00=0D=0A=7F"},
		{"utf-8", "ü", "=C3=BC"},
		{"no utf-8", "\xff", "=FF"},
		{"longest whole", a255, a255},
		{"shortest cut", a256, cutToken(a256)},
		{"cut", dots, cutToken(dots)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := token(tt.text); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if got := string(subjects.AppendToken([]byte("stream."), tt.text)); got != "stream."+tt.want {
				t.Errorf("appended: got %q", got)
			}
		})
	}
	if got := len(token(dots)); got != 223*3+2+32 {
		t.Errorf("the longest cut token has %d bytes", got)
	}
}

func TestDecodeTokenErrors(t *testing.T) {
	long := strings.Repeat("a", 223)
	digits := strings.Repeat("0", 32)
	tests := []struct {
		name, token string
		want        error
	}{
		{"nothing", "", subjects.ErrToken},
		{"dot", "a.b", subjects.ErrToken},
		{"space", "a b", subjects.ErrToken},
		{"wildcard", "*", subjects.ErrToken},
		{"lower-case digits", "=2e", subjects.ErrToken},
		{"needless escape", "=41", subjects.ErrToken},
		{"cut escape", "a=2", subjects.ErrToken},
		{"lone =", "a=", subjects.ErrToken},
		{"no digits", "=zz", subjects.ErrToken},
		{"too long to be whole", strings.Repeat("a", 256), subjects.ErrToken},
		{"cut", long + "==" + digits, subjects.ErrTokenCut},
		{"cut, prefix too short", long[1:] + "==" + digits, subjects.ErrToken},
		{"cut, prefix too long", long + "a==" + digits, subjects.ErrToken},
		{"cut, broken prefix", long[1:] + ".==" + digits, subjects.ErrToken},
		{"cut, hash too short", long + "==" + digits[1:], subjects.ErrToken},
		{"cut, upper-case hash", long + "==A" + digits[1:], subjects.ErrToken},
		{"empty and cut", "==", subjects.ErrToken},
		{"three", "===", subjects.ErrToken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text, err := subjects.DecodeToken(tt.token)
			if !errors.Is(err, tt.want) || text != "" {
				t.Errorf("got %q, %v, want %v", text, err, tt.want)
			}
		})
	}
}

// checkToken holds for any text.
func checkToken(t interface{ Fatalf(string, ...any) }, text string) {
	got := token(text)
	if !tokenForm.MatchString(got) {
		t.Fatalf("%q becomes %q, which is no token", text, got)
	}
	back, err := subjects.DecodeToken(got)
	if len(text) > subjects.MaxTokenText {
		if !errors.Is(err, subjects.ErrTokenCut) || got != cutToken(text) {
			t.Fatalf("long %q becomes %q, which reads as %q, %v", text, got, back, err)
		}
		return
	}
	if err != nil || back != text {
		t.Fatalf("%q becomes %q, which reads as %q, %v", text, got, back, err)
	}
}

// checkDecode holds for any token: what is accepted is what AppendToken writes.
func checkDecode(t interface{ Fatalf(string, ...any) }, tok string) {
	text, err := subjects.DecodeToken(tok)
	if err == nil && token(text) != tok {
		t.Fatalf("%q reads as %q, which becomes %q", tok, text, token(text))
	}
	if err != nil && !errors.Is(err, subjects.ErrToken) && !errors.Is(err, subjects.ErrTokenCut) {
		t.Fatalf("%q: error %v is neither of the two", tok, err)
	}
}

func FuzzToken(f *testing.F) {
	for _, s := range []string{"", "=", "==", "a.b", "=2E", "=2e", "\xff", strings.Repeat(".", 255), strings.Repeat("a", 256), cutToken(strings.Repeat("a", 300))} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		checkToken(t, s)
		checkDecode(t, s)
	})
}

// Different texts have different tokens, also long ones that begin or end alike.
func TestTokensAreDistinct(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		alphabet := rapid.SampledFrom([]string{"a", "=", "2", "E", ".", "\xff", strings.Repeat("x", 222), strings.Repeat(".", 255)})
		text := rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(alphabet, 0, 5).Draw(t, "pieces"), "")
		})
		a, b := text.Draw(t, "a"), text.Draw(t, "b")
		if (token(a) == token(b)) != (a == b) {
			t.Fatalf("%q and %q become %q and %q", a, b, token(a), token(b))
		}
		checkToken(t, a)
		// A text that looks like the token of another is still its own.
		if token(token(a)) == token(a) && strings.ContainsAny(token(a), "=") {
			t.Fatalf("%q and its token %q become the same token", a, token(a))
		}
	})
}
