package decide

import (
	"errors"
	"time"
)

// Why a token condition does not hold.
var (
	ErrTokenMissing   = errors.New("the request has no token in this field")
	ErrTokenMalformed = errors.New("the text is no token of this type")
	ErrTokenKey       = errors.New("none of the keys the rule names is there and fits the token")
	ErrTokenAlgorithm = errors.New("the token's algorithm is not one the rule pins")
	ErrTokenSignature = errors.New("no key the rule names has made this token, for this request")
	ErrTokenExpired   = errors.New("the token has expired")
	ErrTokenEarly     = errors.New("the token is not valid yet")
	ErrTokenNewline   = errors.New("a field the token is bound to has a line break")
	ErrTokenClaim     = errors.New("a claim does not fit the request")
)

// Token is what a rule wants of a token in a custom field. It is immutable and
// safe for concurrent use.
type Token struct {
	field string
	keys  []string
	bind  []requestField // of an hmac token
	jwt   *jwtWants      // nil: an hmac token

	// id stands for everything but the claims: of two conditions with one id, a
	// request's token passes both or none.
	id [32]byte
}

// Check returns why the condition does not hold for the request at the time now,
// as one of the ErrToken variables, or nil when it does.
func (t *Token) Check(in *Input, now time.Time) error {
	return t.check(&query{in: in, now: now})
}

func (t *Token) check(q *query) error {
	if q.token == nil || q.token.id != t.id {
		q.token = t
		q.tokenErr = t.inspect(q)
	}
	if q.tokenErr != nil || t.jwt == nil {
		return q.tokenErr
	}
	return t.jwt.compare(q)
}

// inspect checks the token itself: who made it, for what and until when. Rules
// that stand side by side mostly have the same keys, so the last result is kept:
// many rules must not make a forged token expensive.
func (t *Token) inspect(q *query) error {
	var value string
	if q.in.Custom != nil {
		value, _ = q.in.Custom.Get(t.field)
	}
	if value == "" {
		return ErrTokenMissing
	}
	if t.jwt == nil {
		return t.checkHMAC(q.in, q.now, value)
	}
	var err error
	q.claims, err = t.checkJWT(q, value)
	return err
}
