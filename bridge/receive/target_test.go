package receive

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzRawPath compares rawPath with net/url, which knows the same two forms,
// wherever net/url takes the target at all.
func FuzzRawPath(f *testing.F) {
	for _, seed := range []string{"", "*", "/hook", "/hook?x=/y", "//hook", "/a/../b", "/%68", "http://h/hook", "http://h?x=/y", "http://h", "h://", "://", "http://u@h:1//a?b?c", "hook", "A:/://", "a:b://c/hook"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := string(rawPath([]byte(text)))
		if strings.Contains(got, "?") || !strings.Contains(text, got) {
			t.Fatalf("rawPath(%q) = %q", text, got)
		}
		u, err := url.ParseRequestURI(text)
		if err != nil {
			return
		}
		if _, rest, _ := strings.Cut(text, ":"); text[0] != '/' && !strings.HasPrefix(rest, "//") { // another form, no path to us
			if got != "" {
				t.Fatalf("rawPath(%q) = %q", text, got)
			}
			return
		}
		if decoded, err := url.PathUnescape(got); err != nil || decoded != u.Path {
			t.Fatalf("rawPath(%q) = %q, net/url says %q", text, got, u.Path)
		}
	})
}

// TestTargetComparesAllSecrets shows that each secret opens the door wherever
// it stands in the list, and that digests of different lengths do not exist.
func TestTargetComparesAllSecrets(t *testing.T) {
	secrets := []string{"a", "", strings.Repeat("long", 100), "z"}
	target := newTarget("/", secrets)
	for _, secret := range secrets {
		if got := target.matches([]byte("/" + secret)); got != (secret != "") {
			t.Errorf("matches(%q) = %v", secret, got)
		}
	}
	if !target.guarded || target.matches([]byte("/")) {
		t.Error("the bare path is open")
	}
	onlyEmpty := newTarget("/hook", []string{""})
	for _, path := range []string{"/hook", "/hook/"} {
		if onlyEmpty.matches([]byte(path)) {
			t.Errorf("%s is open with an empty secret", path)
		}
	}
}
