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
	ErrTokenCost      = errors.New("this request has made too many different token conditions be checked")
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
	claims, err := t.inspect(q)
	if err != nil || t.jwt == nil {
		return err
	}
	return t.jwt.compare(q, claims)
}

// holds checks the condition of a rule. What was not checked because the request has
// cost too much counts against the client, as the failure of an expression does.
func (t *Token) holds(q *query, effect Effect) bool {
	err := t.check(q)
	if err != nil {
		q.why = err
	}
	if errors.Is(err, ErrTokenCost) {
		return effect != Allow
	}
	return err == nil
}

// inspect checks the token itself: who made it, for what and until when. Many rules
// have the same condition, and what was found for it is kept: they must not make a
// forged token expensive, nor must many that differ.
func (t *Token) inspect(q *query) (*checkedToken, error) {
	for i := range q.inspected[:q.inspections] {
		if seen := &q.inspected[i]; seen.token.id == t.id {
			return seen.claims, seen.err
		}
	}
	value := q.in.custom(t.field)
	switch {
	case value == "":
		return nil, ErrTokenMissing
	case q.inspections == maxInspected:
		return nil, ErrTokenCost
	}
	found := &q.inspected[q.inspections]
	q.inspections++
	found.token = t
	if t.jwt == nil {
		found.err = t.checkHMAC(q.in, q.now, value)
	} else {
		found.claims, found.err = t.checkJWT(q, value)
	}
	return found.claims, found.err
}
