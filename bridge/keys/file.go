package keys

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"bintubridge/bridge/decide"
)

const (
	lookEvery = time.Second
	maxFile   = 1 << 20 // bytes

	// tooWide are the permissions that are warned of. A group may read, as where
	// an orchestrator mounts secrets.
	tooWide fs.FileMode = 0o027
)

// File is a keys file that is followed. It is safe for concurrent use.
type File struct {
	path    string
	log     *slog.Logger
	current atomic.Pointer[decide.Keys]
	status  atomic.Pointer[Status]

	stop    chan struct{}
	closing sync.Once
	done    sync.WaitGroup

	// Owned by Open, and from then on by the goroutine that follows.
	tried [sha256.Size]byte // of the content last looked at, good or not
	told  []string          // missing keys that were logged
}

// Status is what an operator wants to know of the keys.
type Status struct {
	File     string    `json:"file,omitempty"`    // "": none is configured
	Keys     int       `json:"keys"`              // in force
	Loaded   time.Time `json:"loaded,omitzero"`   // when they were read
	Failures uint64    `json:"failures"`          // changes of the file that could not be used
	Err      string    `json:"error,omitempty"`   // why the file as it is now is not in force
	Warning  string    `json:"warning,omitempty"` // about its permissions
	Missing  []string  `json:"missing,omitempty"` // keys rules wanted for a request and that are not there; at most 16
}

// Open reads the file and follows it until Close. Without a path there are no
// keys.
func Open(path string, log *slog.Logger) (*File, error) {
	f := &File{path: path, log: log, stop: make(chan struct{})}
	f.current.Store(decide.NewKeys(nil))
	f.status.Store(&Status{File: path})
	if path != "" {
		if err := f.load(); err != nil {
			return nil, fmt.Errorf("BRIDGE_KEYS_FILE: %w", err)
		}
	}
	f.done.Go(f.follow)
	return f, nil
}

// Current returns the keys in force, never nil.
func (f *File) Current() *decide.Keys { return f.current.Load() }

// Status returns the state of the keys now.
func (f *File) Status() Status {
	s := *f.status.Load()
	s.Missing = f.Current().Missing()
	return s
}

// Close ends following and waits for it. The keys stay as they are.
func (f *File) Close() {
	f.closing.Do(func() { close(f.stop) })
	f.done.Wait()
}

// follow looks at the file every second. It is small, so it is read each time:
// its times do not tell every change.
func (f *File) follow() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-f.stop:
			return
		case <-tick.C:
			if f.path != "" {
				f.look()
			}
			f.tellMissing()
		}
	}
}

// look loads the file, and tells once of each thing that keeps it from being used.
func (f *File) look() {
	err := f.load()
	s := *f.status.Load()
	if err == nil || err.Error() == s.Err {
		return
	}
	s.Err = err.Error()
	s.Failures++
	f.status.Store(&s)
	f.log.Error("keys: the file is not used as it is, the last good keys stay in force", "error", err)
}

// load puts the file's keys to use, unless it has been looked at as it is.
func (f *File) load() error {
	data, mode, err := readFile(f.path)
	if err != nil {
		f.tried = [sha256.Size]byte{} // so that its coming back is a change
		return err
	}
	f.warn(mode)
	sum := sha256.Sum256(data)
	if sum == f.tried {
		return nil
	}
	f.tried = sum
	keys, err := Parse(data)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	s := *f.status.Load()
	s.Keys, s.Loaded, s.Err = keys.Len(), time.Now().UTC(), ""
	f.current.Store(keys)
	f.status.Store(&s)
	f.told = nil
	f.log.Info("keys: loaded", "file", f.path, "keys", keys.Len())
	return nil
}

// warn tells of a file that others can read, when that is new.
func (f *File) warn(mode fs.FileMode) {
	before := f.status.Load()
	s := *before
	s.Warning = ""
	if mode.Perm()&tooWide != 0 {
		s.Warning = fmt.Sprintf("%s has the permissions %#o: others can read or change it; chmod 600 mends that", f.path, mode.Perm())
	}
	if s.Warning == before.Warning {
		return
	}
	f.status.Store(&s)
	if s.Warning != "" {
		f.log.Warn("keys: " + s.Warning)
	}
}

// tellMissing logs the names of keys that rules wanted in vain, once for each set
// of keys.
func (f *File) tellMissing() {
	for _, name := range f.Current().Missing() {
		if !slices.Contains(f.told, name) {
			f.told = append(f.told, name)
			f.log.Warn("keys: a rule names a key that is not there, so its token condition holds for nobody; add it to BRIDGE_KEYS_FILE or mend the rule", "key", name)
		}
	}
}

func readFile(path string) ([]byte, fs.FileMode, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // what is a pipe must not wait for who writes it
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s: want a regular file, it is %s", path, info.Mode())
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s: over %d bytes, which is no keys file", path, maxFile)
	}
	return data, info.Mode(), err
}
