package forward

import (
	"encoding/json"
	"reflect"
	"testing"
)

// A dead letter, through its file and back, is the message that the forwarder would publish,
// whether it holds the event or the record.
func TestDeadLetterMessage(t *testing.T) {
	env := Envelope{Subject: []byte("stream.publish"), Type: []byte("bintu.publish"), Time: []byte("t"), Source: []byte("/bridge/b")}
	rec := append(env.AppendRecord(nil), `{"id":"","call":"publish"}`...)
	want, err := Decode(rec, "abc", 7)
	if err != nil {
		t.Fatal(err)
	}
	if want.Subject != "stream.publish" || string(want.Data) != `{"id":"abc-7","call":"publish"}` || want.Header.Get("Nats-Msg-Id") != "abc-7" {
		t.Fatalf("decoded %s %s %v", want.Subject, want.Data, want.Header)
	}
	withoutID := letterOf(want)
	withoutID.Header = nil
	tests := map[string]struct {
		letter deadLetter
		header bool // all of it comes back, not only the id
	}{
		"event":             {letterOf(want), true},
		"record":            {deadLetter{Record: rec}, true},
		"event, no headers": {withoutID, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.letter.ID = "abc-7"
			line, err := json.Marshal(test.letter)
			if err != nil {
				t.Fatal(err)
			}
			var letter DeadLetter
			if err := json.Unmarshal(line, &letter); err != nil {
				t.Fatal(err)
			}
			got, err := letter.Message()
			if err != nil {
				t.Fatal(err)
			}
			if got.Subject != want.Subject || string(got.Data) != string(want.Data) || got.Header.Get("Nats-Msg-Id") != "abc-7" {
				t.Errorf("%s %s %v", got.Subject, got.Data, got.Header)
			}
			if test.header && !reflect.DeepEqual(got.Header, want.Header) {
				t.Errorf("headers %v, want %v", got.Header, want.Header)
			}
		})
	}
	for name, letter := range map[string]deadLetter{
		"empty": {}, "no id": letterOf(want), "no event": {ID: "abc-7", Subject: "s"}, "a record that is none": {ID: "abc-7", Record: []byte("?")},
	} {
		if msg, err := letter.Message(); err == nil {
			t.Errorf("%s: %v", name, msg)
		}
	}
}
