package decide

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"bintubridge/subjects"
)

// A zone is read when its rule is compiled, and not while requests wait: the file of
// this one is gone by then.
func TestZonesAreReadOnce(t *testing.T) {
	if os.Getenv("DECIDE_TEST_ZONE") != "" {
		decideInAZone(t, os.Getenv("ZONEINFO"))
		return
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Somewhere"), zoneFile(5*3600), 0o600); err != nil {
		t.Fatal(err)
	}
	// The folder of the zones is read from the environment once a process.
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestZonesAreReadOnce$", "-test.v")
	child.Env = append(os.Environ(), "DECIDE_TEST_ZONE=1", "ZONEINFO="+dir)
	if out, err := child.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func decideInAZone(t *testing.T, dir string) {
	t.Helper()
	table := rulesTable(t, whenRule(t, "r", "allow", `now.getHours('Somewhere') == 17`))
	if err := os.Remove(filepath.Join(dir, "Somewhere")); err != nil {
		t.Fatal(err)
	}
	if got := table.Decide(&Input{Call: subjects.Publish, Name: "cam-1"}, noon); got.Rule != "d/r" {
		t.Errorf("%+v", got)
	}
}

// zoneFile is a zone that is always ahead of UTC, by seconds: RFC 8536, version 1.
func zoneFile(ahead int32) []byte {
	file := append([]byte("TZif"), make([]byte, 16)...)
	for _, count := range []uint32{0, 0, 0, 0, 1, 4} { // one type of local time, four letters
		file = binary.BigEndian.AppendUint32(file, count)
	}
	file = binary.BigEndian.AppendUint32(file, uint32(ahead))
	return append(file, "\x00\x00XST\x00"...)
}
