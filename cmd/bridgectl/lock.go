package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// lockSpool takes the lock of the data folder that the spool in dir belongs to,
// as the bridge does, so that neither works while the other does. The file
// returned holds it until it is closed. A folder that is not named spool is a copy,
// which no bridge uses: it has no lock, and the file is nil.
func lockSpool(dir string) (*os.File, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("spool folder: %w", err)
	}
	if filepath.Base(dir) != spoolName {
		return nil, nil
	}
	data := filepath.Dir(dir)
	f, err := os.OpenFile(filepath.Join(data, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock of the data folder: %w; run this as the bridge's user", err)
	}
	if err := takeLock(f, data); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func takeLock(f *os.File, data string) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("the data folder %s is used by a bridge%s; stop it first, or look with --dry-run", data, holder(f))
	}
	if err == nil {
		err = giveToOwner(f, data)
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0) // a bridge that is started now names it
	}
	if err != nil {
		return fmt.Errorf("lock of the data folder: %w", err)
	}
	return nil
}

// giveToOwner makes f belong to the owner of the data folder: whoever repairs as
// root must not leave a lock that the bridge's user cannot open.
func giveToOwner(f *os.File, data string) error {
	info, err := os.Stat(data)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(owner.Uid) == os.Geteuid() || os.Geteuid() != 0 {
		return nil
	}
	return f.Chown(int(owner.Uid), int(owner.Gid))
}

// holder says which process has the lock, as far as its file tells.
func holder(f *os.File) string {
	var pid [20]byte
	n, _ := f.ReadAt(pid[:], 0) // only a hint
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (process %s)", strings.TrimSpace(string(pid[:n])))
}
