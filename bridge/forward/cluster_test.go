package forward_test

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"bintubridge/bridge/bridgetest"
)

// cluster is three servers as one.
type cluster struct {
	*bridgetest.Process // any of them; clients know the others
	nodes               []*bridgetest.Process
}

func (c *cluster) Conn(opts ...nats.Option) *nats.Conn {
	return c.Process.Conn(append(opts, nats.Timeout(time.Second))...)
}

// leader waits until every server is up to date and returns the one that leads the stream.
func (c *cluster) leader(t *testing.T) (leader *bridgetest.Process) {
	t.Helper()
	bridgetest.Eventually(t, "the stream has a leader and all replicas", func() bool {
		leader = c.upToDate()
		return leader != nil
	})
	return leader
}

// upToDate returns the leader, once every server has stored what that had acked when it was asked. One that
// was started again may have the end of the log before it has copied the messages to which that
// belongs. Without the leader it can copy them from nobody: it may not lead then, and lets no server lead
// whose log is shorter, so that the stream waits until the leader is back.
func (c *cluster) upToDate() (leader *bridgetest.Process) {
	var committed uint64
	for _, node := range c.nodes {
		if !node.Healthy() {
			return nil
		}
		if group := node.Group(); group != nil && group.State == "LEADER" {
			leader, committed = node, group.Committed
		}
	}
	for _, node := range c.nodes {
		if group := node.Group(); group == nil || group.Paused || group.Applied < committed {
			return nil
		}
	}
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
		r := newRig(t, c)
		r.ack = time.Second
		r.start(64)
		stop := r.load(3)
		for range rounds {
			r.ackedMore(300)
			leader := c.leader(t)
			r.away.Store(true)
			leader.Kill()
			r.ackedMore(100) // by the others
			r.away.Store(false)
			leader.Start()
		}
		stop()
		r.drain()
		c.leader(t) // reads are not repeated
		r.inOrder()
		r.noSlower()
		st := r.fwd.Stats()
		if st.TakenBack != 0 || st.Dead != 0 || st.Batching != batches {
			t.Errorf("stats %+v", st)
		}
		t.Logf("%d events, %+v", r.n, st)
	})
}
