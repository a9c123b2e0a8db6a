package bridge

import (
	"time"

	"bintubridge/bridge/admin"
	"bintubridge/subjects"
)

// What the operator's page asks, and who answers. None of it is on the request path, and
// none of it waits for NATS.

// mirrorIdle is how long KV live and bridges are followed after the page last asked.
const mirrorIdle = 30 * time.Second

// openPage makes what the page needs beside the parts.
func (b *Bridge) openPage() {
	b.history = startHistory(b.answers)
	b.live = &mirror{bucket: subjects.BucketLive, link: b.watching, js: b.watchingJS, idle: mirrorIdle, most: mirrorMost, log: b.log}
	b.bridges = &mirror{bucket: subjects.BucketBridges, link: b.watching, js: b.watchingJS, idle: mirrorIdle, most: mirrorMost, log: b.log}
}

func (b *Bridge) closePage() {
	if b.history == nil {
		return
	}
	b.live.close()
	b.bridges.close()
	b.history.close()
}

func (b *Bridge) queries() map[string]admin.Query {
	return map[string]admin.Query{
		"/history": b.history.query,
		"/live":    b.queryLive,
		"/fleet":   b.queryFleet,
		"/rules":   b.queryRules,
		"/explain": b.queryExplain,
	}
}
