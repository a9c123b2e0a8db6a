package provision

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"bintubridge/subjects"

	"github.com/nats-io/nats.go/jetstream"
)

// What the streams and buckets may take on disk by default, in bytes.
const (
	EventsBytes        = 10 << 30
	SessionsBytes      = 1 << 30
	DeadBytes          = 1 << 30
	RulesBytes         = 1 << 30
	LiveBytes          = 256 << 20
	BridgesBytes       = 16 << 20
	DeliveriesBytes    = 1 << 30
	SubscriptionsBytes = 16 << 20
	ChatRoomsBytes     = 16 << 20
	SessionsStateBytes = 256 << 20
	ChatStateBytes     = 64 << 20

	// DefaultStorage is their sum, 14 GiB and 624 MiB. JetStream reserves it
	// when it creates them: a server with less to give refuses the last ones.
	DefaultStorage = EventsBytes + SessionsBytes + DeadBytes + RulesBytes + LiveBytes + BridgesBytes +
		DeliveriesBytes + SubscriptionsBytes + ChatRoomsBytes + SessionsStateBytes + ChatStateBytes
)

// DuplicateWindow is how long JetStream tells a repeated Nats-Msg-Id. A bridge
// that lost its connection has that long to send again without a duplicate.
const DuplicateWindow = 10 * time.Minute

// MarkerTTL is how long a bucket keeps the marker of a key that expired or was
// deleted; bridges, where everything goes after BridgeTTL, that long only. A
// watcher that is away for longer misses it and has to load again.
const MarkerTTL = time.Hour

// DeliveriesPerSubscription is how many deliveries may wait for one subscription: whose receiver
// is away must not take the room of the others.
const DeliveriesPerSubscription = 10_000

// DeliveriesAge is how long a delivery waits at most: longer than its last try, and as long as the event is kept.
const DeliveriesAge = 7 * day

// ChatStateAge is how long the chat consumer remembers what it told of a stream that is not heard of any more.
const ChatStateAge = 30 * day

// RulesMarkerTTL is the same for rules, and all that has a history. Where a bucket keeps history, the server
// raises a key's TTL to its markers', and a rule pushed for two seconds must not
// hold for an hour: hence the shortest there is. The bridge does not depend on
// seeing a marker, it compares the number of keys.
const RulesMarkerTTL = time.Second

// BridgeTTL is how long a bridge that stopped reporting stays in its bucket.
const BridgeTTL = 30 * time.Second

// RulesHistory is how many versions of a rule document are kept: after a bad
// push, a bridge that starts finds the last good one among them.
const RulesHistory = 8

// DocumentsHistory is the same for subscriptions and chat rooms, and their consumers.
const DocumentsHistory = 8

const day = 24 * time.Hour

// Options are the choices of an operator. The zero value is the defaults, and
// looks without creating.
type Options struct {
	Mode        Mode
	RulesBucket string        // BRIDGE_RULES_BUCKET; "" is subjects.BucketRules
	KeepRules   bool          // only look for the rules bucket: rules are in force that a new, empty one would end
	Replicas    int           // of each stream and bucket, 1 to 5; 0 is 1
	Timeout     time.Duration // of one request to the server; 0 is 5 s

	// Limits of new streams and buckets, in bytes; 0 is the default above.
	// What exists keeps its own.
	EventsBytes, SessionsBytes, DeadBytes               int64
	RulesBytes, LiveBytes, BridgesBytes                 int64
	DeliveriesBytes, SubscriptionsBytes, ChatRoomsBytes int64
	SessionsStateBytes, ChatStateBytes                  int64
}

// Storage returns how many bytes the streams and buckets reserve on each server
// that holds a replica.
func (o Options) Storage() int64 {
	var sum int64
	for _, d := range definitions(o) {
		sum += d.config.MaxBytes
	}
	return sum
}

// check refuses a name of the rules' bucket that NATS or another bucket refuses.
func (o Options) check() error {
	name := cmp.Or(o.RulesBucket, subjects.BucketRules)
	taken := func(d definition) bool { return d.config.Name == "KV_"+name }
	if name != subjects.BucketRules && slices.ContainsFunc(definitions(Options{}), taken) {
		return fmt.Errorf("rules bucket %q: %w: the bridge keeps something else there", name, ErrBucket)
	}
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return fmt.Errorf("rules bucket %q: %w: allowed are letters, digits, _ and -", name, ErrBucket)
	}
	return nil
}

// definition is a stream or a bucket as it should be.
type definition struct {
	object string // as reports call it
	bucket bool
	config jetstream.StreamConfig
}

// definitions is the one table of all that is provisioned.
func definitions(o Options) []definition {
	events := stream(subjects.StreamEvents, subjects.AllEvents, 7*day, cmp.Or(o.EventsBytes, EventsBytes),
		"what the media servers asked and told")
	// Full, it refuses: the bridges keep the rest in their spools, and nothing
	// that a consumer has not seen makes room.
	events.config.Discard = jetstream.DiscardNew
	// Bridges publish in batches where the server can, which is from 2.14 on.
	events.config.AllowBatchPublish = true

	rules := bucket(cmp.Or(o.RulesBucket, subjects.BucketRules), RulesHistory, 0, cmp.Or(o.RulesBytes, RulesBytes),
		"rule documents")
	rules.config.SubjectDeleteMarkerTTL = RulesMarkerTTL

	// A delivery is gone when it is acked. Full, for one subscription or for all, it refuses.
	deliveries := stream(subjects.StreamDeliveries, subjects.AllDeliveries, DeliveriesAge, cmp.Or(o.DeliveriesBytes, DeliveriesBytes),
		"notifications that wait for their receivers")
	deliveries.config.Retention = jetstream.WorkQueuePolicy
	deliveries.config.Discard = jetstream.DiscardNew
	deliveries.config.DiscardNewPerSubject = true
	deliveries.config.MaxMsgsPerSubject = DeliveriesPerSubscription

	subscriptions := bucket(subjects.BucketSubscriptions, DocumentsHistory, 0, cmp.Or(o.SubscriptionsBytes, SubscriptionsBytes),
		"who is notified of what")
	subscriptions.config.SubjectDeleteMarkerTTL = RulesMarkerTTL
	rooms := bucket(subjects.BucketChatRooms, DocumentsHistory, 0, cmp.Or(o.ChatRoomsBytes, ChatRoomsBytes),
		"which streams are told of in which chat rooms")
	rooms.config.SubjectDeleteMarkerTTL = RulesMarkerTTL

	list := []definition{
		events,
		stream(subjects.StreamSessions, subjects.AllSessions, 30*day, cmp.Or(o.SessionsBytes, SessionsBytes),
			"sessions, derived from the events"),
		stream(subjects.StreamDead, subjects.AllDead, 30*day, cmp.Or(o.DeadBytes, DeadBytes),
			"messages a consumer gave up on"),
		rules,
		bucket(subjects.BucketLive, 1, 0, cmp.Or(o.LiveBytes, LiveBytes),
			"who is live, one key a publish"),
		// In a file though it lives for seconds: a stream in memory is gone,
		// definition and all, when its server restarts.
		bucket(subjects.BucketBridges, 1, BridgeTTL, cmp.Or(o.BridgesBytes, BridgesBytes),
			"the bridges that run, one key each"),
		deliveries,
		subscriptions,
		rooms,
		bucket(subjects.BucketSessionsState, 1, 0, cmp.Or(o.SessionsStateBytes, SessionsStateBytes),
			"lease and checkpoint of the sessions consumer"),
		bucket(subjects.BucketChatState, 1, ChatStateAge, cmp.Or(o.ChatStateBytes, ChatStateBytes),
			"what the chat consumer has told its rooms"),
	}
	for i := range list {
		list[i].config.Replicas = cmp.Or(o.Replicas, 1)
	}
	return list
}

func stream(name, subject string, maxAge time.Duration, maxBytes int64, description string) definition {
	return definition{object: "stream " + name, config: jetstream.StreamConfig{
		Name:              name,
		Description:       description,
		Subjects:          []string{subject},
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Discard:           jetstream.DiscardOld,
		MaxAge:            maxAge,
		MaxBytes:          maxBytes,
		MaxMsgs:           -1,
		MaxMsgsPerSubject: -1,
		MaxConsumers:      -1,
		Duplicates:        DuplicateWindow,
		AllowDirect:       true,
		PersistMode:       jetstream.DefaultPersistMode,
	}}
}

// bucket is a KV bucket as the stream that it is. nats.go creates the same from
// a KeyValueConfig, but may alter a bucket that exists on the way.
func bucket(name string, history int64, ttl time.Duration, maxBytes int64, description string) definition {
	duplicates := 2 * time.Minute // nats.go's
	if ttl > 0 {
		duplicates = min(duplicates, ttl)
	}
	return definition{object: "KV bucket " + name, bucket: true, config: jetstream.StreamConfig{
		Name:                   "KV_" + name,
		Description:            description,
		Subjects:               []string{"$KV." + name + ".>"},
		Retention:              jetstream.LimitsPolicy,
		Storage:                jetstream.FileStorage,
		Discard:                jetstream.DiscardNew,
		MaxAge:                 ttl,
		MaxBytes:               maxBytes,
		MaxMsgs:                -1,
		MaxMsgsPerSubject:      history,
		MaxMsgSize:             -1,
		MaxConsumers:           -1,
		Duplicates:             duplicates,
		AllowRollup:            true,
		DenyDelete:             true,
		AllowDirect:            true,
		AllowMsgTTL:            true,
		SubjectDeleteMarkerTTL: MarkerTTL,
	}}
}
