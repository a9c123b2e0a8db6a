package decide

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"bintubridge/subjects"
)

const testSecret = "a secret of some length"

func secret(t testing.TB, text string) *Key {
	t.Helper()
	k, err := NewSecret([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func public(t testing.TB, key any) *Key {
	t.Helper()
	k, err := NewPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mustToken(t testing.TB, text string) *Token {
	t.Helper()
	token, err := CompileToken([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// signHMAC says once more, in other words, what an hmac token is.
func signHMAC(key string, expires time.Time, values ...string) string {
	expiry := fmt.Sprint(expires.Unix())
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(strings.Join(append(values, expiry), "\n")))
	return expiry + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

func TestHMAC(t *testing.T) {
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := NewKeys(map[string]*Key{"old": secret(t, testSecret), "new": secret(t, "another secret, also long"), "ed": public(t, ed)})
	later, second := noon.Add(time.Hour), time.Second
	good := signHMAC(testSecret, later, "publish", "cam-1")
	const both = `"keys":["old","new"],"bind":["call","name"]`
	tests := []struct {
		name  string
		wants string // keys and bind
		value string
		do    func(*Input)
		at    time.Time
		want  error
	}{
		{name: "good", wants: both, value: good},
		{name: "of another program", wants: both, value: "1796000000.bmi5p1OWk1VqGNJh9foMwA"},
		{name: "the second of two keys in rotation", wants: both, value: signHMAC("another secret, also long", later, "publish", "cam-1")},
		{name: "a key of the file that the rule does not name", wants: `"keys":["new"],"bind":["call","name"]`, value: good, want: ErrTokenSignature},
		{name: "no such key", wants: `"keys":["gone"],"bind":["call","name"]`, value: good, want: ErrTokenKey},
		{name: "one of two keys is gone", wants: `"keys":["gone","old"],"bind":["call","name"]`, value: good},
		{name: "a public key", wants: `"keys":["ed"],"bind":["call","name"]`, value: good, want: ErrTokenKey},
		{name: "no keys at all", wants: both, value: good, do: func(in *Input) { in.Keys = nil }, want: ErrTokenKey},
		{name: "the last moment", wants: both, value: good, at: later.Add(-1)},
		{name: "expired", wants: both, value: good, at: later, want: ErrTokenExpired},
		{name: "another name", wants: both, value: good, do: func(in *Input) { in.Name = "cam-2" }, want: ErrTokenSignature},
		{name: "another call", wants: both, value: good, do: func(in *Input) { in.Call = subjects.Play }, want: ErrTokenSignature},
		{name: "a field that is not bound", wants: both, value: good, do: func(in *Input) { in.Addr = "10.9.9.9" }},
		{name: "the other order", wants: `"keys":["old"],"bind":["name","call"]`, value: good, want: ErrTokenSignature},
		{name: "the other order, signed so", wants: `"keys":["old"],"bind":["name","call"]`, value: signHMAC(testSecret, later, "cam-1", "publish")},
		{name: "every field", wants: `"keys":["old"],"bind":["call","name","app","addr","clientid","type","flashver","swfurl","tcurl","pageurl"]`,
			value: signHMAC(testSecret, later, "publish", "cam-1", "live", "10.0.0.1", "7", "record", "FMLE", "swf", "tc", "page")},
		{name: "an update under its alias", wants: both, value: signHMAC(testSecret, later, "update_publish", "cam-1"), do: func(in *Input) { in.Call = subjects.ParseCall("publish_update") }},
		{name: "a line break in a bound field", wants: both, value: signHMAC(testSecret, later, "publish", "cam\n1"), do: func(in *Input) { in.Name = "cam\n1" }, want: ErrTokenNewline},
		{name: "a line break elsewhere", wants: both, value: good, do: func(in *Input) { in.App = "a\nb" }},
		{name: "a long name", wants: both, value: signHMAC(testSecret, later, "publish", strings.Repeat("x", 2000)), do: func(in *Input) { in.Name = strings.Repeat("x", 2000) }},
		{name: "empty", wants: both, value: "", want: ErrTokenMissing},
		{name: "no fields", wants: both, value: good, do: func(in *Input) { in.Custom = nil }, want: ErrTokenMissing},
		{name: "mac cut short", wants: both, value: good[:len(good)-1], want: ErrTokenMalformed},
		{name: "mac too long", wants: both, value: good + "A", want: ErrTokenMalformed},
		{name: "mac padded", wants: both, value: good + "==", want: ErrTokenMalformed},
		{name: "mac with its unused bits set", wants: both, value: good[:len(good)-1] + next(good[len(good)-1]), want: ErrTokenSignature},
		{name: "no mac", wants: both, value: fmt.Sprint(later.Unix()), want: ErrTokenMalformed},
		{name: "an expiry of its own", wants: both, value: fmt.Sprint(later.Add(second).Unix()) + good[10:], want: ErrTokenSignature},
		{name: "a signed expiry", wants: both, value: "+" + good, want: ErrTokenMalformed},
		{name: "a zero before the expiry", wants: both, value: "0" + good, want: ErrTokenMalformed},
		{name: "a long expiry", wants: both, value: "99" + good, want: ErrTokenMalformed},
		{name: "no expiry", wants: both, value: good[10:], want: ErrTokenMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := Input{Call: subjects.Publish, Name: "cam-1", App: "live", Addr: "10.0.0.1", ClientID: "7", Type: "record",
				FlashVer: "FMLE", SWFURL: "swf", TCURL: "tc", PageURL: "page", Custom: fields("token", tt.value), Keys: keys}
			if tt.do != nil {
				tt.do(&in)
			}
			at := tt.at
			if at.IsZero() {
				at = noon
			}
			condition := `{"type":"hmac","field":"token",` + tt.wants + `}`
			if got := mustToken(t, condition).Check(&in, at); !errors.Is(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			rule := `{"id":"r","effect":"allow","calls":["publish","play","update_publish"],"token":` + condition + `}`
			if got := rulesTable(t, rule).Decide(&in, at).Rule == "d/r"; got != (tt.want == nil) {
				t.Errorf("the rule holds: %v", got)
			}
		})
	}
}

// next is the character behind c: the last one of a mac has unused bits, and
// counting up changes only those.
func next(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)+1])
}

// A deny rule with a token is no different: without the token it does not match.
func TestTokenOfADenyRule(t *testing.T) {
	keys := NewKeys(map[string]*Key{"k": secret(t, testSecret)})
	table := rulesTable(t, `{"id":"yes","effect":"allow"},
		{"id":"no","effect":"deny","token":{"type":"hmac","field":"t","keys":["k"],"bind":["name"]}},
		{"id":"gone","effect":"deny","priority":1,"token":{"type":"hmac","field":"t","keys":["gone"],"bind":["name"]}}`)
	in := Input{Call: subjects.Publish, Name: "cam-1", Custom: fields("t", signHMAC(testSecret, noon.Add(1e9), "cam-1")), Keys: keys}
	if got := table.Decide(&in, noon); got.Rule != "d/no" {
		t.Errorf("with the token: %+v", got)
	}
	in.Name = "cam-2"
	if got := table.Decide(&in, noon); got.Rule != "d/yes" {
		t.Errorf("without: %+v", got)
	}
	if got := keys.Missing(); len(got) != 1 || got[0] != "gone" {
		t.Errorf("missing %q", got)
	}
}

// Many different conditions must not make one request expensive. What is not looked at
// any more counts against the client; conditions that are alike are one.
func TestTokensAreBounded(t *testing.T) {
	keys := map[string]*Key{"k0": secret(t, testSecret)}
	for i := 1; i <= maxInspected; i++ {
		keys[fmt.Sprint("k", i)] = secret(t, testSecret+fmt.Sprint(i))
	}
	in := Input{Call: subjects.Publish, Name: "cam-1", Keys: NewKeys(keys)}
	rule := func(id int, effect, key string) string {
		return fmt.Sprintf(`{"id":"%d","effect":"%s","priority":%d,"token":{"type":"hmac","field":"t","keys":["%s"],"bind":["name"]}},`, id, effect, 1000-id, key)
	}
	for name, tt := range map[string]struct {
		others int // different keys of the rules before
		effect string
		secret string // that the token is made with
		want   string
	}{
		"an allow rule within": {maxInspected - 1, "allow", testSecret, "d/200"},
		"a deny rule within":   {maxInspected - 1, "deny", "another secret", "d/last"},
		"an allow rule beyond": {maxInspected, "allow", testSecret, "d/last"},
		"a deny rule beyond":   {maxInspected, "deny", "another secret", "d/200"},
	} {
		rules := ""
		for i := range 200 {
			rules += rule(i, "allow", fmt.Sprint("k", 1+i%tt.others))
		}
		in.Custom = fields("t", signHMAC(tt.secret, noon.Add(time.Minute), "cam-1"))
		table := rulesTable(t, rules+rule(200, tt.effect, "k0")+`{"id":"last","effect":"allow"}`)
		if got := table.Decide(&in, noon); got.Rule != tt.want {
			t.Errorf("%s: got %+v, want %s", name, got, tt.want)
		}
		in.Custom = nil
		if got := table.Decide(&in, noon); got.Rule != "d/last" {
			t.Errorf("%s, without a token: got %+v", name, got)
		}
	}
}

func TestMissingKeysAreBounded(t *testing.T) {
	keys := NewKeys(nil)
	for range 2 {
		for i := range 2 * maxMissing {
			keys.get(fmt.Sprintf("k%02d", i))
		}
	}
	if got := keys.Missing(); len(got) != maxMissing || got[0] != "k00" || got[15] != "k15" {
		t.Errorf("%q", got)
	}
	var none *Keys
	if none.get("k") != nil || none.Missing() != nil || none.Len() != 0 {
		t.Error("no keys at all have some")
	}
}

func TestSign(t *testing.T) {
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	in := Input{Call: subjects.Play, Name: "cam-1", Keys: NewKeys(map[string]*Key{"k": secret(t, testSecret), "ed": public(t, ed)})}
	sign := func(keys string) (string, error) {
		return mustToken(t, `{"type":"hmac","field":"t","keys":[`+keys+`],"bind":["call","name"]}`).Sign(&in, noon)
	}
	got, err := sign(`"k"`)
	if want := signHMAC(testSecret, noon, "play", "cam-1"); err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	for key, want := range map[string]string{`"x"`: `no key "x"`, `"ed"`: `"ed" is public`} {
		if _, err := sign(key); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", key, err)
		}
	}
	in.Name = "a\nb"
	if _, err := sign(`"k"`); !errors.Is(err, ErrTokenNewline) {
		t.Error(err)
	}
	in.Name = "cam-1"
	hmac := mustToken(t, `{"type":"hmac","field":"t","keys":["k"],"bind":["name"]}`)
	if _, err := hmac.Sign(&in, time.Time{}); err == nil {
		t.Error("signed for a time before 1970")
	}
	jwt := mustToken(t, `{"type":"jwt","field":"t","keys":["k"],"alg":["HS256"]}`)
	if _, err := jwt.Sign(&in, noon); err == nil {
		t.Error("signed a JWT")
	}
}

func TestKeysRefused(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for want, key := range map[string]crypto.PublicKey{"P-256": p384.Public(), "at least 2048": small.Public(), "type int": 7} {
		if _, err := NewPublicKey(key); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%T: %v", key, err)
		}
	}
	if _, err := NewSecret(make([]byte, 15)); err == nil || !strings.Contains(err.Error(), "at least 16") {
		t.Error(err)
	}
}

func TestTokenMistakes(t *testing.T) {
	const hmac, jwt = `"type":"hmac","field":"t","keys":["k"],`, `"type":"jwt","field":"t","keys":["k"],`
	keys := strings.TrimSuffix(strings.Repeat(`"k",`, maxTokenKeys+1), ",")
	for _, tt := range []struct{ data, want string }{
		{`"k"`, `field "token": got "k", want an object as {"type":"hmac"`},
		{`{}`, `field "token.type": missing, want "hmac" or "jwt"`},
		{`{"type":"HMAC"}`, `field "token.type": got "HMAC", want "hmac" or "jwt"`},
		{`{"type":"hmac"}`, `field "token.bind": missing`},
		{`{"type":"jwt","field":"t","keys":["k"]}`, `field "token.alg": missing, want it in a token of this type`},
		{`{` + hmac + `"bind":[]}`, `field "token.bind": got an empty list, want at least one field of the request, as ["call","name"]`},
		{`{"type":"hmac","field":"t","keys":[],"bind":["name"]}`, `field "token.keys": got an empty list, want the name of at least one key of BRIDGE_KEYS_FILE`},
		{`{` + jwt + `"alg":null}`, `field "token.alg": got null, want at least one algorithm: EdDSA, ES256, RS256 or HS256`},
		{`{` + hmac + `"bind":["Name"]}`, `field "token.bind[0]": got "Name", want a field of the request: call, name, app`},
		{`{` + hmac + `"bind":[""]}`, `field "token.bind[0]": got "", want a field of the request: call, name, app`},
		{`{` + hmac + `"bind":["custom.x"]}`, `field "token.bind[0]"`},
		{`{` + hmac + `"bind":["name"],"alg":["HS256"]}`, `field "token.alg": got an unknown field, want a field of this version: type, field, keys, bind`},
		{`{"type":"hmac","field":"","keys":["k"],"bind":["name"]}`, `field "token.field": got ""`},
		{`{"type":"hmac","field":"t","keys":["a/b"],"bind":["name"]}`, `field "token.keys[0]": got "a/b", want the name of a key`},
		{`{"type":"hmac","field":"t","keys":[` + keys + `],"bind":["name"]}`, `field "token.keys": got 9 keys, want at most 8`},
		{`{` + jwt + `"alg":["none"]}`, `field "token.alg[0]": got "none", want EdDSA, ES256, RS256 or HS256`},
		{`{` + jwt + `"alg":["RS512"]}`, `field "token.alg[0]": got "RS512"`},
		{`{` + jwt + `"alg":["EdDSA"],"bind":["name"]}`, `field "token.bind": got an unknown field`},
		{`{` + jwt + `"alg":["EdDSA"],"claims":["sub"]}`, `field "token.claims": got a list, want an object of claims`},
		{`{` + jwt + `"alg":["EdDSA"],"claims":{"sub":"name"}}`, `field "token.claims.sub": got "name", want an object of "equals"`},
		{`{` + jwt + `"alg":["EdDSA"],"claims":{"sub":{}}}`, `field "token.claims.sub": got an empty object`},
		{`{` + jwt + `"alg":["EdDSA"],"claims":{"sub":{"is":"name"}}}`, `field "token.claims.sub.is": got an unknown field, want a field of this version: equals, contains, cidr_contains, in`},
		{`{` + jwt + `"alg":["EdDSA"],"claims":{"sub":{"equals":"custom"}}}`, `field "token.claims.sub.equals": got "custom", want a field of the request`},
		{`{` + jwt + `"alg":["EdDSA"],"claims":{"net":{"cidr_contains":"name"}}}`, `field "token.claims.net.cidr_contains": got "name", want "addr"`},
		{`{` + jwt + `"alg":["EdDSA"],"claims":{"role":{"in":[]}}}`, `field "token.claims.role.in": got an empty list`},
	} {
		_, err := Compile("d", []byte(`{"rules":[{"id":"r","effect":"allow","token":`+tt.data+`}]}`))
		if err == nil || !strings.Contains(err.Error(), `document "d", rule "r", `+tt.want) {
			t.Errorf("%s\ngot  %v\nwant %s", tt.data, err, tt.want)
		}
		alone := strings.NewReplacer(`"token.`, `"`, `field "token": `, ``).Replace(tt.want)
		if _, err := CompileToken([]byte(tt.data)); err == nil || !strings.Contains(err.Error(), alone) {
			t.Errorf("alone: %s\ngot  %v\nwant %s", tt.data, err, alone)
		}
	}
}
