package decide

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"hash"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// The algorithms of a JWT that a rule may pin. A key has exactly one: which
// algorithm checks a token is decided by the key, never by the token.
const (
	algHS256 = "HS256"
	algRS256 = "RS256"
	algES256 = "ES256"
	algEdDSA = "EdDSA"
)

const (
	minSecret  = 16   // bytes: as long as the mac of a token
	minRSABits = 2048 // RFC 7518, section 3.3
)

// Key is one secret or public key. It is immutable and safe for concurrent use.
type Key struct {
	alg    string
	verify any       // what the algorithm checks with: []byte or the public key
	macs   sync.Pool // of *macState, for a secret
}

// NewSecret returns the key that is a shared secret. It makes and checks hmac
// tokens, and JWT of HS256.
func NewSecret(secret []byte) (*Key, error) {
	if len(secret) < minSecret {
		return nil, fmt.Errorf("a secret of %d bytes: want at least %d", len(secret), minSecret)
	}
	secret = slices.Clone(secret)
	k := &Key{alg: algHS256, verify: secret}
	k.macs.New = func() any { return &macState{hash: hmac.New(sha256.New, secret), newline: [1]byte{'\n'}} }
	return k, nil
}

// NewPublicKey returns the key that checks JWT of EdDSA (Ed25519), ES256 (P-256)
// or RS256 (RSA of at least 2048 bits).
func NewPublicKey(public any) (*Key, error) {
	switch public := public.(type) {
	case ed25519.PublicKey:
		return &Key{alg: algEdDSA, verify: public}, nil
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() {
			return nil, fmt.Errorf("an ECDSA key on %s: want P-256", public.Params().Name)
		}
		return &Key{alg: algES256, verify: public}, nil
	case *rsa.PublicKey:
		if public.N.BitLen() < minRSABits {
			return nil, fmt.Errorf("an RSA key of %d bits: want at least %d", public.N.BitLen(), minRSABits)
		}
		return &Key{alg: algRS256, verify: public}, nil
	}
	return nil, fmt.Errorf("a public key of type %T: want Ed25519, ECDSA on P-256, or RSA", public)
}

// macState is the memory of one HMAC. Its hash keeps the key's two padded blocks
// worked in, so that each message costs only itself.
type macState struct {
	hash    hash.Hash
	sum     [sha256.Size]byte
	text    [macText]byte
	newline [1]byte
}

// Keys are a bridge's keys by name, and the JWT that they were found to have
// signed. A set never changes: a reload makes a new one, which remembers nothing
// of the old. It is safe for concurrent use; nil has no key.
type Keys struct {
	byName  map[string]*Key
	checked checkedTokens
	missing [maxMissing]atomic.Pointer[string]
}

// maxMissing bounds how many names of missing keys are kept.
const maxMissing = 16

// NewKeys returns the set of the named keys.
func NewKeys(named map[string]*Key) *Keys { return &Keys{byName: maps.Clone(named)} }

// Len returns how many keys there are.
func (k *Keys) Len() int {
	if k == nil {
		return 0
	}
	return len(k.byName)
}

// get returns the named key, or nil. It notes the names it does not have.
func (k *Keys) get(name string) *Key {
	if k == nil {
		return nil
	}
	key := k.byName[name]
	if key == nil {
		k.miss(name)
	}
	return key
}

// miss keeps the name among the first ones that were asked for in vain.
func (k *Keys) miss(name string) {
	for i := range k.missing {
		have := k.missing[i].Load()
		if have == nil && k.missing[i].CompareAndSwap(nil, &name) {
			return
		}
		if have = k.missing[i].Load(); *have == name {
			return
		}
	}
}

// Missing returns the names of keys that rules wanted for a request and that the
// set does not have, at most 16, sorted.
func (k *Keys) Missing() []string {
	if k == nil {
		return nil
	}
	var names []string
	for i := range k.missing {
		if name := k.missing[i].Load(); name != nil {
			names = append(names, *name)
		}
	}
	slices.Sort(names)
	return names
}
