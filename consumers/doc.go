// Package consumers runs what backend teams build on the bridge's events: Run
// gives each message to a Handler, RunBatch gives many at once to a database.
//
//	JetStream -> durable pull consumer -> worker of the stream's name -> Handler -> ack
//	                                                                  |-> retry later, with back-off
//	                                                                  '-> stream DEAD, with the reason
//
// # What is promised
//
//   - Every message is handled at least once: it is acked after its Handler
//     returned nil, never before. Event.ID tells repeats apart.
//   - Messages of one stream name are handled one after the other, in the order of the
//     stream. One that failed comes again later, when its successors may have
//     been handled; what a process had in hand when it ended comes again in any order;
//     instances that run side by side share the messages and keep no order between
//     them. With Options.MaxAckPending of 1 the order is kept over all of that.
//   - An error is retried, after 1 s at first and 5 min in the end, 30 s with RunBatch. What can never
//     succeed is said with Permanent, and goes to the stream DEAD with its reason and
//     nothing lost; so does a message that makes the Handler panic, that cannot be
//     decoded, or that was tried Options.MaxDeliver times. Redrive sends it again.
//     Neither a failure nor a success are Wait, for what comes too early, and ErrSkip.
//   - When the context ends nothing more is fetched, what is in work is finished and
//     acked, and what waited is given back at once. Nothing that was done comes again.
//
// # Back-pressure
//
// At most Options.MaxAckPending messages are on their way, those that wait for a retry
// among them: an outage of a database stops the flow there, and the rest waits in
// JetStream. A message that waits for its worker is kept from being delivered elsewhere.
// They are in memory meanwhile, as many bytes as that many messages have: where events are
// large, set Options.MaxAckPending lower.
//
// # In an outage
//
// Of the service behind the handler: the first failure is logged at once, those that follow
// once a minute with their number, and then that it works again. Of NATS: what is in
// work is finished, and comes again if its ack was lost.
package consumers
