// Package subjects is the bridge's public contract: what it publishes to NATS
// and how to read it. It imports the standard library only, so that a consumer
// can build on it without the bridge.
//
// # Subjects
//
// Every request of the webhook becomes one message. With the default of
// BRIDGE_SUBJECT, stream.{call}, the subjects are
//
//	stream.publish          a publish that was allowed
//	stream.play             a play that was allowed
//	stream.update_publish   a running stream that may go on
//	stream.update_play      a running play that may go on
//	stream.connect          a connection that was allowed
//	stream.<told>           what the media server told: publish_done, play_done,
//	                        done, disconnect or record_done
//	stream.denied.<call>    an attempt that was refused
//	stream.unknown.<call>   a call this version has no name for; it was answered 200
//	stream.invalid.request  a request without a readable call; raw has its body
//
// so stream.* is what really happened, and stream.denied.> what was tried.
// Where the operator set stream.{call}.{name}, every subject has the stream's
// name as one more token; subscribe to stream.publish.> then, or to
// stream.*.<name> for one stream. Template has the rules.
//
// Text that a publisher chose is never a subject as it stands. AppendToken makes
// one token of it: [A-Za-z0-9_-] stay, any other byte is =HH, nothing is "=".
// The name "lobby/1" is the token lobby=2F1. DecodeToken reads it back.
//
// JetStream keeps stream.> in the stream EVENTS, session.> in SESSIONS and
// dead.> in DEAD; package provision defines them.
//
// # Headers
//
// A message is a CloudEvent 1.0 in binary mode. For a publish_done of the
// stream "CD6xx-123456" at the bridge edge-1 the headers are
//
//	Nats-Msg-Id: bXk2-17
//	ce-specversion: 1.0
//	ce-id: bXk2-17
//	ce-source: /bridge/edge-1
//	ce-type: bintu.publish_done
//	ce-time: 2026-11-23T09:00:00.123456Z
//	ce-subject: CD6xx-123456
//	ce-datacontenttype: application/json
//
// ce-type says what the subject says: bintu.denied.publish, bintu.unknown.foo,
// bintu.invalid.request. ce-subject is the stream's name, percent-encoded as
// AppendPercent does it, and is left out when there is no name.
//
// An event whose HTTP request carried a W3C trace context has it, as the caller sent it:
//
//	traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
//	tracestate: rojo=00f067aa0ba902b7
//
// # Event
//
// The body is one JSON object:
//
//	{"id":"bXk2-17","received_at":"2026-11-23T09:00:00.123456Z","bridge":"edge-1",
//	 "call":"publish_done","name":"CD6xx-123456","app":"live","addr":"17.31.43.214",
//	 "clientid":"123456","bytes_in":575,"bytes_out":8516372,
//	 "custom":{"foo":"bar","batz":"12345"}}
//
// DecodeEvent reads it, EventSchema describes every field, and the same event
// validates against it in any language. Fields are added in later versions,
// never renamed or retyped: ignore what you do not know.
//
//   - name, app, addr and clientid come from the media server. custom comes from
//     whoever published or played, and proves nothing; so do flashver, tcurl,
//     swfurl and pageurl. raw is the request's body and holds both.
//   - A number of the media server is a JSON number when it is a plain integer
//     of 64 bits and a JSON string otherwise. It is left as sent: bytes_in and
//     bytes_out start over near 4 GB, timestamp goes negative after 24.8 days.
//   - decision is there for calls that ask: publish, play, update_publish,
//     update_play and connect.
//
// # Session
//
// consumers/sessions derives sessions from events and publishes them as session.started,
// session.resumed, session.ended and session.lost, CloudEvents as well. Session is
// the body, SessionSchema describes it.
//
// # What to rely on
//
// An event is delivered at least once. Its id tells repeats apart: it is the
// same for every delivery of the same event, and different for any other.
// Events of one bridge come in the order it answered. That is not the order in
// which things happened on the media server: an update may come before its
// publish, and publish_done may come for a stream that was never accepted, or
// for a second publisher of a name that is still live. A session is addr,
// clientid and name together.
package subjects
