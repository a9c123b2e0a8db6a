// Package webhook is the wire contract of bintu's webhook: bytes to Request,
// and Request to bytes. It does no I/O and keeps no state between requests.
//
// # Whose text is whose
//
// A body holds two kinds of fields. The sender writes the trusted ones. The
// publisher or player chooses the custom ones, by writing them behind the
// stream name: they reach us verbatim and may carry any key, call and name
// included. So a key alone proves nothing. Position does, and the Dialect says
// which positions the sender uses:
//
//	bintu:       CUSTOM & call=publish&name=...&type=live & SESSION
//	nginx-rtmp:  SESSION & call=publish&name=...&type=live & CUSTOM
//
// In the bintu order the last pair whose decoded key is call opens the trusted
// part, and everything from there on is trusted: the sender escapes '&' in
// its own values, so no value can start a pair. In the nginx-rtmp order
// everything up to the first such pair is trusted, and behind it the fields
// the module writes for that call, in its order and spelled as it spells
// them. The first pair out of that order begins the custom part.
//
// # The one ambiguity
//
// The nginx-rtmp order leaves the name out of updates and done calls when it is
// empty. A client that published "?name=victim", with nothing before the
// question mark, ends with a body in which its own name=victim stands where the
// sender's would, and it reads as genuine. This gives it nothing: publish and
// play with an empty name are refused, so that no session has begun, and any
// client can have a done call of another stream's name sent, by asking to play
// that stream (the sender then names it under the client's own clientid). A
// done call ends only the session of the same addr, clientid and name.
//
// # Decoding
//
// A body is form data (application/x-www-form-urlencoded): pairs are split at
// '&' and only there, '+' is a space, %HH a byte. A key or value with a broken
// escape is kept as its raw bytes, and never fails the request, or a client
// could make its own done call unreadable. The first value of a repeated key
// is its value. Request.Lossy says that the decoded form lost something, so
// that the body has to be kept beside it.
package webhook
