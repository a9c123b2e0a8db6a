package decide

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
)

// maxTokenKeys bounds what a token may cost: every key is tried.
const maxTokenKeys = 8

const (
	wantToken = `an object as {"type":"hmac","field":"token","keys":["k1"],"bind":["call","name"]}` +
		` or {"type":"jwt","field":"jwt","keys":["k2"],"alg":["EdDSA"],"claims":{"sub":{"equals":"name"}}}`
	wantClaim = `an object of "equals", "contains", "cidr_contains" and "in", as {"equals":"name"}`
	wantAlg   = algEdDSA + ", " + algES256 + ", " + algRS256 + " or " + algHS256

	hmacFields = "type, field, keys, bind"
	jwtFields  = "type, field, keys, alg, claims"
)

// CompileToken reads a token condition as it stands in a rule. The error joins a
// *RuleError for each mistake.
func CompileToken(data []byte) (*Token, error) {
	c := compiler{mistakes: mistakes{document: "token"}}
	if !c.read(string(data)) {
		c.add(RuleError{Value: whyNoJSON(c.text).Error(), Want: wantToken})
		return nil, c.err()
	}
	t := c.token(0)
	if err := c.err(); err != nil {
		return nil, err
	}
	return t, nil
}

// token reads a rule's token condition. What it returns is only meaningful when
// no mistake was added.
func (c *compiler) token(object value) *Token {
	t := &Token{}
	if !c.is(object, kindObject) {
		c.refuse(object, wantToken)
		return t
	}
	c.once(object)
	kind := c.member(object, "type")
	if kind == 0 {
		c.missing(object, "type", `"hmac" or "jwt"`)
		return t
	}
	fields := hmacFields
	switch text, _ := c.string(kind); text {
	case "hmac":
	case "jwt":
		fields, t.jwt = jwtFields, &jwtWants{}
	default:
		c.refuse(kind, `"hmac" or "jwt"`)
		return t
	}
	known := strings.Split(fields, ", ")
	for _, field := range known {
		if field != "claims" && c.member(object, field) == 0 {
			c.missing(object, field, "it in a token of this type")
		}
	}
	for name, v := range c.members(object) {
		if key, _ := c.string(name); slices.Contains(known, key) {
			c.tokenField(t, key, v)
		} else {
			c.unknown(key, v, fields)
		}
	}
	t.id = t.identity()
	return t
}

// member returns the value of a member, or 0.
func (c *compiler) member(object value, key string) value {
	for name, v := range c.members(object) {
		if text, _ := c.string(name); text == key {
			return v
		}
	}
	return 0
}

// missing adds a mistake for a member that is not there.
func (c *compiler) missing(object value, key, want string) {
	c.add(RuleError{Rule: c.ruleLabel(), Field: join(c.path(c.base, object), key), Want: want})
}

func (c *compiler) tokenField(t *Token, key string, v value) {
	switch key {
	case "type": // read before
	case "field":
		if t.field, _ = c.string(v); t.field == "" {
			c.refuse(v, "the name of the custom field that has the token")
		}
	case "keys":
		t.keys = c.tokenKeys(v)
	case "bind":
		c.textsOr(v, `at least one field of the request, as ["call","name"]`, func(v value, _ string) { t.bind = append(t.bind, c.requestField(v)) })
	case "alg":
		c.textsOr(v, "at least one algorithm: "+wantAlg, func(v value, text string) {
			switch text {
			case algEdDSA, algES256, algRS256, algHS256:
				t.jwt.algs = append(t.jwt.algs, text)
			default:
				c.refuse(v, wantAlg)
			}
		})
	case "claims":
		t.jwt.claims = c.claims(v)
	}
}

func (c *compiler) tokenKeys(v value) []string {
	var keys []string
	c.textsOr(v, "the name of at least one key of BRIDGE_KEYS_FILE", func(v value, text string) {
		if !isID(text) {
			c.refuse(v, "the name of a key of BRIDGE_KEYS_FILE, 1 to 64 characters of A-Z a-z 0-9 . _ -")
		}
		keys = append(keys, text)
	})
	if len(keys) > maxTokenKeys {
		c.refuseAs(v, fmt.Sprintf("%d keys", len(keys)), fmt.Sprintf("at most %d: each one is tried", maxTokenKeys))
	}
	return keys
}

func (c *compiler) claims(object value) []claimWant {
	if !c.is(object, kindObject) {
		c.refuse(object, `an object of claims, as {"sub":{"equals":"name"}}`)
		return nil
	}
	c.once(object)
	var wants []claimWant
	for name, v := range c.members(object) {
		claim, _ := c.string(name)
		wants = append(wants, c.claim(claim, v))
	}
	return wants
}

func (c *compiler) claim(name string, object value) claimWant {
	want := claimWant{claim: name}
	if !c.is(object, kindObject) || c.empty(object) {
		c.refuse(object, wantClaim)
		return want
	}
	c.once(object)
	for name, v := range c.members(object) {
		switch key, _ := c.string(name); key {
		case "equals":
			want.equals = c.requestField(v)
		case "contains":
			want.contains = c.requestField(v)
		case "cidr_contains":
			if text, _ := c.string(v); text != requestFields[fieldAddr] {
				c.refuse(v, `"addr", the request's address`)
			}
			want.networks = true
		case "in":
			c.texts(v, func(_ value, text string) { want.in = append(want.in, text) })
		default:
			c.unknown(key, v, "equals, contains, cidr_contains, in")
		}
	}
	return want
}

func (c *compiler) requestField(v value) requestField {
	text, _ := c.string(v)
	f, ok := parseRequestField(text)
	if !ok {
		c.refuse(v, wantRequestField())
	}
	return f
}

// identity is a hash of everything but the claims.
func (t *Token) identity() [32]byte {
	var algs []string
	if t.jwt != nil {
		algs = t.jwt.algs
	}
	return sha256.Sum256(fmt.Appendf(nil, "%t %q %q %d %q", t.jwt != nil, t.field, t.keys, t.bind, algs))
}
