package main

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"testing"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers"
	"bintubridge/consumers/consumerstest"
)

// Health is good while a consumer runs that gets its messages, and tells else what is wrong.
func TestHealth(t *testing.T) {
	kit := consumerstest.Start(t)
	var log consumerstest.Log
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	echo := newConsumer([]string{"NATS_URL=" + kit.URL()}, "echo", "Echoes", func(ctx context.Context, _ echoConfig, s service) error {
		return consumers.Run(ctx, s.js, consumers.Options{Name: "echo", Monitor: s.monitor, Log: s.log},
			func(context.Context, *consumers.Message) error { return nil })
	})
	go func() { ended <- execute(ctx, echo, &log) }()
	address := regexp.MustCompile(`admin=(\S+)`)
	bridgetest.Eventually(t, "it listens", func() bool { return address.MatchString(log.String()) })
	listen := address.FindStringSubmatch(log.String())[1]
	health := func(listen string) error {
		var out bytes.Buffer
		return execute(t.Context(), newRoot([]string{"CONSUMER_ADMIN_LISTEN=" + listen}), &out, "health")
	}
	bridgetest.Eventually(t, "it is healthy", func() bool { return health(listen) == nil })
	if metrics := get(t, listen, "/metrics"); !regexp.MustCompile(`(?m)^consumer_build_info{go_version="go.+",revision=".*",version=".+"} 1$`).MatchString(metrics) {
		t.Errorf("no consumer_build_info in\n%s", metrics)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for listen, want := range map[string]string{listen: "nobody answers", "127.0.0.1:0": "CONSUMER_ADMIN_LISTEN=127.0.0.1:0: health: port 0 is any free one", "nowhere": "missing port"} {
		if err := health(listen); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", listen, err, want)
		}
	}
}

func TestVersion(t *testing.T) {
	var out bytes.Buffer
	if err := execute(t.Context(), newRoot(nil), &out, "version"); err != nil || !strings.HasPrefix(out.String(), "consumer ") {
		t.Errorf("%v: %s", err, out.String())
	}
}
