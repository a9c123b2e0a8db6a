package embed_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"bintubridge/bridge/bridgetest"
	"bintubridge/bridge/embed"
)

// The server itself stops taking messages for good when its disk is full. It is
// left alone while it is, and started again when there is room.
func TestDiskThatWasFull(t *testing.T) {
	o := options(t)
	o.StoreDir = filepath.Join(o.StoreDir, "nats")
	disk := bridgetest.MountDisk(t, o.StoreDir, "8m")
	s := start(t, o)
	nc, err := connect(t, s.ClientURL(), append(s.ConnectOptions(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))...)
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	if err != nil {
		t.Fatal(err)
	}
	next := 0
	publish := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := js.Publish(ctx, "s", make([]byte, 1000), jetstream.WithMsgID(strconv.Itoa(next)))
		if err == nil {
			next++
		}
		return err
	}
	for range 10 {
		bridgetest.Eventually(t, "it takes messages", func() bool { return publish() == nil })
	}
	disk.Fill()
	bridgetest.Eventually(t, "the server has trouble with a message", func() bool {
		_ = publish() // one without an ack may be stored all the same
		return strings.Contains(s.Status().Trouble, "stream '$G > S' write error")
	})
	waitForTrouble(t, s, "its disk takes no writes yet")
	if !strings.Contains(s.Status().Trouble, "no space left on device") || s.Status().Restarts != 0 || !nc.IsConnected() {
		t.Errorf("%+v, connected: %t", s.Status(), nc.IsConnected())
	}
	bridgetest.Eventually(t, "the check leaves no file", func() bool {
		_, err := os.Stat(s.WriteCheck())
		return os.IsNotExist(err)
	})

	disk.Empty()
	bridgetest.Eventually(t, "it takes messages again", func() bool { return publish() == nil })
	bridgetest.Eventually(t, "it was started again once, and all is well", func() bool { return s.Status() == embed.Status{Restarts: 1} })
	for i := range next {
		msg, err := stream.GetMsg(t.Context(), uint64(i+1))
		if err != nil || msg.Header.Get(jetstream.MsgIDHeader) != strconv.Itoa(i) {
			t.Fatalf("message %d: %v %v", i+1, msg, err)
		}
	}
	if info, err := stream.Info(t.Context()); err != nil || info.State.Msgs != uint64(next) {
		t.Errorf("%d messages were acked, stored are %+v %v", next, info, err)
	}
}
