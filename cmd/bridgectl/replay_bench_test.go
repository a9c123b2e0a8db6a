package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"bintubridge/bridge/bridgetest"
	"bintubridge/subjects"
)

// replayEvent is a publish as a bridge records it, every third with a secret.
func replayEvent(i int, at time.Time) *nats.Msg {
	e := subjects.Event{
		ID: fmt.Sprintf("aaaaaaaaaaaaa-%d", i), ReceivedAt: at, Bridge: "edge-1", Call: "publish",
		Name: fmt.Sprintf("CD6xx-%d", i%10_000), App: "live", Addr: fmt.Sprintf("17.31.%d.%d", i>>8&255, i&255), ClientID: "123456",
		Type: "live", FlashVer: "FMLE/3.0 (compatible; Lavf60.16.100)", TCURL: "rtmp://media.example.com:1935/live?a=1&b=2",
		Decision: &subjects.Decision{Effect: subjects.EffectAllow, Rule: "acme/ingest", Revision: 42, RulesAgeMS: 180},
	}
	e.Custom.Add("team", "red")
	if i%3 == 0 {
		e.Custom.Add("streamkey", "sha256:0123456789abcdef")
	}
	return &nats.Msg{Subject: "stream.publish", Data: e.AppendJSON(nil), Header: nats.Header{
		"ce-specversion": {"1.0"}, "ce-id": {e.ID}, "ce-source": {"/bridge/edge-1"}, "ce-type": {"bintu.publish"},
		"ce-subject": {e.Name}, "ce-datacontenttype": {"application/json"}, subjects.HeaderMsgID: {e.ID},
	}}
}

func fillEvents(b *testing.B, server *bridgetest.NATS, n int) {
	b.Helper()
	at := time.Now().UTC().Truncate(time.Microsecond)
	js, nc, err := connect(server.URL(), patient(func(string) string { return "" }))
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	for i := range n {
		if _, err := js.PublishMsgAsync(replayEvent(i, at)); err != nil {
			b.Fatal(err)
		}
		if i%4000 == 3999 {
			<-js.PublishAsyncComplete()
		}
	}
	<-js.PublishAsyncComplete()
}

// The whole command, its server in the same process, with 10,000 rules on each side.
func BenchmarkReplay(b *testing.B) {
	const events, rules = 300_000, 10_000
	server := bridgetest.StartNATS(b)
	js := server.JetStream()
	if _, err := js.CreateStream(b.Context(), jetstream.StreamConfig{Name: subjects.StreamEvents, Subjects: []string{"stream.>"}}); err != nil {
		b.Fatal(err)
	}
	kv, err := js.CreateKeyValue(b.Context(), jetstream.KeyValueConfig{Bucket: subjects.BucketRules})
	if err != nil {
		b.Fatal(err)
	}
	var list []string
	for i := range rules {
		list = append(list, fmt.Sprintf(`{"id":"r%d","effect":"allow","name":["CD6xx-%d"],"custom":{"team":["red"]}}`, i, i))
	}
	if _, err := kv.Put(b.Context(), "acme", []byte(`{"rules":[`+strings.Join(list, ",")+`]}`)); err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	writeFile(b, dir+"/acme.json", `{"rules":[`+strings.Join(list[100:], ",")+`]}`)
	fillEvents(b, server, events)
	began, done := cpuTime(b), 0
	for b.Loop() {
		var out, errs bytes.Buffer
		args := []string{"rules", "replay", "--rules", dir, "--nats-url", server.URL(), "-o", "json"}
		if code := callTool(b.Context(), streams{out: &out, err: &errs}, func(string) string { return "" }, args); code != exitOK {
			b.Fatal(errs.String())
		}
		var got replayed
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			b.Fatal(err)
		}
		if got.Asks != events || got.Flips != events/100 {
			b.Fatalf("%+v", got)
		}
		b.ReportMetric(float64(got.Events)/got.Seconds, "events/s")
		done += events
	}
	b.ReportMetric(float64((cpuTime(b)-began).Nanoseconds())/float64(done), "cpu-ns/event")
}

// cpuTime is what the process has used of all processors: on a machine that does
// other things too, it says more than the time.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
