package forward

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
)

// deadLetter is one line of the dead-letter file: an event that NATS will never
// take, with all that is needed to look at it and to send it again.
type deadLetter struct {
	At     time.Time `json:"at"`
	ID     string    `json:"id"`
	Reason string    `json:"reason"`

	Subject string          `json:"subject,omitempty"`
	Header  nats.Header     `json:"header,omitempty"`
	Event   json.RawMessage `json:"event,omitempty"`
	Record  []byte          `json:"record,omitempty"` // instead, when the spool's record is unreadable; base64
}

func letterOf(msg *nats.Msg) deadLetter {
	return deadLetter{Subject: msg.Subject, Header: msg.Header, Event: msg.Data}
}

// maxDeadBytes bounds the dead-letter file: publishers choose how large events are.
const maxDeadBytes = 256 << 20

// errDeadFull says that a letter is lost, because the file has no room for it.
var errDeadFull = errors.New("the dead-letter file is full")

// graveyard is the dead-letter file. It is opened for each letter: a redrive moves it away.
type graveyard struct {
	path string
	max  int64 // bytes
}

// add appends a letter and makes it durable, so that the spool may let go of the
// record. It returns errDeadFull when there is no room.
func (g *graveyard) add(letter deadLetter) error {
	line, err := json.Marshal(letter)
	if err != nil {
		return fmt.Errorf("dead letter: %w", err)
	}
	line = append(line, '\n')
	for there := false; !there; {
		if there, err = g.write(line); err != nil {
			return fmt.Errorf("dead letter: %w", err)
		}
	}
	return nil
}

// write appends line to the file, and reports whether that is still there. A redrive that
// moved it away meanwhile may have read it to its end before, and remove it.
func (g *graveyard) write(line []byte) (there bool, err error) {
	f, err := os.OpenFile(g.path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if g.size()+int64(len(line)) > g.max {
		return false, errDeadFull
	}
	if err := AppendLines(f, line); err != nil {
		return false, err
	}
	written, err := f.Stat()
	if err != nil {
		return false, err
	}
	now, err := os.Stat(g.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(written, now), err
}

// size is that of the file, 0 when there is none.
func (g *graveyard) size() int64 {
	info, err := os.Stat(g.path)
	if err != nil {
		return 0 // add tells what is wrong with it
	}
	return info.Size()
}

// AppendLines appends whole lines to a dead-letter file, open for reading and appending,
// and makes them and the file's name durable. They begin on a line of their own, whatever a
// crash has left before them.
func AppendLines(f *os.File, lines []byte) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if end := info.Size() - 1; end >= 0 {
		last := []byte{0}
		if _, err := f.ReadAt(last, end); err != nil {
			return err
		}
		if last[0] != '\n' {
			lines = append([]byte{'\n'}, lines...)
		}
	}
	if _, err := f.Write(lines); err != nil {
		return err
	}
	if err := f.Sync(); err != nil || info.Size() > 0 {
		return err
	}
	dir, err := os.Open(filepath.Dir(f.Name()))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
