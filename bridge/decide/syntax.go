package decide

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// whyNoJSON says what is wrong with a text that a tree refused, and where. The
// error is ready to stand behind "got".
func whyNoJSON(text string) error {
	if strings.TrimSpace(text) == "" {
		return errors.New("an empty document")
	}
	if at := invalidUTF8(text); at >= 0 {
		return fmt.Errorf("text that is not UTF-8 at %s", place(text, at))
	}
	var syntax *json.SyntaxError
	if err := json.Unmarshal([]byte(text), new(json.RawMessage)); errors.As(err, &syntax) {
		return fmt.Errorf("no JSON at %s (%w)", place(text, int(syntax.Offset)-1), syntax)
	}
	if at := loneSurrogate(text); at >= 0 {
		return fmt.Errorf(`half a surrogate pair (\u escape) at %s`, place(text, at))
	}
	return errors.New("no JSON")
}

// place returns the line and column, in bytes, of an offset.
func place(text string, offset int) string {
	before := text[:min(max(offset, 0), len(text))]
	line := 1 + strings.Count(before, "\n")
	column := len(before) - strings.LastIndexByte(before, '\n')
	return fmt.Sprintf("line %d, column %d", line, column)
}

func invalidUTF8(text string) int {
	for i, r := range text {
		if r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)) {
			return i
		}
	}
	return -1
}

// loneSurrogate returns where an escape stands that is half a character, or -1,
// in a text that is valid otherwise. There a backslash is only inside strings.
func loneSurrogate(text string) int {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		size := escapeSize(text[i:])
		if size == 0 {
			return i
		}
		i += size - 1
	}
	return -1
}
