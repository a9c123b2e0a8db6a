package documents_test

import (
	"slices"
	"testing"

	"bintubridge/consumers"
	"bintubridge/consumers/consumerstest"
	"bintubridge/consumers/documents"
	"bintubridge/subjects"

	"github.com/nats-io/nats.go/jetstream"
)

// What is gone is found at the second look, and never by what was applied alone: a document may have been
// made meanwhile.
func TestLeftovers(t *testing.T) {
	kit := consumerstest.Start(t)
	for _, key := range []string{"kept", "young", "gone", "back"} {
		cfg := jetstream.ConsumerConfig{Durable: "notify-" + key, Description: consumers.Description, AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: "delivery." + key}
		if _, err := kit.JS.CreateConsumer(t.Context(), subjects.StreamDeliveries, cfg); err != nil {
			t.Fatal(err)
		}
	}
	for _, foreign := range []jetstream.ConsumerConfig{
		{Durable: "other", Description: consumers.Description, FilterSubject: "delivery.other"},
		{Durable: "notify-bot", FilterSubject: "delivery.bot"}, // made by another program
	} {
		foreign.AckPolicy = jetstream.AckExplicitPolicy
		if _, err := kit.JS.CreateConsumer(t.Context(), subjects.StreamDeliveries, foreign); err != nil {
			t.Fatal(err)
		}
	}
	kit.Put(subjects.BucketSubscriptions, "kept", "x")
	old, err := documents.Load(t.Context(), kit.JS, subjects.BucketSubscriptions)
	if err != nil {
		t.Fatal(err)
	}
	kit.Put(subjects.BucketSubscriptions, "young", "x")
	l := &documents.Leftovers{JS: kit.JS, Bucket: subjects.BucketSubscriptions, Stream: subjects.StreamDeliveries, Prefix: "notify-"}
	look := func(behind uint64, want ...string) {
		t.Helper()
		got, sequence, err := l.Look(t.Context())
		slices.Sort(got)
		if err != nil || !slices.Equal(got, want) || sequence != behind {
			t.Errorf("got %q up to %d, %v; want %q up to %d", got, sequence, err, want, behind)
		}
	}
	l.Applied(old)
	look(0)
	kit.Put(subjects.BucketSubscriptions, "back", "x")
	kit.PublishRaw("delivery.gone", nil, nil)
	look(1, "gone")
	kit.Put(subjects.BucketSubscriptions, "gone", "x")
	kit.PublishRaw("delivery.gone", nil, nil)
	look(2)
	kit.PublishRaw("delivery.gone", nil, nil)
	look(0) // there is no reason to look
}
