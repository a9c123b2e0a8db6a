package bridge

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"

	"bintubridge/bridge/decide"
)

const (
	shownRules  = 50  // that a search finds
	searchEvery = 256 // documents between two looks at the clock
)

// foundRule is a rule that a search found.
type foundRule struct {
	Rule     string          `json:"rule"` // "<document>/<rule id>"
	Revision uint64          `json:"revision"`
	Text     json.RawMessage `json:"text"`
}

// queryRules looks for a text in the rules in force: in their names, and in what they say
// as it stands in the document. Upper and lower case of ASCII letters are the same.
func (b *Bridge) queryRules(ctx context.Context, question url.Values) (any, error) {
	text := strings.TrimSpace(question.Get("q"))
	if text == "" {
		return nil, errors.New("a text to look for is wanted")
	}
	answer := struct {
		Rules     []foundRule `json:"rules"`
		More      bool        `json:"more"`      // than these were found
		Stopped   bool        `json:"stopped"`   // time was up before all documents were looked at
		Documents int         `json:"documents"` // looked at
	}{Rules: []foundRule{}}
	for doc := range b.rules.Texts() {
		if answer.Documents++; answer.Documents%searchEvery == 0 && ctx.Err() != nil {
			answer.Stopped = true
			break
		}
		if answer.More {
			break
		}
		inKey := containsFold(doc.Key, text)
		if !inKey && !containsFold(doc.Source, text) && !strings.Contains(text, "/") {
			continue
		}
		for id, rule := range decide.Texts(doc.Source) {
			name := doc.Key + "/" + id
			if !inKey && !containsFold(name, text) && !containsFold(string(rule), text) {
				continue
			}
			if len(answer.Rules) == shownRules {
				answer.More = true
				break
			}
			answer.Rules = append(answer.Rules, foundRule{Rule: name, Revision: doc.Revision, Text: rule})
		}
	}
	slices.SortFunc(answer.Rules, func(a, b foundRule) int { return cmp.Compare(a.Rule, b.Rule) })
	return answer, nil
}

// containsFold reports whether s contains part, whatever the case of ASCII letters.
func containsFold(s, part string) bool {
	if part == "" {
		return true
	}
	first := lower(part[0])
	for i := 0; i+len(part) <= len(s); i++ {
		if lower(s[i]) == first && equalFold(s[i:i+len(part)], part) {
			return true
		}
	}
	return false
}

// equalFold compares texts of one length.
func equalFold(a, b string) bool {
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}
