package decide

import (
	"bytes"
	"encoding/json"
	"iter"
	"strconv"
	"strings"
)

// Wants returns the condition that failed as the document has it, nil when the rule is
// not one of this document's or no condition failed.
func (d *Document) Wants(c Considered) json.RawMessage {
	id, ok := strings.CutPrefix(c.Rule, d.key+"/")
	if !ok || c.Failed == NoCondition {
		return nil
	}
	for name, text := range Texts(d.source) {
		if name != id {
			continue
		}
		condition := member(text, string(c.Failed))
		if c.Failed == ConditionCustom {
			condition = member(condition, c.Field)
		}
		return compact(condition)
	}
	return nil
}

// Texts returns the rules of a document that has compiled: the id, or "#" and the position
// from 1, as Decision.Rule has it behind the key, and the text.
func Texts(source string) iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		var document struct {
			Rules []json.RawMessage `json:"rules"`
		}
		if json.Unmarshal([]byte(source), &document) != nil {
			return // it has compiled, so it is JSON
		}
		for i, text := range document.Rules {
			var id string
			if json.Unmarshal(member(text, "id"), &id) != nil || id == "" {
				id = "#" + strconv.Itoa(i+1)
			}
			if !yield(id, text) {
				return
			}
		}
	}
}

func member(object json.RawMessage, name string) json.RawMessage {
	var members map[string]json.RawMessage
	if json.Unmarshal(object, &members) != nil {
		return nil
	}
	return members[name]
}

func compact(text json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, text) != nil {
		return nil
	}
	return b.Bytes()
}
