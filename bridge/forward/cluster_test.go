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

// leader waits until every server is up to date and returns the one that leads the stream. While
// two of them have to catch up, the third holds acked events that no other can serve: without
// it the stream waits until it is back.
func (c *cluster) leader(t *testing.T, js jetstream.JetStream) (leader *bridgetest.Process) {
	t.Helper()
	bridgetest.Eventually(t, "the stream has a leader and all replicas", func() bool {
		for _, node := range c.nodes {
			if !node.Healthy() {
				return false
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		stream, err := js.Stream(ctx, subjects.StreamEvents)
		if err != nil {
			return false
		}
		for _, node := range c.nodes {
			if info := stream.CachedInfo(); info.Cluster != nil && info.Cluster.Leader == node.Name() {
				leader = node
			}
		}
		return leader != nil
	})
	return leader
}

// The leader of a stream with three replicas is killed under load, again and again: nothing is
// lost, nothing is there twice, and all is in order. CLUSTER_ROUNDS asks for more rounds.
func TestClusterLeaderKilled(t *testing.T) {
	t.Parallel()
	rounds, err := strconv.Atoi(os.Getenv("CLUSTER_ROUNDS"))
	if err != nil {
		rounds = 3
	}
	eachWay(t, func(t *testing.T, batches bool) {
		nodes := bridgetest.StartCluster(t, 3)
		c := &cluster{Process: nodes[0], nodes: nodes}
		cfg := eventsStream(batches)
		cfg.Replicas = len(nodes)
		createStream(t, c, cfg)
		js := c.JetStream()
		r := newRig(t, c)
		r.ack = time.Second
		r.start(64)
		stop := r.load(3)
		for range rounds {
			r.ackedMore(300)
			leader := c.leader(t, js)
			leader.Kill()
			r.ackedMore(100) // by the others
			leader.Start()
		}
		stop()
		r.drain()
		c.leader(t, js) // reads are not repeated
		r.inOrder()
		st := r.fwd.Stats()
		if st.TakenBack != 0 || st.Dead != 0 || st.Batching != batches {
			t.Errorf("stats %+v", st)
		}
		t.Logf("%d events, %+v", r.n, st)
	})
}
