package main

import (
	"encoding/binary"
	"hash/crc32"
	"path/filepath"
	"strings"
	"testing"
)

// snapshotFile is a bridge's snapshot, as rulestore describes it, of documents by key and
// text in turns.
func snapshotFile(documents ...string) string {
	le := binary.LittleEndian
	text := func(b []byte, s string) []byte { return append(le.AppendUint32(b, uint32(len(s))), s...) }
	b := make([]byte, 3*8) // times and revision
	b = le.AppendUint32(b, uint32(len(documents)/2))
	b = text(b, "rules")
	for i, s := range documents {
		if i%2 == 0 {
			b = le.AppendUint64(b, 7)
		}
		b = text(b, s)
	}
	head := le.AppendUint32([]byte("bbrules\n"), 1)
	head = le.AppendUint32(head, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return string(append(head, b...))
}

// A document that this version refuses, for a later one wrote it, does not go unnoticed.
func TestExportOfASnapshotTellsWhatItLeavesOut(t *testing.T) {
	const good, later = `{"rules":[{"effect":"allow","name":["cam"]}]}`, `{"rules":[{"effect":"allow","of_tomorrow":true}]}`
	path := filepath.Join(t.TempDir(), "rules.snapshot")
	writeFile(t, path, snapshotFile("team", good, "newer", later, "acme", good))
	list, refused, err := toExport(t.Context(), nil, path)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[0].key != "acme" || list[1].key != "team" || string(list[1].data) != good {
		t.Errorf("%d documents: %+v", len(list), list)
	}
	if refused == nil || !strings.HasPrefix(refused.Error(), "not exported: newer, revision 7, is refused: ") {
		t.Errorf("refused: %v", refused)
	}
}
