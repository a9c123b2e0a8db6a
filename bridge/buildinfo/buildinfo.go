// Package buildinfo tells what a program was built from, as the go command wrote it into the binary.
package buildinfo

import (
	"cmp"
	"fmt"
	"runtime/debug"
	"strings"
)

// Info is what a program was built from. What the binary does not say is empty: one that was built
// outside of a git checkout knows no revision.
type Info struct {
	Version  string `json:"version"`  // of the module, as v1.2.3, or v0.0.0-20261124001024-1683c5692bf2+dirty; "devel" when unknown
	Revision string `json:"revision"` // the commit, in full
	Time     string `json:"time"`     // of the commit, RFC 3339
	Modified bool   `json:"modified"` // the checkout had changes beside the commit
	Go       string `json:"go"`       // the version of Go, as go1.26.8
}

// Read returns the Info of the program that runs.
func Read() Info {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		build = &debug.BuildInfo{}
	}
	return of(build)
}

func of(build *debug.BuildInfo) Info {
	info := Info{Go: build.GoVersion}
	for _, s := range build.Settings {
		switch s.Key {
		case "vcs.revision":
			info.Revision = s.Value
		case "vcs.time":
			info.Time = s.Value
		case "vcs.modified":
			info.Modified = s.Value == "true"
		}
	}
	version := build.Main.Version
	if version == "(devel)" {
		version = ""
	}
	info.Version = cmp.Or(version, info.Revision, "devel")
	return info
}

// Text is Info as a person reads it, in lines.
func (i Info) Text(program string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", program, i.Version)
	if i.Revision != "" {
		state := "as committed"
		if i.Modified {
			state = "with changes that were not committed"
		}
		fmt.Fprintf(&b, "commit %s of %s, %s\n", i.Revision, i.Time, state)
	}
	fmt.Fprintf(&b, "built with %s\n", i.Go)
	return b.String()
}
