package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
)

// disk is what the spool asks of a file system. Tests put one below it that
// fails, tears and forgets; everything the spool does to a disk goes through here.
type disk interface {
	MakeDir(dir string) error                     // and its parents; fine when it is there
	List(dir string) ([]string, error)            // names, sorted
	Open(path string, flag int) (diskFile, error) // flags of the os package; only regular files
	Rename(from, to string) error                 // replaces to
	Link(path, also string) error                 // another name for the same file
	Remove(path string) error
	SyncDir(dir string) error // makes the names in dir survive a power cut
}

// diskFile is one open file of a disk. An error of Sync is final for what was
// written before: the kernel may have dropped it, and a second Sync proves nothing.
type diskFile interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	Truncate(size int64) error
	Allocate(size int64) error // reserves room, which reads as zeros; no-op where that cannot be done
	Sync() error               // the bytes, and the size when they need it
}

var errNotRegular = errors.New("not a regular file")

// osDisk is the machine's own file system.
type osDisk struct{}

func (osDisk) MakeDir(dir string) error     { return os.MkdirAll(dir, 0o700) }
func (osDisk) Rename(from, to string) error { return os.Rename(from, to) }
func (osDisk) Link(path, also string) error { return os.Link(path, also) }
func (osDisk) Remove(path string) error     { return os.Remove(path) }

func (osDisk) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

// Open looks first: to open a pipe may take forever, and to read a device too.
func (osDisk) Open(path string, flag int) (diskFile, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, &os.PathError{Op: "open", Path: path, Err: errNotRegular}
	}
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osDisk) SyncDir(dir string) error { return syncDir(dir) }

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// osFile is an *os.File; Sync and Allocate differ by system.
type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// passing tells trouble of a disk that may go away by itself from a folder that
// somebody has to mend.
func passing(err error) bool {
	return exhausted(err) || isOneOf(err, syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EROFS)
}

// exhausted says that process or machine were short of something. It tells nothing
// of the file, which reads as before when there is enough again.
func exhausted(err error) bool {
	return isOneOf(err, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EINTR, syscall.EAGAIN)
}

func noRoom(err error) bool { return isOneOf(err, syscall.ENOSPC, syscall.EDQUOT) }

func isOneOf(err error, errnos ...syscall.Errno) bool {
	return slices.ContainsFunc(errnos, func(errno syscall.Errno) bool { return errors.Is(err, errno) })
}
