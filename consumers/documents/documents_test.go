package documents_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers/consumerstest"
	"bintubridge/consumers/documents"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"*", "", true}, {"a*", "abc", true}, {"a*a", "a", false}, {"*b*d*", "abcde", true}, {"*b*b*", "abc", false}, {"a*b", "a/x.b", true},
	} {
		if documents.MatchName(tt.pattern, tt.name) != tt.want {
			t.Errorf("%+v", tt)
		}
	}
	for _, tt := range []struct {
		filter, subject string
		want            bool
	}{
		{"stream.publish", "stream.publish", true}, {"stream.publish", "stream.publish.x", false}, {"stream.*", "stream.play", true}, {"stream.*", "stream.denied.play", false},
		{"stream.>", "stream.denied.play", true}, {"stream.>", "stream", false}, {">", "a.b", true}, {"*.play", "stream.play", true}, {"stream.play.x", "stream.play", false},
	} {
		if documents.MatchSubject(tt.filter, tt.subject) != tt.want || documents.CheckSubject(tt.filter) != nil {
			t.Errorf("%+v", tt)
		}
	}
	for _, filter := range []string{"", "stream.", ".", "stream.>.x", "stream.a*", "other.x", "stream. x"} {
		if documents.CheckSubject(filter) == nil {
			t.Errorf("%q is taken", filter)
		}
	}
}

// Changes are seen, deletes too, and a bucket that is made anew with an older revision.
func TestFollow(t *testing.T) {
	kit := consumerstest.Start(t)
	seen := make(chan string, 100)
	var looks atomic.Pointer[error]
	looked := func(want bool) func() bool {
		return func() bool { err := looks.Load(); return err != nil && (*err == nil) == want }
	}
	js := kit.JetStream()
	kit.Go(func(ctx context.Context) error {
		documents.Follow(ctx, js, "subscriptions", slog.New(slog.DiscardHandler), func(all []documents.Document) {
			var keys []string
			for _, d := range all {
				keys = append(keys, d.Key+"="+string(d.Value))
			}
			seen <- strings.Join(keys, " ")
		}, func(err error) { looks.Store(&err) })
		return nil
	})
	expect := func(want string) {
		t.Helper()
		bridgetest.Eventually(t, "it has "+want, func() bool { return <-seen == want })
	}
	kv, err := kit.JS.KeyValue(t.Context(), "subscriptions")
	if err != nil {
		t.Fatal(err)
	}
	put := func(key, value string) {
		if _, err := kv.PutString(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	expect("")
	put("a", "1")
	put("b", "2")
	expect("a=1 b=2")
	if err := kv.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	expect("b=2")
	bridgetest.Eventually(t, "looks work", looked(true))
	status, err := kv.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := kit.JS.DeleteKeyValue(t.Context(), "subscriptions"); err != nil {
		t.Fatal(err)
	}
	bridgetest.Eventually(t, "looks fail", looked(false))
	if kv, err = kit.JS.CreateKeyValue(t.Context(), status.Config()); err != nil {
		t.Fatal(err)
	}
	put("c", "3")
	expect("c=3")
	bridgetest.Eventually(t, "looks work again", looked(true))
}

func TestDecode(t *testing.T) {
	type doc struct {
		A string   `json:"a"`
		B []string `json:"b"`
		N struct {
			On bool           `json:"on"`
			M  map[string]int `json:"m"`
		} `json:"n"`
	}
	for text, want := range map[string]string{
		`{"a":"x"}`: "", `{"c":1}`: `unknown field "c"`, `{"a":1}`: `field "a": want a text`, `{"b":"s3cret"}`: `field "b": want a list`,
		`{"n":1}`: `field "n": want an object`, `{"n":{"on":"s3cret"}}`: `field "n.on": want true or false`, `{"n":{"m":{"x":"s3cret"}}}`: "want a number",
		`{} {}`: "something follows", ``: "no JSON object", `{"a":"s3cret`: "no JSON object",
	} {
		err := documents.Decode([]byte(text), new(doc))
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret")) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
