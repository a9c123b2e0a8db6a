package buildinfo

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestOf(t *testing.T) {
	const revision = "1683c5692bf2a2f3b1f9c2bb4c9f8f9f5b4f3f10"
	vcs := func(modified string) []debug.BuildSetting {
		return []debug.BuildSetting{
			{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: revision},
			{Key: "vcs.time", Value: "2026-11-24T00:10:24Z"}, {Key: "vcs.modified", Value: modified},
		}
	}
	for _, tt := range []struct {
		name  string
		build debug.BuildInfo
		want  Info
		text  string
	}{
		{"nothing is known", debug.BuildInfo{}, Info{Version: "devel"}, "p devel\nbuilt with \n"},
		{"without git", debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: "(devel)"}},
			Info{Version: "devel", Go: "go1.26.8"}, "p devel\nbuilt with go1.26.8\n"},
		{"a tag", debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: "v1.2.3"}, Settings: vcs("false")},
			Info{Version: "v1.2.3", Revision: revision, Time: "2026-11-24T00:10:24Z", Go: "go1.26.8"},
			"p v1.2.3\ncommit " + revision + " of 2026-11-24T00:10:24Z, as committed\nbuilt with go1.26.8\n"},
		{"changes, and a module without version", debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: vcs("true")},
			Info{Version: revision, Revision: revision, Time: "2026-11-24T00:10:24Z", Modified: true},
			"p " + revision + "\ncommit " + revision + " of 2026-11-24T00:10:24Z, with changes that were not committed\nbuilt with \n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := of(&tt.build)
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if text := got.Text("p"); text != tt.text {
				t.Errorf("text %q, want %q", text, tt.text)
			}
		})
	}
}

func TestRead(t *testing.T) {
	if got := Read(); got.Go != runtime.Version() || got.Version == "" {
		t.Errorf("got %+v", got)
	}
}
