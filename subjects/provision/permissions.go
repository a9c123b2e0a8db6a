package provision

import (
	"cmp"

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

// BridgePermissions are those of a bridge with BRIDGE_PROVISION=off. key is its key
// in KV bridges (subjects.BridgeKey), "" is any.
func BridgePermissions(key, rulesBucket string) Permissions {
	rules := "KV_" + cmp.Or(rulesBucket, subjects.BucketRules)
	return Permissions{Subscribe: []string{InboxBridge + ".>"}, Publish: []string{
		subjects.AllEvents,
		"$JS.API.STREAM.INFO." + subjects.StreamEvents,
		"$JS.API.STREAM.MSG.GET." + subjects.StreamEvents, // whether the last acked event is still there
		"$JS.API.STREAM.INFO." + rules,
		"$JS.API.CONSUMER.CREATE." + rules + ".>",
		"$JS.API.CONSUMER.DELETE." + rules + ".*",
		"$JS.API.DIRECT.GET." + rules + ".>",
		"$JS.FC." + rules + ".>",
		"$KV." + subjects.BucketBridges + "." + cmp.Or(key, "*"),
	}}
}

// RulesPermissions are those of who reads and pushes rules with bridgectl, waits for the
// bridges to follow, and replays events.
func RulesPermissions(rulesBucket string) Permissions {
	name := cmp.Or(rulesBucket, subjects.BucketRules)
	rules := "KV_" + name
	p := Permissions{Subscribe: []string{InboxBridge + ".>"}, Publish: []string{
		"$KV." + name + ".>",
		"$JS.API.DIRECT.GET." + rules, "$JS.API.DIRECT.GET." + rules + ".>",
		"$JS.API.DIRECT.GET." + subjects.StreamEvents,
	}}
	for _, stream := range []string{rules, "KV_" + subjects.BucketBridges, subjects.StreamEvents} {
		p.Publish = append(p.Publish, reading(stream)...)
	}
	return p
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
		p.Publish = append(p.Publish,
			"$JS.API.CONSUMER.INFO."+durable,
			"$JS.API.CONSUMER.CREATE."+durable,
			"$JS.API.CONSUMER.CREATE."+durable+".>", // with its filter
			"$JS.API.CONSUMER.MSG.NEXT."+durable,
			"$JS.ACK."+durable+".>",
		)
	}
	return p
}

// SessionsPermissions are those of consumers/sessions with CONSUMER_PROVISION=off.
func SessionsPermissions() Permissions {
	p := Permissions{Subscribe: []string{InboxConsumer + ".>"}, Publish: []string{subjects.AllSessions}}
	for _, bucket := range []string{subjects.BucketLive, subjects.BucketSessionsState} {
		p.Publish = append(p.Publish, "$KV."+bucket+".>", "$JS.API.DIRECT.GET.KV_"+bucket+".>", "$JS.FC.KV_"+bucket+".>")
	}
	for _, stream := range []string{subjects.StreamEvents, subjects.StreamSessions, "KV_" + subjects.BucketLive, "KV_" + subjects.BucketSessionsState} {
		p.Publish = append(p.Publish, reading(stream)...)
	}
	return p
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
