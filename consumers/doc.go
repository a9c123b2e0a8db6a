// Package consumers runs what backend teams build on the bridge's events: Run
// gives each message to a Handler, RunBatch gives many at once to a database.
//
//	JetStream -> durable pull consumer -> lane of the stream's name -> worker -> Handler -> ack
//	                                            ^                                        |-> stream DEAD, with the reason
//	                                            '-- again later, with back-off ----------'
//
// # What is promised
//
//   - Every message is handled at least once: it is acked after its Handler
//     returned nil, never before. Event.ID tells repeats apart.
//   - Messages of one stream name are handled one after the other, in the order of the
//     stream. Those behind one that failed wait until it succeeds or is dead; other names
//     go on. A process that ends by its context gives back what it has in hand, and the
//     next one goes on in that order. (With Options.Unordered none waits for another.)
//   - That order ends where JetStream's does. What a process had in hand when it was killed, or lost its
//     server for longer than the ack wait, comes again after that wait: in the order of
//     the stream, and when newer messages may have been handled. Instances
//     that run side by side share the messages, and keep no order between them. With
//     Options.MaxAckPending of 1 the order is kept over all of that.
//   - An error is retried, after 1 s at first and 5 min in the end, 30 s with RunBatch. What can never
//     succeed is said with Permanent, and goes to the stream DEAD with its reason and
//     nothing lost; so does a message that makes the Handler panic, that cannot be
//     decoded, or that failed Options.MaxDeliver times in one process (or was delivered many times
//     that often and never answered: it may end its process). Redrive sends it again.
//     Neither a failure nor a success are Wait, for what comes too early, and ErrSkip.
//   - When the context ends nothing more is fetched, what is in work is finished and
//     acked, and what waited is given back: at once, or behind what is in work of its name. Nothing that
//     was done comes again.
//
// # Back-pressure
//
// At most Options.MaxAckPending messages are on their way, those that wait for a retry
// among them, and Options.MaxBytes of them in memory: an outage of a database stops the flow there, and
// the rest waits in JetStream. A message that waits for its worker is kept from being delivered
// elsewhere. A name that fails for ever with that much behind it stops the others too: set
// Options.MaxDeliver, or say Permanent, where one message may fail by itself.
//
// # In an outage
//
// Of the service behind the handler: the first failure is logged at once, those that follow
// once a minute with their number, and then that it works again. Of NATS: what is in
// work is finished, and comes again if its ack was lost.
package consumers
