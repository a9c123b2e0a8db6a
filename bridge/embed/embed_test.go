package embed_test

import (
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"bintubridge/bridge/bridgetest"
	"bintubridge/bridge/bridgetest/freeport"
	"bintubridge/bridge/embed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func options(t *testing.T) embed.Options {
	return embed.Options{Listen: freeport.Addr(t), StoreDir: t.TempDir(), MaxStore: 1 << 30, Log: slog.New(slog.DiscardHandler)}
}

func start(t *testing.T, o embed.Options) *embed.Server {
	t.Helper()
	s, err := embed.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func connect(t *testing.T, url string, opts ...nats.Option) (*nats.Conn, error) {
	t.Helper()
	nc, err := nats.Connect(url, append([]nats.Option{nats.Timeout(bridgetest.Timeout)}, opts...)...)
	if err == nil {
		t.Cleanup(nc.Close)
	}
	return nc, err
}

func TestStreamsOutliveTheServer(t *testing.T) {
	o := options(t)
	s := start(t, o)
	nc, err := connect(t, s.ClientURL(), s.ConnectOptions()...)
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Storage: jetstream.FileStorage}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	nc.Close()
	s.Close()

	s = start(t, o)
	nc, err = connect(t, s.ClientURL()) // over the network this time
	if err != nil {
		t.Fatal(err)
	}
	if js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	if msg, err := stream.GetMsg(t.Context(), 1); err != nil || string(msg.Data) != "kept" {
		t.Errorf("%v %v", msg, err)
	}
}

func TestCredentialsAreAskedFor(t *testing.T) {
	for name, test := range map[string]struct {
		set   func(*embed.Options)
		right nats.Option
	}{
		"token": {func(o *embed.Options) { o.Token = "t0ken" }, nats.Token("t0ken")},
		"user":  {func(o *embed.Options) { o.User, o.Password = "u", "p4ss" }, nats.UserInfo("u", "p4ss")},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			test.set(&o)
			s := start(t, o)
			if _, err := connect(t, s.ClientURL()); err == nil {
				t.Error("a client without credentials came in")
			}
			if _, err := connect(t, s.ClientURL(), test.right); err != nil {
				t.Errorf("with credentials: %v", err)
			}
			if _, err := connect(t, s.ClientURL(), s.ConnectOptions()...); err != nil {
				t.Errorf("the bridge itself: %v", err)
			}
		})
	}
}

func TestTakenPort(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	o := options(t)
	o.Listen = ln.Addr().String()
	_, err = embed.Start(o)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{o.Listen, "address already in use", "BRIDGE_EMBEDDED_LISTEN", "NATS_URL"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
}

func TestUnusableStore(t *testing.T) {
	o := options(t)
	o.StoreDir = "/dev/null/nats"
	if _, err := embed.Start(o); err == nil {
		t.Error("no error")
	}
	o = options(t)
	o.Listen = "nowhere"
	if _, err := embed.Start(o); err == nil {
		t.Error("no error")
	}
}
