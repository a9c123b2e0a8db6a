// Package bridge answers bintu's blocking webhooks and hands every event to NATS
// JetStream. This package wires the parts; each part is a package below it, in
// the order data flows:
//
//	bintu --POST--> receive -> webhook.Parse -> decide -> spool.Append -> 200 | 403
//	                                             ^              |
//	    NATS KV "rules" --watch--> rulestore ----+              v
//	                                                 forward -> JetStream  stream.publish, stream.publish_done, ...
//
// Everything from receive to the answer runs on the goroutine of the request. It
// reads memory and appends to one file; it never talks to NATS, resolves a name
// or waits for another request's answer.
//
// # What a 200 or 403 means
//
// The request was decided by the rules in memory at that moment, and its event
// is in the spool: it will be in JetStream at least once, with an id that lets
// JetStream and consumers drop a second copy. A 400 means the same of a request
// that could not be read. A 404, 405, 413 or a 403 for a caller that is not
// allowed leaves no event: whoever sent it was not the sender this bridge serves.
//
// There are two ways to a 200 or 403 without an event, both counted as lost,
// logged, and shown by /readyz: the spool is full or its disk fails, and
// BRIDGE_SPOOL_FULL is answer. With reject such a request gets a 503.
//
// An event that NATS never takes, one too large for it, goes to the dead-letter file.
// That is bounded; an event it has no room for is counted as lost too.
//
// # Crash model
//
//   - The process is killed: nothing that was answered is lost. Append is a
//     write(2) before the answer, and the kernel has the bytes.
//   - Power cut or kernel crash: BRIDGE_SPOOL_SYNC=always loses nothing that was
//     answered, interval up to the last interval (50 ms), off what the kernel had
//     not written.
//   - NATS is away: events wait in the spool, rules stay as they were; nothing
//     on the request path changes.
//   - The disk of the embedded NATS was full: the same, until the disk takes writes;
//     then the bridge starts that server again.
//   - Restart: the spool goes on behind the last event JetStream acked. What was
//     in flight is sent again under the same id.
//   - The rules' snapshot lets a bridge decide from its first request, with NATS
//     down, by the last rules it knew. Without any, the defaults hold: deny.
//
// # Life
//
// Open takes what can fail for the operator to mend, in order: lock, ports,
// embedded NATS, spool, rules. Run serves. Close follows the data: intake first,
// then the forwarder with up to ten seconds to empty the spool, the rules, the
// connections, and the embedded server last.
package bridge
