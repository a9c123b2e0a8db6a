package decide

import (
	"errors"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"bintubridge/subjects"
)

// tokenScenarios are token conditions that hold, and one that does not.
func tokenScenarios(tb testing.TB) []struct {
	name  string
	token *Token
	in    Input
	want  error
} {
	i := newIssuer(tb)
	keys := NewKeys(map[string]*Key{
		"k1": secret(tb, testSecret), "k2": secret(tb, "another secret, also long"),
		"ed": public(tb, i.ed.Public()), "ec": public(tb, i.ec.Public()), "rsa": public(tb, i.rsa.Public()),
	})
	mac := signHMAC("another secret, also long", noon.Add(1e12), "publish", "CD6xx-123456")
	claims := map[string]any{"exp": noon.Unix() + 60, "sub": "CD6xx-123456", "rooms": []string{"a", "live"}, "net": []string{"17.31.0.0/16"}}
	in := func(token string) Input {
		return Input{Call: subjects.Publish, Name: "CD6xx-123456", App: "live", Addr: "17.31.43.214", Custom: fields("token", token), Keys: keys}
	}
	const wants = `,"claims":{"sub":{"equals":"name"},"rooms":{"contains":"app"},"net":{"cidr_contains":"addr"}}}`
	return []struct {
		name  string
		token *Token
		in    Input
		want  error
	}{
		{"hmac-2-keys", mustToken(tb, `{"type":"hmac","field":"token","keys":["k1","k2"],"bind":["call","name"]}`), in(mac), nil},
		{"hmac-1-key", mustToken(tb, `{"type":"hmac","field":"token","keys":["k2"],"bind":["call","name"]}`), in(mac), nil},
		{"hmac-forged", mustToken(tb, `{"type":"hmac","field":"token","keys":["k1"],"bind":["call","name"]}`), in(mac), ErrTokenSignature},
		{"jwt-eddsa", mustToken(tb, `{"type":"jwt","field":"token","keys":["ed"],"alg":["EdDSA"]`+wants), in(sign(tb, jwt.SigningMethodEdDSA, i.ed, claims)), nil},
		{"jwt-es256", mustToken(tb, `{"type":"jwt","field":"token","keys":["ec"],"alg":["ES256"]`+wants), in(sign(tb, jwt.SigningMethodES256, i.ec, claims)), nil},
		{"jwt-rs256", mustToken(tb, `{"type":"jwt","field":"token","keys":["rsa"],"alg":["RS256"]`+wants), in(sign(tb, jwt.SigningMethodRS256, i.rsa, claims)), nil},
	}
}

func BenchmarkToken(b *testing.B) {
	for _, s := range tokenScenarios(b) {
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := s.token.Check(&s.in, noon); !errors.Is(err, s.want) {
					b.Fatal(err)
				}
			}
		})
	}
}

// What the first sight of a JWT costs.
func BenchmarkJWTFirst(b *testing.B) {
	for _, s := range tokenScenarios(b)[3:] {
		text, _ := s.in.Custom.Get("token")
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.token.verifyJWT(s.in.Keys, text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
