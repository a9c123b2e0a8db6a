package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"bintubridge/bridge/forward"
)

// letterBox is a dead-letter file that a running bridge may append to at any
// time. It is never rewritten: take moves it away under the name path.redriving,
// so that the bridge begins a new one, and appends what stays to that.
type letterBox struct {
	path   string
	wanted bool // somebody named it, so it has to be there
}

func (b *letterBox) taken() string    { return b.path + ".redriving" }
func (b *letterBox) redriven() string { return b.path + ".redriven" }

// empty says whether there is nothing to take. What is no file is an error, and
// stays where it is.
func (b *letterBox) empty() (bool, error) {
	there := false
	for _, path := range []string{b.path, b.taken()} {
		info, err := os.Stat(path)
		if err == nil && !info.Mode().IsRegular() {
			return false, fmt.Errorf("dead letters: %s is no file", path)
		}
		there = there || err == nil
		if err == nil && info.Size() > 0 {
			return false, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("dead letters: %w", err)
		}
	}
	if b.wanted && !there {
		return false, fmt.Errorf("dead letters: there is no file %s", b.path)
	}
	return true, nil
}

// read calls each for every line, and leaves all as it is.
func (b *letterBox) read(each func(line []byte)) error {
	for _, path := range []string{b.taken(), b.path} {
		content, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("dead letters: %w", err)
		}
		for line := range bytes.Lines(content) {
			if line = bytes.TrimSpace(line); len(line) > 0 {
				each(line)
			}
		}
	}
	return nil
}

// take calls each for every line. Those that went through move to the redriven
// file, what each returns for the others goes back. A crash in between leaves the
// letters in the taken file, and the next take begins with them.
func (b *letterBox) take(each func(line []byte) (stays []byte, through bool)) error {
	archive, err := b.lock()
	if err != nil {
		return err
	}
	err = b.takeLocked(archive, each)
	if err = errors.Join(err, archive.Close()); err != nil {
		return fmt.Errorf("dead letters: %w", err)
	}
	return nil
}

// lock opens the redriven file, whose lock keeps two redrives apart.
func (b *letterBox) lock() (*os.File, error) {
	f, err := os.OpenFile(b.redriven(), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("dead letters: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = fmt.Errorf("another redrive works on %s; wait until it has ended", b.path)
		}
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (b *letterBox) takeLocked(archive *os.File, each func([]byte) ([]byte, bool)) error {
	if err := b.putBackTaken(); err != nil {
		return err
	}
	if err := os.Rename(b.path, b.taken()); err != nil {
		return err
	}
	f, err := os.Open(b.taken())
	if err != nil {
		return err
	}
	defer f.Close()
	var through, stay bytes.Buffer
	var rest []byte // a line that has no end yet
	for {
		// Once more after the last line: the bridge may have been about to write
		// to the file when it was moved. What it writes later it writes again, to
		// the new file.
		more, err := io.ReadAll(f)
		if err != nil {
			return err
		}
		if len(more) == 0 {
			break
		}
		rest = sortLines(append(rest, more...), each, &through, &stay)
	}
	if len(rest) > 0 { // torn by a crash of the bridge, or without its last line end
		sortLines(append(rest, '\n'), each, &through, &stay)
	}
	if through.Len() > 0 {
		if err := forward.AppendLines(archive, through.Bytes()); err != nil {
			return err
		}
	}
	if err := b.putBack(stay.Bytes()); err != nil {
		return err
	}
	return os.Remove(b.taken())
}

// sortLines shares the whole lines of data out, and returns what is left.
func sortLines(data []byte, each func([]byte) ([]byte, bool), through, stay *bytes.Buffer) (rest []byte) {
	for {
		line, after, ok := bytes.Cut(data, []byte("\n"))
		if !ok {
			return data
		}
		data = after
		if len(line) == 0 {
			continue
		}
		if stays, ok := each(line); ok {
			through.Write(append(bytes.Clone(line), '\n'))
		} else {
			stay.Write(append(bytes.Clone(stays), '\n'))
		}
	}
}

// putBackTaken takes in what a redrive that was killed has left. Lines of it that went
// through are sent once more, under the same ids.
func (b *letterBox) putBackTaken() error {
	content, err := os.ReadFile(b.taken())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(content) > 0 && content[len(content)-1] != '\n' {
		content = append(content, '\n')
	}
	if err := b.putBack(content); err != nil {
		return err
	}
	return os.Remove(b.taken())
}

// putBack appends lines to the letter box as the bridge does. The file may be new:
// the bridge has to be able to write to it, and its name has to survive.
func (b *letterBox) putBack(lines []byte) error {
	if len(lines) == 0 {
		return nil
	}
	f, err := os.OpenFile(b.path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err = giveToOwner(f, filepath.Dir(b.path)); err == nil {
		err = forward.AppendLines(f, lines)
	}
	return errors.Join(err, f.Close())
}
