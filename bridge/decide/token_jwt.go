package decide

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// maxJWT is the longest JWT that is looked at, in bytes.
const maxJWT = 8 << 10

// jwtWants is what a rule wants of a JWT beside its key.
type jwtWants struct {
	algs   []string
	claims []claimWant
}

// claimWant is what a rule wants of one claim. Everything it has must hold; a
// claim that is not there holds for nothing.
type claimWant struct {
	claim    string
	equals   requestField // the claim is one value: that of the field
	contains requestField // the claim's values have that of the field
	networks bool         // the claim's values are networks, one has the address
	in       []string     // one of the claim's values is one of these
}

// claim is a claim as it can be compared: numbers and true and false as they are
// written, objects and null as nothing.
type claim struct {
	values []string
	list   bool
}

// checkedToken is a JWT whose signature was found good. It is immutable.
type checkedToken struct {
	sum       [32]byte // of its text
	condition [32]byte // Token.id of the condition that has the keys
	notBefore time.Time
	expires   time.Time
	claims    map[string]claim
}

// within says whether the token counts at the time now. There is no leeway.
func (c *checkedToken) within(now time.Time) error {
	switch {
	case !now.Before(c.expires):
		return ErrTokenExpired
	case now.Before(c.notBefore):
		return ErrTokenEarly
	}
	return nil
}

// checkJWT returns the token in value when a key of the condition has signed it
// and it counts now. One that was checked before, by the same keys, is not checked
// again.
func (t *Token) checkJWT(q *query, value string) (*checkedToken, error) {
	if len(value) > maxJWT || strings.ContainsAny(value, "\r\n") { // base64 skips line breaks
		return nil, ErrTokenMalformed
	}
	if q.in.Keys == nil {
		return nil, ErrTokenKey
	}
	sum := q.sum(t.field, value)
	if c := q.in.Keys.checked.find(sum, &t.id); c != nil {
		return c, c.within(q.now)
	}
	c, err := t.verifyJWT(q.in.Keys, value)
	if err != nil {
		return nil, err
	}
	c.sum, c.condition = *sum, t.id
	if err := c.within(q.now); err != nil {
		return nil, err
	}
	q.in.Keys.checked.add(c)
	return c, nil
}

// verifyJWT checks the signature. It allocates.
func (t *Token) verifyJWT(keys *Keys, value string) (*checkedToken, error) {
	claims := jwt.MapClaims{}
	parser := jwt.NewParser(jwt.WithJSONNumber(), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation()) // within looks at the times
	token, err := parser.ParseWithClaims(value, claims, func(token *jwt.Token) (any, error) {
		return t.fitting(keys, token)
	})
	if err != nil {
		return nil, whyNot(err)
	}
	if _, critical := token.Header["crit"]; critical {
		return nil, ErrTokenMalformed // RFC 7515, section 4.1.11: none of them is understood
	}
	expires, err := claims.GetExpirationTime()
	if err != nil || !isDate(expires) {
		return nil, ErrTokenMalformed
	}
	notBefore, err := claims.GetNotBefore()
	if err != nil || notBefore != nil && !isDate(notBefore) {
		return nil, ErrTokenMalformed
	}
	c := &checkedToken{expires: expires.Time, claims: make(map[string]claim, len(claims))}
	if notBefore != nil {
		c.notBefore = notBefore.Time
	}
	for name, value := range claims {
		if found, ok := readClaim(value); ok {
			c.claims[name] = found
		}
	}
	return c, nil
}

// isDate reports whether a date is there and within what a clock can show.
func isDate(d *jwt.NumericDate) bool {
	const last = 1e11 // unix seconds, as many digits as an hmac token may have
	return d != nil && 0 < d.Unix() && d.Unix() < last
}

// fitting returns the keys of the condition that the token's algorithm belongs
// to: a public key never serves as a secret.
func (t *Token) fitting(keys *Keys, token *jwt.Token) (any, error) {
	alg := token.Method.Alg()
	if !slices.Contains(t.jwt.algs, alg) {
		return nil, ErrTokenAlgorithm
	}
	var fit jwt.VerificationKeySet
	for _, name := range t.keys {
		if k := keys.get(name); k != nil && k.alg == alg {
			fit.Keys = append(fit.Keys, k.verify)
		}
	}
	if len(fit.Keys) == 0 {
		return nil, ErrTokenKey
	}
	return fit, nil
}

// whyNot tells the parser's errors in terms of a condition.
func whyNot(err error) error {
	for _, why := range []error{ErrTokenAlgorithm, ErrTokenKey} {
		if errors.Is(err, why) {
			return why
		}
	}
	switch {
	case errors.Is(err, jwt.ErrTokenUnverifiable): // an algorithm that does not exist here
		return ErrTokenAlgorithm
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return ErrTokenSignature
	}
	return ErrTokenMalformed
}

func readClaim(value any) (claim, bool) {
	if list, ok := value.([]any); ok {
		c := claim{list: true}
		for _, element := range list {
			if text, ok := scalar(element); ok {
				c.values = append(c.values, text)
			}
		}
		return c, true
	}
	text, ok := scalar(value)
	return claim{values: []string{text}}, ok
}

func scalar(value any) (string, bool) {
	switch value := value.(type) {
	case string:
		return value, true
	case json.Number:
		return value.String(), true
	case bool:
		return strconv.FormatBool(value), true
	}
	return "", false
}

// compare holds the claims of a token against the request.
func (w *jwtWants) compare(q *query, token *checkedToken) error {
	for i := range w.claims {
		want := &w.claims[i]
		if have, ok := token.claims[want.claim]; !ok || !want.holds(q, &have) {
			return ErrTokenClaim
		}
	}
	return nil
}

func (w *claimWant) holds(q *query, have *claim) bool {
	switch {
	case w.equals != noField && (have.list || have.values[0] != w.equals.of(q.in)):
		return false
	case w.contains != noField && !slices.Contains(have.values, w.contains.of(q.in)):
		return false
	case w.networks && !q.fromOneOf(have.values):
		return false
	}
	return len(w.in) == 0 || slices.ContainsFunc(have.values, func(v string) bool { return slices.Contains(w.in, v) })
}

// fromOneOf reports whether the request's address is in one of the networks that
// a claim lists. What is no network has no address in it.
func (q *query) fromOneOf(networks []string) bool {
	addr := q.address()
	return addr.IsValid() && slices.ContainsFunc(networks, func(text string) bool {
		network, ok := looseNetwork(text)
		return ok && network.Contains(addr)
	})
}

// looseNetwork reads a CIDR, host bits or not, or one address.
func looseNetwork(text string) (netip.Prefix, bool) {
	if addr := parseAddr(text); addr.IsValid() {
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, false
	}
	return unmapped(network), true
}
