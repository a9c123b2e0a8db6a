package provision

import (
	"cmp"
	"slices"

	"bintubridge/subjects"
)

// Permissions are the subjects that a user of NATS may use, and no others, when the
// streams and buckets are there already.
type Permissions struct {
	Publish   []string `json:"publish"`
	Subscribe []string `json:"subscribe"`
}

// The inboxes that answers come to. None is of NATS' default name: who may subscribe
// to that reads the answers to all others.
const (
	InboxBridge   = "_INBOX_bridge"   // of bridges and bridgectl
	InboxConsumer = "_INBOX_consumer" // of cmd/consumer
)

// BridgePermissions are those of a bridge with BRIDGE_PROVISION=off, and of bridgectl spool
// redrive. key is its key in KV bridges (subjects.BridgeKey), "" is any.
func BridgePermissions(key, rulesBucket string) Permissions {
	rules := cmp.Or(rulesBucket, subjects.BucketRules)
	p := Permissions{Subscribe: []string{InboxBridge + ".>"}, Publish: []string{
		subjects.AllEvents,
		"$JS.API.STREAM.INFO." + subjects.StreamEvents,
		"$JS.API.STREAM.MSG.GET." + subjects.StreamEvents, // whether the last acked event is still there
		"$JS.API.DIRECT.GET.KV_" + rules + ".>",           // whether a version whose TTL is over is still there
		"$KV." + subjects.BucketBridges + "." + cmp.Or(key, "*"),
	}}
	for _, bucket := range []string{rules, subjects.BucketLive, subjects.BucketBridges} { // the last two are for its page
		p.Publish = append(p.Publish, watching(bucket)...)
	}
	return p
}

// CheckingBridgePermissions are those of a bridge with BRIDGE_PROVISION=check, which looks at
// all streams and buckets.
func CheckingBridgePermissions(key, rulesBucket string) Permissions {
	p := BridgePermissions(key, rulesBucket)
	add := func(subject string) {
		if !slices.Contains(p.Publish, subject) {
			p.Publish = append(p.Publish, subject)
		}
	}
	add("$JS.API.STREAM.NAMES") // whether another stream is in the way of a missing one
	for _, d := range definitions(Options{RulesBucket: rulesBucket}) {
		add("$JS.API.STREAM.INFO." + d.config.Name)
	}
	return p
}

// ReaderPermissions are those of who looks with bridgectl and changes nothing: tail, status,
// explain, replay, and what reads rules.
func ReaderPermissions(rulesBucket string) Permissions {
	p := Permissions{Subscribe: []string{InboxBridge + ".>"}, Publish: readingRules(cmp.Or(rulesBucket, subjects.BucketRules))}
	p.Publish = append(p.Publish, reading(subjects.StreamSessions)...)
	return p
}

// RulesPermissions are those of who reads and pushes rules with bridgectl, waits for the
// bridges to follow, and replays events.
func RulesPermissions(rulesBucket string) Permissions {
	rules := cmp.Or(rulesBucket, subjects.BucketRules)
	return Permissions{Subscribe: []string{InboxBridge + ".>"}, Publish: append([]string{"$KV." + rules + ".>"}, readingRules(rules)...)}
}

// readingRules is what it takes to see rules, what they did, and who follows them.
func readingRules(bucket string) []string {
	return slices.Concat([]string{
		"$JS.API.DIRECT.GET.KV_" + bucket, "$JS.API.DIRECT.GET.KV_" + bucket + ".>",
		"$JS.API.DIRECT.GET." + subjects.StreamEvents,
		"$JS.FC.KV_" + subjects.BucketBridges + ".>",
	}, reading("KV_"+bucket), reading("KV_"+subjects.BucketBridges), reading(subjects.StreamEvents))
}

// ConsumerPermissions are those of a durable consumer of package consumers that reads
// EVENTS or SESSIONS, or, as consumers/analytics does, SESSIONS as <name>_sessions beside
// EVENTS.
func ConsumerPermissions(name string) Permissions {
	p := Permissions{Subscribe: []string{InboxConsumer + ".>"}}
	both := name + "_sessions"
	for _, durable := range []string{name, both} {
		p.Publish = append(p.Publish, "dead."+durable+".>")
	}
	for _, durable := range []string{subjects.StreamEvents + "." + name, subjects.StreamSessions + "." + name, subjects.StreamSessions + "." + both} {
		p.Publish = append(p.Publish, working(durable)...)
	}
	return p
}

// SessionsPermissions are those of consumers/sessions with CONSUMER_PROVISION=off.
func SessionsPermissions() Permissions {
	p := Permissions{Subscribe: []string{InboxConsumer + ".>"}, Publish: []string{subjects.AllSessions, "dead.sessions.>"}}
	for _, bucket := range []string{subjects.BucketLive, subjects.BucketSessionsState} {
		p.Publish = append(p.Publish, "$KV."+bucket+".>", "$JS.API.DIRECT.GET.KV_"+bucket+".>", "$JS.FC.KV_"+bucket+".>")
	}
	for _, stream := range []string{subjects.StreamEvents, subjects.StreamSessions, "KV_" + subjects.BucketLive, "KV_" + subjects.BucketSessionsState} {
		p.Publish = append(p.Publish, reading(stream)...)
	}
	return p
}

// ChatPermissions are those of consumers/chat with CONSUMER_PROVISION=off. Each room has a
// durable consumer of SESSIONS with a name of its own, which it deletes when the room is gone:
// a user of NATS cannot be held to names that begin with "chat-".
func ChatPermissions() Permissions {
	p := Permissions{Subscribe: []string{InboxConsumer + ".>"}, Publish: []string{
		"$JS.API.STREAM.INFO." + subjects.StreamSessions,
		"$JS.API.CONSUMER.NAMES." + subjects.StreamSessions,
		"$JS.API.CONSUMER.DELETE." + subjects.StreamSessions + ".*",
		"dead.*." + subjects.AllSessions,
		"$JS.API.STREAM.INFO.KV_" + subjects.BucketChatState,
		"$JS.API.DIRECT.GET.KV_" + subjects.BucketChatState + ".>",
		"$KV." + subjects.BucketChatState + ".>",
	}}
	p.Publish = append(p.Publish, working(subjects.StreamSessions+".*")...)
	for _, bucket := range []string{subjects.BucketChatRooms, subjects.BucketLive} {
		p.Publish = append(p.Publish, watching(bucket)...)
	}
	return p
}

// NotifyPermissions are those of consumers/notify and of its subcommands. Each subscription has
// a durable consumer of DELIVERIES with a name of its own; the stream is notify's alone.
func NotifyPermissions() Permissions {
	p := Permissions{Subscribe: []string{InboxConsumer + ".>"}, Publish: []string{
		subjects.AllDeliveries,
		"$JS.API.STREAM.INFO." + subjects.StreamDeliveries,
		"$JS.API.STREAM.PURGE." + subjects.StreamDeliveries, // of what waits for a subscription that is gone
		"$JS.API.DIRECT.GET." + subjects.StreamDeliveries,   // consumer notify deliveries
		"$JS.API.CONSUMER.NAMES." + subjects.StreamDeliveries,
		"$JS.API.CONSUMER.DELETE." + subjects.StreamDeliveries + ".*",
		"dead.notify.>", "dead.notify_sessions.>", "dead.*." + subjects.AllDeliveries,
		"$KV." + subjects.BucketSubscriptions + ".*", // a receiver that is gone is turned off
		"$JS.API.DIRECT.GET.KV_" + subjects.BucketSubscriptions + ".>",
	}}
	for _, durable := range []string{subjects.StreamEvents + ".notify", subjects.StreamSessions + ".notify_sessions", subjects.StreamDeliveries + ".*"} {
		p.Publish = append(p.Publish, working(durable)...)
	}
	p.Publish = append(p.Publish, watching(subjects.BucketSubscriptions)...)
	return p
}

// RedrivePermissions are those of consumer redrive: who sends dead letters again sends them where
// they came from.
func RedrivePermissions() Permissions {
	p := Permissions{Subscribe: []string{InboxConsumer + ".>"}, Publish: []string{
		subjects.AllEvents, subjects.AllSessions, subjects.AllDeliveries,
		"$JS.API.STREAM.INFO." + subjects.StreamDead,
		"$JS.API.DIRECT.GET." + subjects.StreamDead,
		"$JS.API.STREAM.MSG.DELETE." + subjects.StreamDead,
	}}
	for _, stream := range []string{subjects.StreamEvents, subjects.StreamSessions, subjects.StreamDeliveries} { // for a body that was left there
		p.Publish = append(p.Publish, "$JS.API.STREAM.INFO."+stream, "$JS.API.DIRECT.GET."+stream)
	}
	return p
}

// working is what package consumers needs of a durable consumer, <stream>.<name>.
func working(durable string) []string {
	return []string{
		"$JS.API.CONSUMER.INFO." + durable,
		"$JS.API.CONSUMER.CREATE." + durable,
		"$JS.API.CONSUMER.CREATE." + durable + ".>", // with its filter
		"$JS.API.CONSUMER.MSG.NEXT." + durable,
		"$JS.ACK." + durable + ".>",
	}
}

// watching is what it takes to follow a bucket.
func watching(bucket string) []string {
	return []string{
		"$JS.API.STREAM.INFO.KV_" + bucket,
		"$JS.API.CONSUMER.CREATE.KV_" + bucket + ".>",
		"$JS.API.CONSUMER.DELETE.KV_" + bucket + ".*",
		"$JS.FC.KV_" + bucket + ".>", // without it, a load of some thousand keys stalls
	}
}

// reading is what it takes to read a stream from somewhere on, by a consumer that
// goes with its reader.
func reading(stream string) []string {
	return []string{
		"$JS.API.STREAM.INFO." + stream,
		"$JS.API.CONSUMER.CREATE." + stream + ".>",
		"$JS.API.CONSUMER.MSG.NEXT." + stream + ".*",
		"$JS.API.CONSUMER.DELETE." + stream + ".*",
	}
}
