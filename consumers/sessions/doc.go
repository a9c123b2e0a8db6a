// Package sessions derives sessions from events: who published or played what, from the
// accepted request to its end, and who is live now.
//
//	EVENTS -> machine -> session.started, session.resumed, session.ended, session.lost -> SESSIONS
//	                 '-> KV live: one key a live publish, with its viewers
//
// # What a session is
//
// A session begins with an accepted publish or play and is (kind, addr, clientid, name) from
// then on. Events of anything else are ignored: a done of a connection that was never
// accepted, or of a name that another connection holds, ends nothing. It ends with its
// done, or is lost when nothing was heard of it for Config.Timeout; the time counts
// only while this consumer was listening. A publisher of the same name, app and addr
// that comes back within Config.Grace goes on with its session, which session.resumed tells.
//
// # Exactly once
//
// The machine is pure: the same events and ticks give the same sessions, with the same
// ids. Only ticks are not in EVENTS, so each message of SESSIONS says by its
// headers after which event, and at which tick, it was told. A checkpoint holds the
// machine and where in EVENTS and SESSIONS it stood. Whoever takes over loads it, reads
// what was told since, repeats events and ticks from there, and tells what
// was not told yet. Every message is published with the last sequence
// of SESSIONS it expects: of two that believe to be the active one, the server
// lets only one tell anything, however long the other was asleep. The lease in KV
// sessions_state only decides who tries.
package sessions
