package decide

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"bintubridge/subjects"
)

// issuer makes tokens of every kind, also such as nobody should take.
type issuer struct {
	ed  ed25519.PrivateKey
	ec  *ecdsa.PrivateKey
	rsa *rsa.PrivateKey
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsa, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{ed, ec, rsa}
}

func (i *issuer) keys(t testing.TB) *Keys {
	return NewKeys(map[string]*Key{
		"ed": public(t, i.ed.Public()), "ec": public(t, i.ec.Public()), "rsa": public(t, i.rsa.Public()), "hs": secret(t, testSecret),
	})
}

func sign(t testing.TB, method jwt.SigningMethod, key any, claims map[string]any) string {
	t.Helper()
	text, err := jwt.NewWithClaims(method, jwt.MapClaims(claims)).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// forge puts a header and a payload together and signs them with HMAC.
func forge(header, payload string, key []byte) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	if key == nil {
		return text + "."
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func swapPayload(token, payload string) string {
	parts := strings.Split(token, ".")
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(payload))
	return strings.Join(parts, ".")
}

func TestJWT(t *testing.T) {
	i := newIssuer(t)
	other := newIssuer(t)
	later := noon.Add(time.Hour)
	exp := later.Unix()
	claims := map[string]any{"exp": exp, "sub": "cam-1"}
	ed := sign(t, jwt.SigningMethodEdDSA, i.ed, claims)
	payload := fmt.Sprintf(`{"exp":%d,"sub":"cam-1"}`, exp)
	der, err := x509.MarshalPKIXPublicKey(i.rsa.Public())
	if err != nil {
		t.Fatal(err)
	}
	rsaPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	with := func(changes map[string]any) string {
		all := map[string]any{"exp": exp, "sub": "cam-1"}
		for k, v := range changes {
			if all[k] = v; v == nil {
				delete(all, k)
			}
		}
		return sign(t, jwt.SigningMethodEdDSA, i.ed, all)
	}
	critical := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims(claims))
	critical.Header["crit"] = []string{"x"}
	crit, err := critical.SignedString(i.ed)
	if err != nil {
		t.Fatal(err)
	}

	const all = `"keys":["ed","ec","rsa","hs"],"alg":["EdDSA","ES256","RS256","HS256"]`
	const edOnly = `"keys":["ed"],"alg":["EdDSA"]`
	claim := func(want string) string { return edOnly + `,"claims":{"x":` + want + `}` }
	tests := []struct {
		name  string
		wants string
		value string
		at    time.Time
		want  error
	}{
		{name: "EdDSA", wants: all, value: ed},
		{name: "ES256", wants: all, value: sign(t, jwt.SigningMethodES256, i.ec, claims)},
		{name: "RS256", wants: all, value: sign(t, jwt.SigningMethodRS256, i.rsa, claims)},
		{name: "HS256", wants: all, value: sign(t, jwt.SigningMethodHS256, []byte(testSecret), claims)},
		{name: "the same claims, another key", wants: all, value: sign(t, jwt.SigningMethodEdDSA, other.ed, claims), want: ErrTokenSignature},
		{name: "ES256 of another key", wants: all, value: sign(t, jwt.SigningMethodES256, other.ec, claims), want: ErrTokenSignature},
		{name: "two keys in rotation", wants: `"keys":["hs","ec","ed"],"alg":["EdDSA"]`, value: ed},
		{name: "a key that the rule does not name", wants: `"keys":["ec"],"alg":["EdDSA","ES256"]`, value: ed, want: ErrTokenKey},
		{name: "a key that is gone", wants: `"keys":["gone"],"alg":["EdDSA"]`, value: ed, want: ErrTokenKey},
		{name: "an algorithm that is not pinned", wants: `"keys":["ed","ec"],"alg":["ES256"]`, value: ed, want: ErrTokenAlgorithm},
		{name: "HS256 not pinned", wants: `"keys":["hs"],"alg":["EdDSA"]`, value: sign(t, jwt.SigningMethodHS256, []byte(testSecret), claims), want: ErrTokenAlgorithm},
		{name: "RS512", wants: all, value: sign(t, jwt.SigningMethodRS512, i.rsa, claims), want: ErrTokenAlgorithm},
		{name: "PS256", wants: all, value: sign(t, jwt.SigningMethodPS256, i.rsa, claims), want: ErrTokenAlgorithm},
		{name: "none", wants: all, value: forge(`{"alg":"none"}`, payload, nil), want: ErrTokenAlgorithm},
		{name: "none by the library", wants: all, value: sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims), want: ErrTokenAlgorithm},
		{name: "None", wants: all, value: forge(`{"alg":"None"}`, payload, nil), want: ErrTokenAlgorithm},
		{name: "no alg", wants: all, value: forge(`{}`, payload, nil), want: ErrTokenAlgorithm},
		{name: "a public key as secret", wants: all, value: forge(`{"alg":"HS256"}`, payload, rsaPEM), want: ErrTokenSignature},
		{name: "a public key as secret, in DER", wants: all, value: forge(`{"alg":"HS256"}`, payload, der), want: ErrTokenSignature},
		{name: "a public key as secret, and no other", wants: `"keys":["ed"],"alg":["EdDSA","HS256"]`, value: forge(`{"alg":"HS256"}`, payload, i.ed.Public().(ed25519.PublicKey)), want: ErrTokenKey},
		{name: "a key within the token", wants: all, value: forge(`{"alg":"HS256","jwk":{"kty":"oct","k":"AA"}}`, payload, []byte{0}), want: ErrTokenSignature},
		{name: "critical extensions", wants: all, value: crit, want: ErrTokenMalformed},

		{name: "the last moment", wants: all, value: ed, at: later.Add(-1)},
		{name: "expired", wants: all, value: ed, at: later, want: ErrTokenExpired},
		{name: "not yet", wants: all, value: with(map[string]any{"nbf": noon.Unix() + 1}), want: ErrTokenEarly},
		{name: "from now on", wants: all, value: with(map[string]any{"nbf": noon.Unix()})},
		{name: "no exp", wants: all, value: with(map[string]any{"exp": nil}), want: ErrTokenMalformed},
		{name: "exp as text", wants: all, value: with(map[string]any{"exp": fmt.Sprint(exp)}), want: ErrTokenMalformed},
		{name: "exp null", wants: all, value: sign(t, jwt.SigningMethodEdDSA, i.ed, map[string]any{"exp": nil}), want: ErrTokenMalformed},
		{name: "exp beyond time", wants: all, value: with(map[string]any{"exp": 1e300}), want: ErrTokenMalformed},
		{name: "exp zero", wants: all, value: with(map[string]any{"exp": 0}), want: ErrTokenMalformed},
		{name: "nbf as text", wants: all, value: with(map[string]any{"nbf": "now"}), want: ErrTokenMalformed},

		{name: "missing", wants: all, want: ErrTokenMissing},
		{name: "no JWT", wants: all, value: "x", want: ErrTokenMalformed},
		{name: "an hmac token", wants: all, value: signHMAC(testSecret, later, "publish", "cam-1"), want: ErrTokenMalformed},
		{name: "cut short", wants: all, value: ed[:len(ed)-2], want: ErrTokenSignature},
		{name: "without signature", wants: all, value: ed[:strings.LastIndexByte(ed, '.')+1], want: ErrTokenSignature},
		{name: "padded", wants: all, value: ed + "==", want: ErrTokenMalformed},
		{name: "payload changed", wants: all, value: strings.Replace(ed, ".", ".e30", 1), want: ErrTokenMalformed},
		{name: "another payload under the signature", wants: all, value: swapPayload(ed, `{"exp":9999999999,"sub":"cam-1"}`), want: ErrTokenSignature},
		{name: "too long", wants: all, value: ed + strings.Repeat("A", maxJWT), want: ErrTokenMalformed},

		{name: "claim equals", wants: claim(`{"equals":"name"}`), value: with(map[string]any{"x": "cam-1"})},
		{name: "claim equals, a number", wants: claim(`{"equals":"clientid"}`), value: with(map[string]any{"x": 7})},
		{name: "claim equals, a large number", wants: claim(`{"in":["12345678901234567890"]}`), value: with(map[string]any{"x": json.Number("12345678901234567890")})},
		{name: "claim differs", wants: claim(`{"equals":"name"}`), value: with(map[string]any{"x": "cam-2"}), want: ErrTokenClaim},
		{name: "claim is a list", wants: claim(`{"equals":"name"}`), value: with(map[string]any{"x": []string{"cam-1"}}), want: ErrTokenClaim},
		{name: "claim missing", wants: claim(`{"equals":"name"}`), value: ed, want: ErrTokenClaim},
		{name: "claim missing, the field empty", wants: claim(`{"equals":"type"}`), value: ed, want: ErrTokenClaim},
		{name: "claim null", wants: claim(`{"equals":"name"}`), value: sign(t, jwt.SigningMethodEdDSA, i.ed, map[string]any{"exp": exp, "x": nil}), want: ErrTokenClaim},
		{name: "claim an object", wants: claim(`{"equals":"name"}`), value: with(map[string]any{"x": map[string]any{"cam-1": 1}}), want: ErrTokenClaim},
		{name: "claim contains", wants: claim(`{"contains":"name"}`), value: with(map[string]any{"x": []any{7, nil, "cam-1"}})},
		{name: "claim contains, one value", wants: claim(`{"contains":"name"}`), value: with(map[string]any{"x": "cam-1"})},
		{name: "claim contains no part of a text", wants: claim(`{"contains":"name"}`), value: with(map[string]any{"x": "cam-11"}), want: ErrTokenClaim},
		{name: "claim does not contain", wants: claim(`{"contains":"name"}`), value: with(map[string]any{"x": []string{}}), want: ErrTokenClaim},
		{name: "claim network", wants: claim(`{"cidr_contains":"addr"}`), value: with(map[string]any{"x": "10.0.0.0/8"})},
		{name: "claim networks", wants: claim(`{"cidr_contains":"addr"}`), value: with(map[string]any{"x": []string{"house", "2001:db8::/32", "::ffff:10.0.0.0/104"}})},
		{name: "claim address", wants: claim(`{"cidr_contains":"addr"}`), value: with(map[string]any{"x": "10.0.0.1"})},
		{name: "claim another network", wants: claim(`{"cidr_contains":"addr"}`), value: with(map[string]any{"x": "11.0.0.0/8"}), want: ErrTokenClaim},
		{name: "claim no network", wants: claim(`{"cidr_contains":"addr"}`), value: with(map[string]any{"x": "10.0.0.0/99"}), want: ErrTokenClaim},
		{name: "claim in", wants: claim(`{"in":["viewer","publisher"]}`), value: with(map[string]any{"x": "publisher"})},
		{name: "claim in, a list", wants: claim(`{"in":["viewer"]}`), value: with(map[string]any{"x": []string{"publisher", "viewer"}})},
		{name: "claim in, true", wants: claim(`{"in":["true"]}`), value: with(map[string]any{"x": true})},
		{name: "claim not in", wants: claim(`{"in":["viewer"]}`), value: with(map[string]any{"x": "publisher"}), want: ErrTokenClaim},
		{name: "claim by two", wants: claim(`{"contains":"name","in":["cam-2"]}`), value: with(map[string]any{"x": []string{"cam-1", "cam-2"}})},
		{name: "claim by one of two", wants: claim(`{"contains":"name","in":["cam-2"]}`), value: with(map[string]any{"x": "cam-1"}), want: ErrTokenClaim},
		{name: "two claims", wants: edOnly + `,"claims":{"sub":{"equals":"name"},"x":{"equals":"app"}}`, value: with(map[string]any{"x": "live"})},
		{name: "one of two claims", wants: edOnly + `,"claims":{"sub":{"equals":"name"},"x":{"equals":"app"}}`, value: ed, want: ErrTokenClaim},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := Input{Call: subjects.Publish, Name: "cam-1", App: "live", Addr: "10.0.0.1", ClientID: "7", Custom: fields("jwt", tt.value), Keys: i.keys(t)}
			at := tt.at
			if at.IsZero() {
				at = noon
			}
			token := mustToken(t, `{"type":"jwt","field":"jwt",`+tt.wants+`}`)
			for _, sight := range []string{"first", "second"} {
				if got := token.Check(&in, at); !errors.Is(got, tt.want) {
					t.Errorf("at %s sight: got %v, want %v", sight, got, tt.want)
				}
			}
		})
	}
}

// What was found good once is good for the same keys and algorithms alone, and
// until it expires.
func TestJWTRemembered(t *testing.T) {
	i := newIssuer(t)
	keys := i.keys(t)
	text := sign(t, jwt.SigningMethodEdDSA, i.ed, map[string]any{"exp": noon.Unix() + 60, "nbf": noon.Unix(), "sub": "cam-1"})
	in := Input{Call: subjects.Publish, Name: "cam-1", Custom: fields("jwt", text), Keys: keys}
	wants := func(text string) *Token { return mustToken(t, `{"type":"jwt","field":"jwt",`+text+`}`) }
	sub := wants(`"keys":["ed"],"alg":["EdDSA"],"claims":{"sub":{"equals":"name"}}`)
	remembered := func() (n int) {
		for s := range keys.checked.sets {
			for w := range keys.checked.sets[s] {
				if keys.checked.sets[s][w].Load() != nil {
					n++
				}
			}
		}
		return n
	}
	if err := sub.Check(&in, noon); err != nil || remembered() != 1 {
		t.Fatal(err, remembered())
	}
	in.Name = "cam-2"
	if err := sub.Check(&in, noon); !errors.Is(err, ErrTokenClaim) {
		t.Error("a remembered token served another name:", err)
	}
	if err := wants(`"keys":["ed"],"alg":["EdDSA"]`).Check(&in, noon); err != nil || remembered() != 1 {
		t.Error("not shared by a rule of other claims:", err, remembered())
	}
	for want, other := range map[error]*Token{
		ErrTokenKey:       wants(`"keys":["ec"],"alg":["EdDSA"]`),
		ErrTokenAlgorithm: wants(`"keys":["ed"],"alg":["ES256"]`),
	} {
		if err := other.Check(&in, noon); !errors.Is(err, want) {
			t.Errorf("a remembered token served a rule of other keys: %v, want %v", err, want)
		}
	}
	in.Name = "cam-1"
	for at, want := range map[time.Time]error{
		noon.Add(60 * time.Second): ErrTokenExpired, noon.Add(-1): ErrTokenEarly,
		noon.Add(59 * time.Second): nil, noon: nil,
	} {
		if err := sub.Check(&in, at); !errors.Is(err, want) {
			t.Errorf("at %v: %v, want %v", at, err, want)
		}
	}
	in.Keys = newIssuer(t).keys(t)
	if err := sub.Check(&in, noon); !errors.Is(err, ErrTokenSignature) {
		t.Error("a remembered token outlived its key:", err)
	}
}

// A token has one spelling.
func TestJWTWithLineBreaks(t *testing.T) {
	i := newIssuer(t)
	text := sign(t, jwt.SigningMethodEdDSA, i.ed, map[string]any{"exp": noon.Unix() + 60})
	token := mustToken(t, `{"type":"jwt","field":"t","keys":["ed"],"alg":["EdDSA"]}`)
	for value, want := range map[string]error{
		text: nil, text + "\n": ErrTokenMalformed, text + "\r\n": ErrTokenMalformed, "\n" + text: ErrTokenMalformed,
		text[:10] + "\n" + text[10:]: ErrTokenMalformed,
	} {
		in := Input{Call: subjects.Publish, Name: "cam-1", Custom: fields("t", value), Keys: i.keys(t)}
		if err := token.Check(&in, noon); !errors.Is(err, want) {
			t.Errorf("%q: %v", value, err)
		}
	}
}

// A token in the rule before does not answer for one in another field.
func TestTokensOfOneRequest(t *testing.T) {
	i := newIssuer(t)
	exp := noon.Unix() + 60
	text := func(sub string) string {
		return sign(t, jwt.SigningMethodEdDSA, i.ed, map[string]any{"exp": exp, "sub": sub})
	}
	in := Input{Call: subjects.Publish, Name: "cam-1", Custom: fields("a", text("cam-1"), "b", text("cam-2"), "c", signHMAC(testSecret, noon.Add(time.Minute), "cam-1")), Keys: i.keys(t)}
	rule := func(id, field, want string) string {
		return `{"id":"` + id + `","effect":"allow","token":{"type":"jwt","field":"` + field + `","keys":["ed"],"alg":["EdDSA"],"claims":{"sub":` + want + `}}}`
	}
	hmac := `{"id":"3","effect":"allow","token":{"type":"hmac","field":"c","keys":["hs"],"bind":["name"]}}`
	for name, tt := range map[string]struct{ rules, want string }{
		"another field":             {rule("1", "b", `{"equals":"name"}`) + `,` + rule("2", "a", `{"equals":"name"}`), "d/2"},
		"the field before":          {rule("1", "a", `{"in":["x"]}`) + `,` + rule("2", "b", `{"equals":"name"}`), ""},
		"the same, other claims":    {rule("1", "a", `{"in":["x"]}`) + `,` + rule("2", "a", `{"in":["cam-1"]}`), "d/2"},
		"another type":              {rule("1", "b", `{"equals":"name"}`) + `,` + hmac, "d/3"},
		"a field that is not there": {rule("1", "x", `{"equals":"name"}`) + `,` + hmac, "d/3"},
	} {
		if got := rulesTable(t, tt.rules).Decide(&in, noon); got.Rule != tt.want {
			t.Errorf("%s: got %+v, want %q", name, got, tt.want)
		}
	}
}

// The cache is bounded, gives room first to those that live longest, and many may
// use it at once.
func TestCheckedTokens(t *testing.T) {
	var cache checkedTokens
	token := func(n byte, life time.Duration) *checkedToken {
		return &checkedToken{sum: [32]byte{31: n}, expires: noon.Add(life)} // all in one set
	}
	var kept []*checkedToken
	for n := range checkedWays {
		kept = append(kept, token(byte(n), time.Duration(10+n)*time.Minute))
		cache.add(kept[n])
	}
	late := token(9, time.Hour)
	cache.add(late)
	if cache.find(&kept[0].sum, &kept[0].condition) != nil || cache.find(&late.sum, &late.condition) != late {
		t.Error("the one that expires first did not give way")
	}
	after := token(8, 2*time.Hour)
	cache.add(after)
	for _, c := range []*checkedToken{kept[2], kept[3], late, after} {
		if cache.find(&c.sum, &c.condition) != c {
			t.Error("one gave way that lives longer")
		}
	}
	other := [32]byte{31: 1} // in the same set
	if cache.find(&late.sum, &other) != nil {
		t.Error("found for another condition")
	}

	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for n := range 1000 {
				c := &checkedToken{sum: sha256.Sum256([]byte{byte(g), byte(n), byte(n >> 8)}), expires: noon.Add(time.Hour)}
				cache.add(c)
				if found := cache.find(&c.sum, &c.condition); found != nil && found.sum != c.sum {
					t.Error("found another token")
				}
			}
		})
	}
	all.Wait()
}
