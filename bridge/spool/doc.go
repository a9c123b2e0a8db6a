// Package spool is the durable segment log between the answer and JetStream:
// opaque payloads in, the same payloads in the same order out.
//
// # Files
//
//	<dir>/00000000000000000001.seg    segments, named after their first sequence
//	<dir>/cursor                      what JetStream has acked
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
//	48 16  zero
//
// A zero length ends a segment, and so does its end of file. Because a record's
// checksum is seeded with its segment's, no record is valid in another segment,
// and none can be forged by a payload that contains one.
//
// # Sequences and the spool id
//
// Sequences count up by one and go on over restarts. Every Open starts a new
// segment with a new random spool id. A power cut may take records from the end
// of the log that JetStream has already seen; the records that take their
// sequences later then carry another id, so they are never mistaken for
// duplicates.
//
// # Crash model
//
// Append returns after write(2). A killed process loses nothing that was
// appended, whatever the mode; the kernel has it. A power cut or a kernel crash
// loses up to the sync interval with SyncInterval, nothing with SyncAlways, and
// whatever the kernel had not yet written with SyncOff.
//
// Open never cuts, wipes or refuses a segment. It reads each one up to its last
// whole record; what follows, a torn record or damage, is left where it is and
// reported, and a segment with such a rest is set aside rather than deleted
// when it has been acked.
//
// # Ownership
//
// mu guards the list of segments and everything an append changes. One reader
// at a time follows the log. One goroutine, started by Open and joined by Close,
// syncs and removes segments that have been acked for a while.
package spool
