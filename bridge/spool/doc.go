// Package spool is the durable segment log between the answer and JetStream:
// opaque payloads in, the same payloads in the same order out.
//
// # Files
//
//	<dir>/00000000000000000001.seg                segments, named after their first sequence
//	<dir>/00000000000000000001.seg.<ns>.damaged   segments set aside, with bytes nobody could read
//	<dir>/00000000000000000001.seg.rewrite        a copy being made of one whose fsync failed
//	<dir>/next.prepared                           reserved room for the next segment
//	<dir>/cursor                                  what JetStream has acked
//
// A segment is a 64 byte header and records, each padded to 8 bytes. Integers
// are little endian.
//
//	header                                    record
//	 0  8  magic "bintuspl"                    0  4  payload length n, never 0
//	 8  4  format version, 1                   4  4  CRC32C of bytes 8.. and 0..4, seeded with the header's
//	12  4  CRC32C of the other 60 bytes        8  8  sequence
//	16  8  first sequence                     16  n  payload
//	24 16  spool id, text padded with NUL         p  NUL up to a multiple of 8
//	40  8  created, unix milliseconds
//	48  8  sequences before the first that were left out
//	56  8  zero
//
// A zero length ends a segment, and so does its end of file: room that was
// reserved and not used yet reads as zeros. Because a record's checksum is seeded
// with its segment's, no record is valid in another segment, and none can be
// forged by a payload that contains one.
//
// # Sequences and the spool id
//
// Sequences count up by one and go on over restarts. Every Open starts a new
// segment with a new random spool id. A power cut may take records from the end
// of the log that JetStream has already seen; the records that take their
// sequences later then carry another id, so they are never mistaken for
// duplicates. A sequence is left out where a failed write may have left a record
// behind that could not be taken back, or where a file has its name; the next
// header says so. So are as many as a segment may have, some 45 million, behind a newest one that cannot
// be read, or not to its end: another start may read it. Those of records behind damage are, too, so
// that a repair can put them back where they were. Any other sequence that is missing behind
// the cursor is a lost record, and counted.
//
// # Crash model
//
// Append returns after write(2). A killed process loses nothing that was
// appended, whatever the mode; the kernel has it. A power cut or a kernel crash
// loses up to the sync interval with SyncInterval, nothing with SyncAlways, and
// whatever the kernel had not yet written with SyncOff.
//
// Open never wipes or refuses a segment. It reads each one up to its last whole
// record, and orders them by their headers; a name counts where there is no header. A
// record that a crash has torn, at the end of the newest segment, is cut
// off: it ends early or a sector of it is missing, and no whole record follows.
// Anything else that does not read is damage. It stays where it is, is reported,
// the log goes on with the next segment, and once what could be read is acked the
// file is set aside rather than deleted. A damaged header alone costs no record: it
// is rebuilt in memory, from the file's name and the ids of other segments, where its
// checksum or the first record proves it. A file that cannot be read at all stays
// until the next start, or until records behind it are acked: then it is set aside.
// Open fails where process or machine lack what it takes to read (open files, memory):
// that says nothing of the files, and the next start may read them. What earlier
// runs may have left unsynced is synced as soon as the new one runs.
//
// # A disk in trouble
//
// Nothing here waits for a disk to recover, and nothing needs a restart.
//
//   - A write that fails, or is cut short, is taken back, and the append returns
//     the error. The next one tries again, in the same segment when there was no
//     room, in a new one when the disk failed otherwise.
//   - While no segment can be created, at Open too, appends return the error at
//     once; the disk is asked again every 100 ms.
//   - A segment that cannot be read holds the reader, which skips it after half a
//     minute; one that process or machine lack open files or memory for holds it until
//     there are some.
//   - After a failed fsync nobody knows what is on the disk, and the kernel may
//     call lost pages clean. The segment is abandoned: appends go on in another, and
//     its records are copied, checked, into a new file that is synced and then takes
//     the old one's name. That is tried every second until it works; meanwhile
//     nothing else is synced, SyncError says so, and with SyncAlways appends fail. The
//     copy needs room for up to one segment beyond MaxBytes. Records that the
//     kernel has dropped from memory too cannot be copied: they are damage. A
//     process that ends before it worked has told so by SyncError and Close; the
//     next one takes the kernel's word for what it reads.
//   - A segment of an earlier run that cannot be opened or synced is tried, and
//     written again, in the same way; SyncError and Close say so, and this run's own
//     records do not wait for it. The original of a damaged one is set aside.
//
// # Speed
//
// An append is one pwrite(2) into reserved room, under one lock, without an
// allocation or a hand-off. Rotation takes a file prepared in the background: a
// rename and the header, no fsync. Each fsync is fdatasync(2) outside that lock.
//
// # Ownership
//
// mu guards the list of segments and everything an append changes; it is held over
// the append's own write, and over the making of a segment when none is prepared.
// One reader at a time follows the log. One goroutine, started by Open and joined
// by Close, syncs, prepares, mends and removes segments; with SyncAlways
// appends sync too, one for all that wait. Locks are taken in the order
// syncer.mu, mu, syncer.statMu; ackMu stands alone.
package spool
