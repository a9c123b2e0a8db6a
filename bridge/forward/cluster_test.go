package forward_test

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"bintubridge/bridge/bridgetest"
	"bintubridge/subjects"
)

// cluster is three servers as one.
type cluster struct {
	*bridgetest.Process // any of them; clients know the others
	nodes               []*bridgetest.Process
}

func (c *cluster) Conn(opts ...nats.Option) *nats.Conn {
	return c.Process.Conn(append(opts, nats.Timeout(time.Second))...)
}

// leader returns the node that leads the stream, nil while there is none.
func (c *cluster) leader(t *testing.T, js jetstream.JetStream) *bridgetest.Process {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	stream, err := js.Stream(ctx, subjects.StreamEvents)
	if err != nil {
		return nil
	}
	info := stream.CachedInfo()
	if info.Cluster == nil || len(info.Cluster.Replicas) < 2 {
		return nil
	}
	for _, peer := range info.Cluster.Replicas {
		if !peer.Current || peer.Offline {
			return nil // the one before is not back yet
		}
	}
	for _, node := range c.nodes {
		if node.Name() == info.Cluster.Leader {
			return node
		}
	}
	return nil
}

// The leader of a stream with three replicas is killed under load. An election takes
// the servers seconds, so that one round is enough here; CLUSTER_ROUNDS asks for more,
// and then for both ways.
func TestClusterLeaderKilled(t *testing.T) {
	t.Parallel()
	rounds, err := strconv.Atoi(os.Getenv("CLUSTER_ROUNDS"))
	if err != nil {
		killLeaders(t, true, 1)
		return
	}
	eachWay(t, func(t *testing.T, batches bool) { killLeaders(t, batches, rounds) })
}

func killLeaders(t *testing.T, batches bool, rounds int) {
	nodes := bridgetest.StartCluster(t, 3)
	c := &cluster{Process: nodes[0], nodes: nodes}
	cfg := eventsStream(batches)
	cfg.Replicas = 3
	createStream(t, c, cfg)
	js := c.JetStream()
	r := newRig(t, c)
	r.start(64)
	stop := r.load()
	for range rounds {
		r.ackedMore(300)
		var leader *bridgetest.Process
		bridgetest.Eventually(t, "the stream has a leader and all replicas", func() bool {
			leader = c.leader(t, js)
			return leader != nil
		})
		leader.Kill()
		r.ackedMore(100) // by the others
		leader.Start()
	}
	stop()
	r.drain()
	r.inOrder()
	t.Logf("%d events, %+v", r.n, r.fwd.Stats())
}
