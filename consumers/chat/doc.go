// Package chat tells chat rooms of a stream's life: it is live, it ended, it is back after a drop,
// so many watch.
//
//	SESSIONS -> one consumer a room -> settle -> is it still so? (KV live) -> was it told? (KV chat_state) -> shoutrrr
//
// # What is promised
//
//   - A room is told in order, at least once. One that fails is tried again, and holds up no other.
//   - A session is told of when it has settled: what came and went within Config.Settle is not
//     told at all. A publisher that left and came back, as the same session or soon as the next one, is back
//     after a drop: of an encoder that flaps a room hears that once in Config.Quiet.
//   - A room that did not answer, or was not there, until a session was over is told its end alone; of those
//     of a stream that ended within Config.Quiet, the first one's.
//   - What is older than two hours is not told any more, unless the room heard of its begin. The log says so.
//   - Waits go by the server's clock when a message is first seen, and then by one that nobody sets: a clock
//     that jumps by an hour delays nothing and drops nothing.
//   - A document that breaks leaves the version before it in force, of the eight that the bucket keeps, over
//     restarts too. A room that has no good version is told nothing.
package chat
