// Package analytics keeps events and sessions in an SQL database: SQLite in a file of its own,
// or PostgreSQL.
//
//	EVENTS   -> RunBatch -> one transaction -> table events   -> ack
//	SESSIONS -> RunBatch -> one transaction -> table sessions -> ack
//	                                           views, report
//
// # Exactly once
//
// A row is known by its event's or session's id. A batch is committed before it is acked; what comes
// again finds its row and changes nothing. Of a session the end is what counts, in
// whatever order it was told. Every total is a view of these rows: there is none that
// a repeat or a late event could add to twice.
//
// # Two databases
//
// Tables and views have the same columns in both. What differs is in sqlite.go, postgres.go and in
// the tables' migrations; times are text in SQLite, in UTC and in one width, so that they
// sort and compare as they are.
//
// # What fails
//
// A database that is away or slow: the runner tries again, nothing is acked. A row that the
// database refuses: the runner halves its batch until the row stands alone, and sets that
// aside.
package analytics
