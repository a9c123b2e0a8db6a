package spool

import (
	"errors"
	"os"
	"syscall"
)

// Sync is fdatasync(2): times of a file need not survive, and without them a
// sync inside the reserved room is one write to the disk less.
func (f osFile) Sync() error {
	return f.control("fdatasync", syscall.Fdatasync)
}

// Allocate is fallocate(2). File systems without it go on without a reservation.
func (f osFile) Allocate(size int64) error {
	err := f.control("fallocate", func(fd int) error { return syscall.Fallocate(fd, 0, 0, size) })
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return nil
	}
	return err
}

func (f osFile) control(name string, call func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	ctlErr := raw.Control(func(fd uintptr) {
		err = call(int(fd))
		for errors.Is(err, syscall.EINTR) {
			err = call(int(fd))
		}
	})
	if err = errors.Join(err, ctlErr); err != nil {
		return &os.PathError{Op: name, Path: f.Name(), Err: err}
	}
	return nil
}
