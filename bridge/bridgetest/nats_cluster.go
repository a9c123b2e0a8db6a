package bridgetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	_ "unsafe" // for linkname

	"github.com/nats-io/nats-server/v2/server"

	"bintubridge/bridge/bridgetest/freeport"
)

// StartCluster returns n servers that form a cluster.
func StartCluster(t testing.TB, n int) []*Process {
	t.Helper()
	routes := make([]string, n)
	for i := range routes {
		routes[i] = fmt.Sprintf("127.0.0.1:%d", freeport.Get(t))
	}
	nodes := make([]*Process, n)
	for i := range nodes {
		monitor := freeport.Get(t)
		nodes[i] = newProcess(t, fmt.Sprintf("n%d", i), fmt.Sprintf(`http: "127.0.0.1:%d"
			cluster { name: test, listen: %q, routes: ["nats://%s"] }`, monitor, routes[i], strings.Join(routes, `", "nats://`)))
		nodes[i].http = monitor
		nodes[i].Start()
	}
	return nodes
}

// Name is the server's name in its cluster.
func (p *Process) Name() string { return p.name }

// Healthy reports whether the server of a cluster says that its replicas are up to date. It says so
// of one that is about to copy messages from the leader, too: see Group.
func (p *Process) Healthy() bool {
	_, ok := p.ask("/healthz")
	return ok
}

// Group is what the server knows of the one stream that the cluster has; nil when it does not say.
func (p *Process) Group() *server.RaftzGroup {
	data, ok := p.ask("/raftz?acc=" + server.DEFAULT_GLOBAL_ACCOUNT)
	var accounts server.RaftzStatus
	if !ok || json.Unmarshal(data, &accounts) != nil {
		return nil
	}
	for _, group := range accounts[server.DEFAULT_GLOBAL_ACCOUNT] {
		return &group
	}
	return nil
}

// ask returns what the monitoring of a server of a cluster says.
func (p *Process) ask(path string) (data []byte, ok bool) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", p.http, path), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Close = true // no goroutine is left
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, false
	}
	data, err = io.ReadAll(res.Body)
	return data, errors.Join(err, res.Body.Close()) == nil && res.StatusCode == http.StatusOK
}

// The pace of a cluster's elections. The server has no setting for it; its own tests set these
// variables, too. At its own pace each leader that is killed costs 4 to 9 seconds of waiting.
var (
	//go:linkname hbInterval github.com/nats-io/nats-server/v2/server.hbInterval
	hbInterval time.Duration
	//go:linkname minElectionTimeout github.com/nats-io/nats-server/v2/server.minElectionTimeout
	minElectionTimeout time.Duration
	//go:linkname maxElectionTimeout github.com/nats-io/nats-server/v2/server.maxElectionTimeout
	maxElectionTimeout time.Duration
)

// electQuickly sets the pace of elections of the server that this process is going to be to that
// of the server's own tests.
func electQuickly() {
	hbInterval, minElectionTimeout, maxElectionTimeout = 50*time.Millisecond, 1500*time.Millisecond, 3500*time.Millisecond
}
