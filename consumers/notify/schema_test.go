package notify_test

import (
	"testing"

	"bintubridge/consumers/consumerstest"
	"bintubridge/consumers/notify"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"
	"bintubridge/subjects/schematest"
)

// What subscribe writes fits the schema, and wrong documents do not.
func TestSubscriptionsFitTheSchema(t *testing.T) {
	fits := schematest.Compile(t, subjects.SubscriptionSchema())
	js := consumerstest.StartFor(t, provision.NotifyPermissions()).JetStream()
	book := notify.NewBook(js)
	kv, err := js.KeyValue(t.Context(), subjects.BucketSubscriptions)
	if err != nil {
		t.Fatal(err)
	}
	for key, d := range map[string]notify.Document{
		"webhook": {Who: "team red", Subjects: []string{"stream.publish", "session.>"}, Names: []string{"red-*"}, URL: "https://red.example/hook"},
		"mail":    {Subjects: []string{"stream.>"}, URL: "smtp://user:secret@mail.example:587/?from=a@mail.example&to=b@mail.example"},
	} {
		for _, rotate := range []bool{false, true} {
			if _, err := book.Subscribe(t.Context(), key, d, rotate); err != nil {
				t.Fatal(err)
			}
			entry, err := kv.Get(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			if err := fits(entry.Value()); err != nil {
				t.Errorf("%v: %s", err, entry.Value())
			}
		}
	}
	for _, text := range []string{
		`[]`, `{}`, `{"url":"https://a.example"}`, `{"subjects":["stream.>"]}`, `{"subjects":[],"url":"https://a.example"}`, `{"subjects":"stream.>","url":"https://a.example"}`,
		`{"subjects":["stream.>"],"url":""}`, `{"subjects":["stream.>"],"url":1}`, `{"subjects":["stream.>"],"url":"https://a.example","secrets":["plain"]}`,
		`{"subjects":["stream.>"],"url":"https://a.example","secrets":"whsec_x"}`, `{"subjects":["stream.>"],"url":"https://a.example","names":[1]}`,
		`{"subjects":["stream.>"],"url":"https://a.example","more":true}`,
	} {
		if fits([]byte(text)) == nil {
			t.Errorf("the schema takes %s", text)
		}
	}
}
