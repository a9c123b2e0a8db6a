package spool

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

const sector = sectorSize

// memDisk is a disk in memory that knows what a power cut would leave of it, and
// fails when it is told to. Its rules are the strict ones: bytes are durable after
// Sync of their file, names after SyncDir, and what a failed Sync was asked to
// bring to the disk is never brought there by a later one.
type memDisk struct {
	mu      sync.Mutex
	names   map[string]*memFile
	durable []map[string]*memFile // the names on the disk, and then after each change since
	fail    func(op, path string) error
	short   bool // a failing write leaves half of its bytes
	ops     map[string]int
}

// memFile is what a name points to.
type memFile struct {
	data  []byte       // as processes see it
	disk  []byte       // as a power cut would leave it at least
	dirty map[int]bool // sectors of data not on the disk, whose Sync has not failed
	size  bool         // the length is not on the disk
}

func newMemDisk() *memDisk {
	return &memDisk{
		names: map[string]*memFile{}, durable: []map[string]*memFile{{}},
		ops: map[string]int{},
	}
}

// op counts and asks for a fault. d.mu is held.
func (d *memDisk) op(name, path string) error {
	d.ops[name]++
	if d.fail == nil {
		return nil
	}
	if err := d.fail(name, path); err != nil {
		return &fs.PathError{Op: name, Path: path, Err: err}
	}
	return nil
}

func (d *memDisk) setFail(fail func(op, path string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = fail
}

func (d *memDisk) count(op string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ops[op]
}

func (d *memDisk) changed() { d.durable = append(d.durable, maps.Clone(d.names)) }

func (d *memDisk) MakeDir(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.op("mkdir", dir)
}

func (d *memDisk) List(dir string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op("list", dir); err != nil {
		return nil, err
	}
	var names []string
	for path := range d.names {
		names = append(names, filepath.Base(path))
	}
	slices.Sort(names)
	return names, nil
}

func (d *memDisk) Open(path string, flag int) (diskFile, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	op := "open"
	if flag&os.O_CREATE != 0 {
		op = "create"
	}
	if err := d.op(op, path); err != nil {
		return nil, err
	}
	f := d.names[path]
	if f == nil {
		if flag&os.O_CREATE == 0 {
			return nil, &fs.PathError{Op: op, Path: path, Err: fs.ErrNotExist}
		}
		f = &memFile{dirty: map[int]bool{}}
		d.names[path] = f
		d.changed()
	}
	if flag&os.O_TRUNC != 0 {
		f.resize(0)
	}
	return &memHandle{d: d, f: f, path: path}, nil
}

func (d *memDisk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op("rename", from); err != nil {
		return err
	}
	f := d.names[from]
	if f == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	delete(d.names, from)
	d.names[to] = f
	d.changed()
	return nil
}

func (d *memDisk) Link(path, also string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op("link", path); err != nil {
		return err
	}
	if d.names[path] == nil || d.names[also] != nil {
		return &fs.PathError{Op: "link", Path: path, Err: fs.ErrExist}
	}
	d.names[also] = d.names[path]
	d.changed()
	return nil
}

func (d *memDisk) Remove(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op("remove", path); err != nil {
		return err
	}
	if d.names[path] == nil {
		return &fs.PathError{Op: "remove", Path: path, Err: fs.ErrNotExist}
	}
	delete(d.names, path)
	d.changed()
	return nil
}

func (d *memDisk) SyncDir(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op("syncdir", dir); err != nil {
		return err
	}
	d.durable = []map[string]*memFile{maps.Clone(d.names)}
	return nil
}

// killed is the disk after the process was killed: everything written is there.
func (d *memDisk) killed() *memDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.copyOf(d.names, func(f *memFile) []byte { return slices.Clone(f.data) })
}

// powerCut is the disk after a power cut: of the names changed since the last
// SyncDir some come back, in their order; of the sectors not synced any may be there.
func (d *memDisk) powerCut(r *rand.Rand) *memDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.copyOf(d.durable[r.IntN(len(d.durable))], func(f *memFile) []byte {
		left := slices.Clone(f.disk)
		if f.size && r.IntN(2) == 0 {
			left = append(left, make([]byte, max(0, len(f.data)-len(left)))...)[:len(f.data)]
		}
		for at := 0; at < len(left); at += sector {
			if f.dirty[at/sector] && at < len(f.data) && r.IntN(2) == 0 {
				end := min(at+sector, len(left), len(f.data))
				copy(left[at:end], f.data[at:end])
			}
		}
		return left
	})
}

func (d *memDisk) copyOf(names map[string]*memFile, content func(*memFile) []byte) *memDisk {
	c := newMemDisk()
	for path, f := range names {
		data := content(f)
		c.names[path] = &memFile{data: data, disk: slices.Clone(data), dirty: map[int]bool{}}
	}
	c.durable = []map[string]*memFile{maps.Clone(c.names)}
	return c
}

// files returns the names that end in suffix.
func (d *memDisk) files(suffix string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var paths []string
	for path := range d.names {
		if strings.HasSuffix(path, suffix) {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

func (f *memFile) resize(n int) {
	if n <= len(f.data) {
		f.data = f.data[:n:n]
	} else {
		f.data = append(f.data, make([]byte, n-len(f.data))...)
	}
	f.size = true
}

func (f *memFile) write(p []byte, at int) {
	if at+len(p) > len(f.data) {
		f.resize(at + len(p))
	}
	copy(f.data[at:], p)
	for s := at / sector; s*sector < at+len(p); s++ {
		f.dirty[s] = true
	}
}

func (f *memFile) sync() {
	old := f.disk
	f.disk = make([]byte, len(f.data))
	copy(f.disk, old)
	for s := range f.dirty {
		if at := s * sector; at < len(f.data) {
			copy(f.disk[at:min(at+sector, len(f.data))], f.data[at:])
		}
	}
	clear(f.dirty)
	f.size = false
}

// memHandle is an open memFile.
type memHandle struct {
	d      *memDisk
	f      *memFile
	path   string
	closed bool
}

func (h *memHandle) op(name string) error {
	if h.closed {
		return &fs.PathError{Op: name, Path: h.path, Err: fs.ErrClosed}
	}
	return h.d.op(name, h.path)
}

func (h *memHandle) ReadAt(p []byte, off int64) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if err := h.op("read"); err != nil {
		return 0, err
	}
	if off >= int64(len(h.f.data)) {
		return 0, io.EOF
	}
	n := copy(p, h.f.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h *memHandle) WriteAt(p []byte, off int64) (int, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if err := h.op("write"); err != nil {
		n := 0
		if h.d.short {
			n = len(p) / 2
			if errors.Is(err, syscall.EIO) {
				n = len(p) - 1
			}
			h.f.write(p[:n], int(off))
		}
		return n, err
	}
	h.f.write(p, int(off))
	return len(p), nil
}

func (h *memHandle) Size() (int64, error) {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	return int64(len(h.f.data)), h.op("size")
}

func (h *memHandle) Truncate(size int64) error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if err := h.op("truncate"); err != nil {
		return err
	}
	h.f.resize(int(size))
	return nil
}

func (h *memHandle) Allocate(size int64) error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if err := h.op("allocate"); err != nil {
		return err
	}
	h.f.resize(max(int(size), len(h.f.data)))
	return nil
}

func (h *memHandle) Sync() error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if err := h.op("sync"); err != nil {
		clear(h.f.dirty) // the kernel forgets them: clean in memory, not on the disk
		return err
	}
	h.f.sync()
	return nil
}

func (h *memHandle) Close() error {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if h.closed {
		return fs.ErrClosed
	}
	h.closed = true
	return nil
}
