package bridge

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

const lockName = "lock"

// lockDir takes the data folder for this process, and makes it if need be. The
// kernel lets go of the lock when the process ends, however it ends.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w; set BRIDGE_DATA_DIR to one that may be written", err)
	}
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w; set BRIDGE_DATA_DIR to one that may be written", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = fmt.Errorf("data folder %s is used by another bridge%s; stop that one or set BRIDGE_DATA_DIR", dir, holder(f))
		}
		return nil, errors.Join(err, f.Close())
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("data folder: %w", err), f.Close())
	}
	return f, nil
}

// holder says which process has the lock, as far as its file tells.
func holder(f *os.File) string {
	var pid [20]byte
	n, err := f.ReadAt(pid[:], 0)
	if n == 0 && err != nil {
		return ""
	}
	return fmt.Sprintf(" (process %s)", pid[:n])
}
