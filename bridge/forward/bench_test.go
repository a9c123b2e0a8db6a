package forward_test

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"bintubridge/bridge/bridgetest"
	"bintubridge/subjects"
)

// BenchmarkDrain empties a backlog into a server, both ways, beside a publisher that sends as
// many messages of that size from memory, as "nats bench js pub fast" does. One
// iteration is one event.
func BenchmarkDrain(b *testing.B) {
	for _, way := range []struct {
		name    string
		batches bool
	}{{"batches", true}, {"window", false}} {
		b.Run(way.name, func(b *testing.B) {
			p := bridgetest.StartProcess(b, "")
			createStream(b, p, eventsStream(way.batches))
			r := newRig(b, p)
			r.events(b.N)
			b.ResetTimer()
			r.start(0)
			r.drain()
			b.StopTimer()
			if st := r.fwd.Stats(); st.Failures != 0 {
				b.Errorf("stats %+v", st)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
		})
	}
	for _, headers := range []bool{false, true} {
		b.Run(map[bool]string{false: "jetstreamext", true: "jetstreamext-with-headers"}[headers], func(b *testing.B) {
			p := bridgetest.StartProcess(b, "")
			createStream(b, p, eventsStream(true))
			msg := sample(b, p, headers)
			b.ResetTimer()
			publishFast(b, p.JetStream(), msg)
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
		})
	}
}

// sample returns a message as the forwarder sends them, without its id: with its
// headers, or, as the nats tool does, with none and as many bytes.
func sample(b *testing.B, s server, headers bool) *nats.Msg {
	r := newRig(b, s)
	r.events(1)
	r.start(0)
	r.drain()
	sent := s.Messages(subjects.StreamEvents, 1)[0]
	msg := &nats.Msg{Subject: sent.Subject(), Header: sent.Headers(), Data: sent.Data()}
	delete(msg.Header, subjects.HeaderMsgID) // or all but the first would be dropped
	if !headers {
		msg = &nats.Msg{Subject: msg.Subject, Data: make([]byte, msg.Size()-len(msg.Subject))}
	}
	return msg
}

func publishFast(b *testing.B, js jetstream.JetStream, msg *nats.Msg) {
	pub, err := jetstreamext.NewFastPublisher(js, jetstreamext.FastPublishFlowControl{Flow: 500})
	if err != nil {
		b.Fatal(err)
	}
	for range b.N {
		if _, err := pub.AddMsg(msg); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := pub.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}
