package sessions

import (
	"fmt"

	"bintubridge/consumers"
	"bintubridge/subjects"
)

// Bounds of what a session repeats of its event, in bytes: SESSIONS and KV live take whatever keeps them.
const (
	// maxText is of a text. Senders cut at 2047 bytes, and each that was broken is three as U+FFFD.
	maxText = 3 * 2047
	// maxAbout is of the ce-subject header, as the bridge has it: JetStream refuses headers over 64 KiB.
	maxAbout = 8 << 10
)

// checkTexts says that an event is no sender's: a session of it might never be told, and all others
// would wait for it. It is asked before the machine, so that whoever takes over decides alike.
func checkTexts(e *subjects.Event) error {
	rule := ""
	if e.Decision != nil {
		rule = e.Decision.Rule
	}
	for _, field := range []struct{ name, text string }{
		{"id", e.ID}, {"name", e.Name}, {"app", e.App}, {"addr", e.Addr}, {"clientid", e.ClientID},
		{"bridge", e.Bridge}, {"decision.rule", rule},
	} {
		if len(field.text) > maxText {
			return fmt.Errorf("%w: %s has %d bytes, want %d at most", consumers.ErrMalformed, field.name, len(field.text), maxText)
		}
	}
	return nil
}
