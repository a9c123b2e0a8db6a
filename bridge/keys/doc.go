// Package keys follows the file of the keys that tokens are checked with,
// BRIDGE_KEYS_FILE:
//
//	{"k1":{"secret":"<base64>"},"k2":{"public":"<PEM>"}}
//
// The file is the only source of keys: they never come from NATS. Open reads it
// and fails when it cannot. From then on a changed file is read within a second
// and takes effect at once and as a whole; one that cannot be read leaves the last
// good keys in force, is logged once and shown by Status until it is mended.
//
// To rotate a key: add the new one to the file of every bridge, name both in the
// rules, let the issuer change over, and take the old one out when its last token
// has expired.
package keys
