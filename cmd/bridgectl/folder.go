package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	defaultData = "bridge-data" // of BRIDGE_DATA_DIR
	spoolName   = "spool"       // folder below it
)

// dataDir is the bridge's data folder by the environment.
func dataDir(getenv func(string) string) string {
	if dir := getenv("BRIDGE_DATA_DIR"); dir != "" {
		return dir
	}
	return defaultData
}

// spoolDir is the folder of the segments: the argument, the spool in it when
// it is a data folder, or the one the environment says.
func spoolDir(args []string, getenv func(string) string) (string, error) {
	dir, hint := filepath.Join(dataDir(getenv), spoolName), "set BRIDGE_DATA_DIR, or name the spool's folder"
	if len(args) > 0 {
		dir, hint = args[0], "name the bridge's data folder, or the spool in it"
		if info, err := os.Stat(filepath.Join(dir, spoolName)); err == nil && info.IsDir() {
			dir = filepath.Join(dir, spoolName)
		}
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("there is no folder %s; %s", dir, hint)
	case err != nil:
		return "", fmt.Errorf("spool folder: %w; %s", err, hint)
	case !info.IsDir():
		return "", fmt.Errorf("%s is no folder; %s", dir, hint)
	}
	return dir, nil
}
