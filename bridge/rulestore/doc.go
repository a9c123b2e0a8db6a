// Package rulestore keeps the rule documents of a NATS KV bucket as a compiled
// decide.Table in memory, and asks it.
//
// One goroutine, the follower, watches the bucket, owns the ledger of documents
// and swaps a new table in: at once when it is idle, and else after all the
// changes that wait. A change is worked into the table that is there; only a first
// load, on all processors, builds one. Of most documents the ledger has only the text,
// in memory that the garbage collector need not look into. Decide reads the table by one atomic load
// and never waits for anything. A second goroutine, the saver, keeps a snapshot
// on disk, so that a bridge restarts and decides with NATS down: it writes a
// frozen copy, which costs the follower next to nothing. Close joins both.
//
// What a watch alone would miss is looked for: on every reconnect, whenever the
// watch ends, and every Options.CheckEvery the follower reads the bucket's
// stream info. A bucket that was recreated, that lost its newest revisions, or
// whose keys or versions went without a marker is loaded again as a whole, and what
// is gone from it is swept. So is one where a version whose TTL is over went so: that
// is asked for when it is over. A watch that is taken up again begins with the newest
// message that was seen: where that is not found, the bucket went back to an older state,
// or nothing proves that it did not, and is loaded again too. Markers that expire
// are accounted for one by one.
//
// A document that does not compile leaves the last good version of its key in
// force: the one in memory, the one of the snapshot, or the newest good one in
// the key's history since its last delete.
package rulestore
