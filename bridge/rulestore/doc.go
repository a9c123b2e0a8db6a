// Package rulestore keeps the rule documents of a NATS KV bucket as a compiled
// decide.Table in memory, and asks it.
//
// One goroutine, the follower, watches the bucket, owns the ledger of documents
// and swaps a new table in after each batch of changes. Decide reads the table
// by one atomic load and never waits for anything. A second goroutine, the
// saver, keeps a snapshot on disk, so that a bridge restarts and decides with
// NATS down. Close joins both.
//
// What a watch alone would miss is looked for: on every reconnect, whenever the
// watch ends, and every Options.CheckEvery the follower reads the bucket's
// stream info. A bucket that was recreated, that lost its newest revisions, or
// whose keys went without a marker is loaded again as a whole, and what is gone
// from it is swept.
//
// A document that does not compile leaves the last good version of its key in
// force: the one in memory, the one of the snapshot, or the newest good one in
// the key's history since its last delete.
package rulestore
