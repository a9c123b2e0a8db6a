package forward

import (
	"context"
	"errors"
	"time"

	"bintubridge/subjects"
)

const (
	// scanLimit bounds how many messages behind the cursor's are looked at for some that
	// were stored without their acks coming back. It is several times what is in flight;
	// what lies further, among messages of other bridges, is left to the duplicate window.
	scanLimit = 32 << 10

	// walkLimit bounds how far back the last survivor is looked for. Beyond it everything
	// that is kept is sent again.
	walkLimit = 256 << 10

	// clockSkew is how far the clocks of bridge and server may be apart.
	clockSkew = time.Minute
)

// verify looks whether the stream still holds the cursor's message, and sets the cursor back
// to the last one that survived when it does not:
//
//	at the cursor's stream sequence        then
//	our id                                 nothing is lost
//	nothing, below the first sequence      nothing is lost: trimmed by age or limits
//	nothing, above the last sequence       lost, or the stream was made anew
//	another id, or a hole                  the same
//
// A stream that is trimmed beyond the cursor and was made anew while the bridge was
// down looks trimmed. Messages found behind the cursor are stored and need not be sent
// again, however long ago that was.
func (f *Forwarder) verify(ctx context.Context) error {
	seq, spoolID, at := f.log.Cursor()
	f.stream.ownID, f.stream.ownSeq = spoolID, at
	f.stream.connection = f.connection()
	f.counters.reconnects.Store(f.stream.connection - 1)
	if f.stream.blindOn == f.stream.connection {
		f.stream.stored = nil // nobody knows
		return nil            // asking costs a time-out
	}
	info, err := f.info(ctx)
	if err == nil {
		f.learn(info.Config.AllowBatchPublish, info.Config.MaxMsgSize)
		anew := !f.stream.created.IsZero() && !f.stream.created.Equal(info.Created)
		err = f.compare(ctx, seq, at, info.State.FirstSeq, info.State.LastSeq, anew)
	}
	if errors.Is(err, errDenied) {
		if f.stream.blindOn == 0 {
			f.logger.Warn("forward: may not look whether the stream lost acked events; goes on without", "error", err)
		}
		f.stream.stored, f.stream.blindOn = nil, f.stream.connection
		return nil
	}
	if err == nil {
		f.stream.created, f.stream.looked, f.stream.blindOn = info.Created, true, 0
	}
	return err
}

// learn chooses the way to publish.
func (f *Forwarder) learn(batches bool, maxSize int32) {
	f.stream.batches = batches && time.Now().After(f.batches.rests)
	f.stream.maxSize = maxSize
	f.counters.batching.Store(f.stream.batches)
}

// compare is verify with the state of the stream at hand.
func (f *Forwarder) compare(ctx context.Context, seq, at, first, last uint64, anew bool) error {
	switch {
	case at == 0: // nothing up to the cursor was there: nothing to lose
		if !f.mayHoldMore(seq) && f.stream.stored == nil {
			return nil
		}
		return f.walkBack(ctx, 0, first, last)
	case at < first && !anew:
		return f.scan(ctx, seq, first, last)
	case at >= first && at <= last:
		got, err := f.fetch(ctx, at, at)
		if err != nil {
			return err
		}
		id, n, err := subjects.ParseID(got[0].id)
		if err == nil && id == f.stream.ownID && n <= seq {
			return f.scan(ctx, seq, at+1, last)
		}
	}
	if at == f.stream.gone {
		return nil
	}
	return f.walkBack(ctx, seq, first, last)
}

// mayHoldMore reports whether something of ours behind seq may have reached the stream
// since it was last looked at.
func (f *Forwarder) mayHoldMore(seq uint64) bool { return !f.stream.looked || f.sent > seq }

// scan notes what the stream holds behind the cursor, when something may have been in flight.
func (f *Forwarder) scan(ctx context.Context, seq, first, last uint64) error {
	if !f.mayHoldMore(seq) {
		return nil // what was noted before holds: the cursor's message is still there
	}
	f.stream.stored = nil
	last = min(last, first+scanLimit-1)
	for ; first <= last; first += fetchBlock {
		block, err := f.fetch(ctx, first, min(last, first+fetchBlock-1))
		if err != nil {
			return err
		}
		for _, m := range block {
			f.noteStored(m, seq)
		}
	}
	return nil
}

// noteStored remembers m when its number says that it may be one of ours behind seq.
func (f *Forwarder) noteStored(m found, seq uint64) {
	if _, n, err := subjects.ParseID(m.id); err != nil || n <= seq {
		return
	}
	if f.stream.stored == nil {
		f.stream.stored = map[string]uint64{}
	}
	f.stream.stored[m.id] = m.seq
}

// walkBack looks from the end of the stream for the last message up to sequence seq
// of the spool that survived, and sets the cursor back to it. With seq 0 it only notes what
// is stored.
func (f *Forwarder) walkBack(ctx context.Context, seq, first, last uint64) error {
	s := survivorSearch{f: f, cursor: seq, oldest: f.log.Oldest(), foreign: map[string]bool{}}
	f.stream.stored = nil
	if s.oldest > f.log.Tail() {
		return nil // nothing that could be sent again
	}
	if err := s.readStart(); err != nil {
		return err
	}
	first = max(first, 1)
	if last > walkLimit {
		first = max(first, last-walkLimit)
	}
	for !s.done && last >= first {
		from := max(first, last-min(last, fetchBlock-1))
		block, err := f.fetch(ctx, from, last)
		if err != nil {
			return err
		}
		if err := s.look(block); err != nil {
			return err
		}
		last = from - 1
	}
	return f.takeBack(seq, s.best)
}

// survivor is the last message of ours that the stream still has.
type survivor struct {
	seq, at uint64
	spoolID string
}

// takeBack sets the cursor from seq to best, or to the oldest record when there
// is none.
func (f *Forwarder) takeBack(seq uint64, best survivor) error {
	if best.seq == 0 {
		best.seq = f.log.Oldest() - 1
	}
	if best.seq >= seq { // nothing between them that could be sent, now or later
		f.stream.gone = f.stream.ownSeq
		f.stream.ownSeq = best.at
		return nil
	}
	if err := f.log.TakeBack(best.seq, best.spoolID, best.at); err != nil {
		return err
	}
	f.stream.ownID, f.stream.ownSeq = best.spoolID, best.at
	again := f.log.Count(best.seq, seq)
	f.counters.takenBack.Add(again)
	f.logger.Warn("forward: the stream has lost events it had acked; they are sent again",
		"events", again, "first", best.seq+1, "stream_sequence", best.at)
	return nil
}

// survivorSearch tells our messages from those of other bridges, newest first.
type survivorSearch struct {
	f       *Forwarder
	cursor  uint64
	oldest  uint64          // record that is kept
	since   time.Time       // what was stored before is older than that
	foreign map[string]bool // spool ids that are not ours
	best    survivor
	done    bool
}

// readStart takes the time from the oldest record.
func (s *survivorSearch) readStart() error {
	_, _, rec, err := s.read(s.oldest)
	if err != nil || rec == nil {
		return err
	}
	if env, _, err := decodeRecord(rec); err == nil {
		if at, err := time.Parse(time.RFC3339Nano, string(env.Time)); err == nil {
			s.since = at.Add(-clockSkew)
		}
	}
	return nil
}

// read returns the record with that sequence, or the next one after it.
func (s *survivorSearch) read(seq uint64) (uint64, string, []byte, error) {
	if err := s.f.log.Rewind(seq - 1); err != nil {
		return 0, "", nil, err
	}
	return s.f.log.Next()
}

// look goes through a block of the stream from its end.
func (s *survivorSearch) look(block []found) error {
	for i := len(block) - 1; i >= 0; i-- {
		m := block[i]
		if m.seq == 0 {
			continue
		}
		if m.at.Before(s.since) {
			s.done = true
			return nil
		}
		id, n, err := subjects.ParseID(m.id)
		switch {
		case err != nil || s.foreign[id] || n < s.oldest:
		case n > s.cursor:
			s.f.noteStored(m, s.cursor)
		default:
			seq, spoolID, rec, err := s.read(n)
			if err != nil {
				return err
			}
			if rec != nil && seq == n && spoolID == id {
				s.best, s.done = survivor{seq: n, at: m.seq, spoolID: id}, true
				return nil
			}
			s.foreign[id] = true
		}
	}
	return nil
}
