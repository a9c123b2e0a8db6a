package forward_test

import (
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"bintubridge/bridge/bridgetest"
	"bintubridge/subjects"
)

// BenchmarkDrain empties a backlog into a server, both ways, beside jetstreamext alone: with
// messages of as many bytes and no headers, as "nats bench js pub fast" sends them, and
// with the very messages of the forwarder, which cost the server more. One iteration is
// one event.
func BenchmarkDrain(b *testing.B) {
	for _, way := range []struct {
		name    string
		batches bool
	}{{"batches", true}, {"window", false}} {
		b.Run(way.name, func(b *testing.B) {
			p := bridgetest.StartProcess(b, "")
			createStream(b, p, eventsStream(way.batches))
			r := openRig(b, p, 0)
			r.check = 0
			r.large(b.N)
			measured := measure(b, p)
			r.start(0)
			r.drain()
			measured()
			if st := r.fwd.Stats(); st.Failures != 0 {
				b.Errorf("stats %+v", st)
			}
		})
	}
	for _, events := range []bool{false, true} {
		b.Run(map[bool]string{false: "jetstreamext", true: "jetstreamext-same-messages"}[events], func(b *testing.B) {
			p := bridgetest.StartProcess(b, "")
			createStream(b, p, eventsStream(true))
			msg := sample(b, p)
			if !events {
				msg = &nats.Msg{Subject: msg.Subject, Data: make([]byte, msg.Size()-len(msg.Subject))}
			}
			js := p.JetStream()
			measured := measure(b, p)
			publishFast(b, js, msg)
			measured()
		})
	}
}

// measure starts the clock. The function it returns stops it and reports the rate, and
// the processor time an event has cost this process and the server.
func measure(b *testing.B, server *bridgetest.Process) (stop func()) {
	here, there := cpu(b), server.CPU()
	b.ResetTimer()
	return func() {
		b.StopTimer()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
		b.ReportMetric(float64(cpu(b)-here)/float64(b.N), "cpu-ns/op")
		b.ReportMetric(float64(server.CPU()-there)/float64(b.N), "server-cpu-ns/op")
	}
}

// cpu returns the processor time this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// large appends n events of the usual size, some 600 bytes.
func (r *rig) large(n int) {
	for range n {
		r.event(strings.Repeat("x", 400))
	}
}

// sample returns a message as the forwarder sends them.
func sample(b *testing.B, s server) *nats.Msg {
	r := newRig(b, s)
	r.large(1)
	r.start(0)
	r.drain()
	sent := s.Messages(subjects.StreamEvents, 1)[0]
	return &nats.Msg{Subject: sent.Subject(), Header: sent.Headers(), Data: sent.Data()}
}

// publishFast sends b.N copies of msg as one batch, with ids of their own if it has one.
func publishFast(b *testing.B, js jetstream.JetStream, msg *nats.Msg) {
	pub, err := jetstreamext.NewFastPublisher(js, jetstreamext.FastPublishFlowControl{Flow: 500})
	if err != nil {
		b.Fatal(err)
	}
	for i := range b.N {
		if msg.Header != nil {
			msg.Header[subjects.HeaderMsgID] = []string{"0123456789abc-" + strconv.Itoa(i)}
		}
		if _, err := pub.AddMsg(msg); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := pub.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}
