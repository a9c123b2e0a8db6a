// Package notify tells those who subscribed what happens, by signed webhooks and by shoutrrr.
//
//	EVENTS, SESSIONS -> match KV subscriptions -> DELIVERIES -> one consumer a subscription -> receiver
//	                                                                   |-> again, by the schedule
//	                                                                   '-> DEAD, after the last try
//
// # What is promised
//
//   - Each event is delivered to each subscription that wants it: once where nothing fails, at
//     least once otherwise. webhook-id stays the same for all tries.
//   - A delivery and its schedule are in JetStream: restarts lose nothing.
//   - A subscription has a consumer, two senders and room for 10,000 deliveries of its own. One whose
//     receiver is slow or away holds up no other; what does not fit goes to DEAD.
//   - No order.
//   - A document that breaks leaves the version before it in force, of the eight that the bucket keeps, over
//     restarts too. Of one that has no good version nothing is delivered, nor kept for later.
package notify
