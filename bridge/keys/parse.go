package keys

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"bintubridge/bridge/decide"
)

// maxKeys bounds the set.
const maxKeys = 1000

// entry is one key as the file has it.
type entry struct {
	Secret *string `json:"secret"`
	Public *string `json:"public"`
}

// Parse reads the content of a keys file. Its errors show no key.
func Parse(data []byte) (*decide.Keys, error) {
	named, err := readEntries(data)
	if err != nil {
		return nil, err
	}
	if len(named) > maxKeys {
		return nil, fmt.Errorf("%d keys: want at most %d", len(named), maxKeys)
	}
	set := make(map[string]*decide.Key, len(named))
	var problems []error
	for name, e := range named {
		key, err := e.key()
		if err == nil && !validName(name) {
			err = errors.New("a name that no rule can use: want 1 to 64 characters of A-Z a-z 0-9 . _ -")
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("key %.80q: %w", name, err))
			continue
		}
		set[name] = key
	}
	if problems != nil {
		return nil, errors.Join(problems...)
	}
	return decide.NewKeys(set), nil
}

// readEntries reads the object by hand, because a decoder would silently take the
// last of two keys of one name.
func readEntries(data []byte) (map[string]entry, error) {
	const want = `want one JSON object as {"k1":{"secret":"<base64>"},"k2":{"public":"<PEM>"}}`
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if first, err := decoder.Token(); err != nil || first != json.Delim('{') {
		return nil, errors.New("no JSON object: " + want)
	}
	named := map[string]entry{}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, fmt.Errorf("no JSON at byte %d: %s", decoder.InputOffset(), want)
		}
		text := fmt.Sprint(name)
		if _, twice := named[text]; twice {
			return nil, fmt.Errorf("key %.80q: it stands there twice", text)
		}
		var e entry
		if decoder.Decode(&e) != nil { // whose error may show the key
			return nil, fmt.Errorf(`key %.80q: want {"secret":"<base64>"} or {"public":"<PEM>"}`, text)
		}
		named[text] = e
	}
	if _, err := decoder.Token(); err != nil || len(bytes.TrimSpace(data[decoder.InputOffset():])) > 0 {
		return nil, fmt.Errorf("no JSON at byte %d: %s", decoder.InputOffset(), want)
	}
	return named, nil
}

func (e entry) key() (*decide.Key, error) {
	switch {
	case (e.Secret == nil) == (e.Public == nil):
		return nil, errors.New(`want "secret" or "public", one of the two`)
	case e.Secret != nil:
		secret, err := decodeSecret(*e.Secret)
		if err != nil {
			return nil, err
		}
		return decide.NewSecret(secret)
	}
	return decodePublic(*e.Public)
}

// decodeSecret takes both alphabets of base64, padded or not.
func decodeSecret(text string) ([]byte, error) {
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	secret, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil { // it may show the secret's characters
		return nil, errors.New("the secret is no base64: openssl rand -base64 32 makes one")
	}
	return secret, nil
}

func decodePublic(text string) (*decide.Key, error) {
	const hint = "openssl pkey -in private.pem -pubout makes one"
	block, _ := pem.Decode([]byte(text))
	switch {
	case block == nil:
		return nil, errors.New("the public key is no PEM: " + hint)
	case strings.Contains(block.Type, "PRIVATE"):
		return nil, errors.New("a private key, which belongs to the issuer alone: want the public one; " + hint)
	case block.Type != "PUBLIC KEY":
		return nil, fmt.Errorf("PEM of type %.40q: want PUBLIC KEY; %s", block.Type, hint)
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the public key cannot be read: %w", err)
	}
	return decide.NewPublicKey(public)
}

func validName(name string) bool {
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
	return name != "" && len(name) <= 64 && strings.Trim(name, allowed) == ""
}
