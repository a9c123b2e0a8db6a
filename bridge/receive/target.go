package receive

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"strings"
)

// target is the one request target the server answers.
type target struct {
	path string

	// With secrets the target is prefix + secret. Only digests are kept: they
	// are of one length, so a comparison tells nothing about the secret's own.
	guarded bool
	prefix  []byte
	digests [][sha256.Size]byte
}

// newTarget returns the target for path and secrets. An empty secret matches
// nothing but still guards the path, so that a secret that was left empty by
// mistake shuts the door instead of opening it.
func newTarget(path string, secrets []string) target {
	t := target{path: path, guarded: len(secrets) > 0, prefix: []byte(strings.TrimSuffix(path, "/") + "/")}
	for _, secret := range secrets {
		if secret != "" {
			t.digests = append(t.digests, sha256.Sum256([]byte(secret)))
		}
	}
	return t
}

// matches reports whether the request target, as it stood in the request line,
// is the one to answer. It is compared as sent: nothing is decoded, no dots or
// doubled slashes are resolved, so that no two spellings mean the same.
func (t *target) matches(requestTarget []byte) bool {
	path := rawPath(requestTarget)
	if !t.guarded {
		return string(path) == t.path
	}
	if !bytes.HasPrefix(path, t.prefix) {
		return false
	}
	presented := sha256.Sum256(path[len(t.prefix):])
	match := 0
	for i := range t.digests { // no early exit: time must not tell which secret matched
		match |= subtle.ConstantTimeCompare(presented[:], t.digests[i][:])
	}
	return match == 1
}

// rawPath returns the path of a request target in origin form ("/hook?x") or
// absolute form ("http://host/hook?x"), without its query.
func rawPath(requestTarget []byte) []byte {
	path := requestTarget
	if len(path) > 0 && path[0] != '/' {
		_, authority, _ := bytes.Cut(path, []byte{':'}) // what is before it is the scheme
		authority, ok := bytes.CutPrefix(authority, []byte("//"))
		if !ok {
			return nil
		}
		start := bytes.IndexAny(authority, "/?")
		if start < 0 {
			return nil
		}
		path = authority[start:]
	}
	path, _, _ = bytes.Cut(path, []byte{'?'})
	return path
}
