package decide

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// An hmac token is `<expiry>.<mac>`: the expiry in unix seconds; the mac the
// unpadded base64url of the first 16 bytes of HMAC-SHA256(key, m), where m is the
// values of bind in their order and then the expiry, joined by line breaks. It is
// short because some senders cut a name and its fields at 255 bytes.
const (
	macBytes  = 16
	macText   = (macBytes*8 + 5) / 6
	maxExpiry = 11 // digits: to the year 5138
)

// checkHMAC compares with the mac of every key, in constant time: neither how far
// a mac agrees nor which of several keys made it shows in how long it takes.
func (t *Token) checkHMAC(in *Input, now time.Time, value string) error {
	expiry, mac, _ := strings.Cut(value, ".")
	expires, ok := parseExpiry(expiry)
	if !ok || len(mac) != macText {
		return ErrTokenMalformed
	}
	if now.Unix() >= expires {
		return ErrTokenExpired
	}
	if t.bindsNewline(in) {
		return ErrTokenNewline
	}
	found, match := false, 0
	for _, name := range t.keys {
		if k := in.Keys.get(name); k != nil && k.alg == algHS256 {
			found = true
			match |= k.compareMAC(in, t.bind, expiry, mac)
		}
	}
	switch {
	case !found:
		return ErrTokenKey
	case match == 0:
		return ErrTokenSignature
	}
	return nil
}

// parseExpiry reads unix seconds in their one spelling.
func parseExpiry(text string) (int64, bool) {
	if text == "" || len(text) > maxExpiry || text[0] == '0' {
		return 0, false
	}
	var n int64
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}
		n = 10*n + int64(text[i]-'0')
	}
	return n, true
}

// bindsNewline reports whether a bound value has a line break. With one, the same
// message could be read as other values.
func (t *Token) bindsNewline(in *Input) bool {
	for _, f := range t.bind {
		if strings.IndexByte(f.of(in), '\n') >= 0 {
			return true
		}
	}
	return false
}

// compareMAC returns 1 when mac is the key's for the request, and 0 otherwise.
func (k *Key) compareMAC(in *Input, bind []requestField, expiry, mac string) int {
	s := k.macs.Get().(*macState)
	defer k.macs.Put(s)
	return subtle.ConstantTimeCompare(s.mac(in, bind, expiry), bytesOf(mac))
}

// mac works out the mac as text. It is valid until the state is used again.
func (s *macState) mac(in *Input, bind []requestField, expiry string) []byte {
	s.hash.Reset()
	for _, f := range bind {
		s.hash.Write(bytesOf(f.of(in)))
		s.hash.Write(s.newline[:])
	}
	s.hash.Write(bytesOf(expiry))
	base64.RawURLEncoding.Encode(s.text[:], s.hash.Sum(s.sum[:0])[:macBytes])
	return s.text[:]
}

// Sign makes the hmac token that holds for the request until expires, with the
// first key the condition names.
func (t *Token) Sign(in *Input, expires time.Time) (string, error) {
	name := t.keys[0]
	k := in.Keys.get(name)
	expiry := strconv.FormatInt(expires.Unix(), 10)
	_, ok := parseExpiry(expiry)
	switch {
	case t.jwt != nil:
		return "", fmt.Errorf("token: a JWT is made by its issuer, with the private key")
	case k == nil:
		return "", fmt.Errorf("token: there is no key %s among the keys", quote(name))
	case k.alg != algHS256:
		return "", fmt.Errorf("token: the key %s is public: an hmac token needs a secret", quote(name))
	case !ok:
		return "", fmt.Errorf("token: no token can expire at unix time %s", expiry)
	case t.bindsNewline(in):
		return "", fmt.Errorf("token: %w", ErrTokenNewline)
	}
	s := k.macs.Get().(*macState)
	defer k.macs.Put(s)
	return expiry + "." + string(s.mac(in, t.bind, expiry)), nil
}
