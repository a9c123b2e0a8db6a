package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
)

// ruleChange is what a new version of a document does to one rule.
type ruleChange struct {
	Rule   string        `json:"rule"`
	Change string        `json:"change"` // added, removed or changed
	Fields []fieldChange `json:"fields,omitempty"`
}

// fieldChange is one field of a changed rule. What is absent is empty.
type fieldChange struct {
	Field string          `json:"field"`
	Old   json.RawMessage `json:"old,omitempty"`
	New   json.RawMessage `json:"new,omitempty"`
}

// ruleFields are the fields of each rule of a document, by its id or position.
type ruleFields struct {
	order []string
	rules map[string]map[string]json.RawMessage
}

// readRules reads a document as far as it is one.
func readRules(data []byte) (ruleFields, error) {
	var doc struct {
		Rules []map[string]json.RawMessage `json:"rules"`
	}
	read := ruleFields{rules: map[string]map[string]json.RawMessage{}}
	if len(data) == 0 {
		return read, nil
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return read, fmt.Errorf("read the rules: %w", err)
	}
	for i, fields := range doc.Rules {
		name := "#" + strconv.Itoa(i+1)
		var id string
		if json.Unmarshal(fields["id"], &id) == nil && id != "" {
			name = id
		}
		read.order = append(read.order, name)
		read.rules[name] = fields
	}
	return read, nil
}

// diffRules says how the rules of two documents differ. Old may be no document,
// or an invalid one.
func diffRules(before, after []byte) ([]ruleChange, error) {
	old, err := readRules(before)
	if err != nil {
		old, _ = readRules(nil) // it never compiled: all rules are new
	}
	now, err := readRules(after)
	if err != nil {
		return nil, err
	}
	changes := []ruleChange{}
	for _, name := range old.order {
		if _, ok := now.rules[name]; !ok {
			changes = append(changes, ruleChange{Rule: name, Change: "removed"})
		}
	}
	for _, name := range now.order {
		was, ok := old.rules[name]
		if !ok {
			changes = append(changes, ruleChange{Rule: name, Change: "added"})
		} else if fields := diffFields(was, now.rules[name]); len(fields) > 0 {
			changes = append(changes, ruleChange{Rule: name, Change: "changed", Fields: fields})
		}
	}
	return changes, nil
}

func diffFields(before, after map[string]json.RawMessage) []fieldChange {
	names := maps.Clone(before)
	maps.Copy(names, after)
	var changes []fieldChange
	for _, name := range slices.Sorted(maps.Keys(names)) {
		old, now := compact(before[name]), compact(after[name])
		if !bytes.Equal(old, now) {
			changes = append(changes, fieldChange{Field: name, Old: old, New: now})
		}
	}
	return changes
}

func compact(raw json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if len(raw) == 0 || json.Compact(&b, raw) != nil {
		return raw
	}
	return b.Bytes()
}

func printChanges(w io.Writer, changes []ruleChange) {
	for _, c := range changes {
		mark := map[string]string{"added": "+", "removed": "-", "changed": "~"}[c.Change]
		fmt.Fprintf(w, "  %s %s\n", mark, shown(c.Rule))
		for _, f := range c.Fields {
			fmt.Fprintf(w, "      %s: %s -> %s\n", shown(f.Field), shownJSON(f.Old), shownJSON(f.New))
		}
	}
}

// shownJSON shows a value in its own spelling.
func shownJSON(raw json.RawMessage) string {
	if len(raw) == 0 {
		return "none"
	}
	return cut(clean(string(raw)))
}
