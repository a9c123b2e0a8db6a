package spool

// probeSize is more than most events take, in bytes.
const probeSize = 4 << 10

// probe finds out whether the log takes records again after one was refused, so that
// Stats tells it before somebody risks another. What it writes are zeros behind the last
// record, which are the log's end as room that was reserved is. Only the janitor calls it.
func (s *Spool) probe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trouble == nil || s.closed {
		return
	}
	if s.bytes+probeSize > s.opts.MaxBytes {
		s.releaseLocked(s.opts.MaxBytes - probeSize)
	}
	if s.bytes+probeSize > s.opts.MaxBytes {
		return
	}
	err := s.makeRoomLocked(probeSize)
	if err == nil {
		_, err = s.active.file.WriteAt(make([]byte, probeSize), s.active.size.Load())
	}
	s.trouble = err
}
