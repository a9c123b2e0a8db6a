package main_test

import (
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// stage is one FROM of a Dockerfile and the instructions behind it.
type stage struct {
	from, name   string
	instructions [][2]string // keyword, rest
}

// readDockerfile splits a Dockerfile into stages. It knows as much of the syntax as ours needs.
func readDockerfile() ([]stage, error) {
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		return nil, err
	}
	var stages []stage
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		keyword, rest, _ := strings.Cut(line, " ")
		if keyword == "FROM" {
			from, name, _ := strings.Cut(rest, " AS ")
			stages = append(stages, stage{from: from, name: name})
			continue
		}
		if len(stages) == 0 {
			return nil, fmt.Errorf("%q stands before the first FROM", line)
		}
		last := &stages[len(stages)-1]
		last.instructions = append(last.instructions, [2]string{keyword, rest})
	}
	return stages, nil
}

// programs are those of the image.
var programs = []string{"bridge", "bridgectl", "consumer"}

// dockerBuild is the Dockerfile's go build, for the same programs in the folder dir.
func dockerBuild(dir string) (*exec.Cmd, error) {
	stages, err := readDockerfile()
	if err != nil {
		return nil, err
	}
	for _, in := range stages[0].instructions {
		if in[0] != "RUN" || !strings.Contains(in[1], "go build") {
			continue
		}
		command := strings.ReplaceAll(in[1], "/out/", dir+"/")
		build := exec.Command("sh", "-c", command)
		build.Dir = root
		build.Env = append(os.Environ(), // git looks into a checkout of another user's too
			"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*")
		return build, nil
	}
	return nil, errors.New("the Dockerfile's first stage has no go build")
}

// Docker cannot run everywhere the tests do: they build and run the very binary
// of the image (see TestMain), and look at the rest of the file here.
func TestDockerfile(t *testing.T) {
	stages, err := readDockerfile()
	if err != nil {
		t.Fatal(err)
	}
	if len(stages) != 2 || stages[0].name != "build" || !strings.HasPrefix(stages[0].from, "golang:1.26") {
		t.Fatalf("stages %+v: want a build stage on golang:1.26 and a final one", stages)
	}
	final := stages[1]
	if final.from != "scratch" {
		t.Errorf("the image is built on %s, want scratch", final.from)
	}
	for _, want := range [][2]string{
		{"COPY", "--from=build /out/bridge /out/bridgectl /out/consumer /"},
		{"COPY", "--from=build --chown=65532:65532 /out/data /data"},
		{"COPY", "--from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/"},
		{"USER", "65532:65532"},
		{"WORKDIR", "/data"},
		{"ENV", "BRIDGE_DATA_DIR=/data BRIDGE_LISTEN=:8080 BRIDGE_ADMIN_LISTEN=:8081 CONSUMER_ADMIN_LISTEN=:8081"},
		{"VOLUME", "/data"},
		{"EXPOSE", "8080 8081"},
		{"HEALTHCHECK", `--interval=10s --timeout=3s --start-period=10s CMD ["/bridge", "-health"]`},
		{"ENTRYPOINT", `["/bridge"]`},
	} {
		if !slices.Contains(final.instructions, want) {
			t.Errorf("the final stage lacks %s %s", want[0], want[1])
		}
	}
}

// Each program of the image runs without a dynamic linker, which scratch has not, explains
// itself, and tells what the go command wrote into it.
func TestPrograms(t *testing.T) {
	for _, name := range programs {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(filepath.Dir(binary), name)
			file, err := elf.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			for _, prog := range file.Progs {
				if prog.Type == elf.PT_INTERP {
					t.Error("it is not static: it asks for a dynamic linker")
				}
			}
			say := func(arg string) string {
				out, err := exec.CommandContext(t.Context(), path, arg).CombinedOutput()
				if err != nil {
					t.Errorf("%s %s: %v", name, arg, err)
				}
				return string(out)
			}
			if out := say("-h"); !strings.Contains(strings.ToLower(out), "usage") || !strings.Contains(out, name) {
				t.Errorf("-h says %q", out)
			}
			built, err := buildinfo.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			wants := []string{name + " ", "built with " + built.GoVersion + "\n"}
			for _, s := range built.Settings {
				if s.Key == "vcs.revision" || s.Key == "vcs.time" {
					wants = append(wants, s.Value)
				}
			}
			if _, err := os.Stat(filepath.Join(root, ".git")); err == nil && len(wants) != 4 {
				t.Errorf("it knows no commit: %+v", built.Settings)
			}
			for _, want := range wants {
				if out := say("version"); !strings.Contains(out, want) {
					t.Errorf("version lacks %q: %s", want, out)
				}
			}
		})
	}
	if code, out := run(t, []string{"-version"}); code != 0 || !strings.HasPrefix(out, "bridge ") {
		t.Errorf("-version: exit code %d: %s", code, out)
	}
}

// What the image sets must start, given a secret, and refuse to without one.
func TestImageEnvironment(t *testing.T) {
	image := []string{"BRIDGE_DATA_DIR=" + t.TempDir(), "BRIDGE_LISTEN=0.0.0.0:0", "BRIDGE_ADMIN_LISTEN=0.0.0.0:0"}
	code, out := run(t, nil, image...)
	if code != 1 || !strings.Contains(out, "BRIDGE_HOOK_SECRETS") {
		t.Errorf("without a secret: exit code %d\n%s", code, out)
	}
	p := start(t, t.TempDir(), "BRIDGE_LISTEN=0.0.0.0:0", "BRIDGE_ADMIN_LISTEN=0.0.0.0:0", "BRIDGE_HOOK_SECRETS=s3cret-of-the-image")
	p.stop()
}
