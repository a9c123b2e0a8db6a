package bench

import (
	"errors"
	"fmt"
	"testing"
)

func TestLedger(t *testing.T) {
	id := func(seq int) string { return fmt.Sprintf("run-%d", seq) }
	for _, test := range []struct {
		name string
		ids  []string
		got  answers
		ok   bool
	}{
		{"all there", []string{id(5), id(6), id(7)}, answers{accepted: 2, refused: 1}, true},
		{"in another order", []string{id(7), id(5), id(6)}, answers{accepted: 2, refused: 1}, true},
		{"none", nil, answers{}, true},
		{"one is missing", []string{id(5), id(7)}, answers{accepted: 2, refused: 1}, false},
		{"one is missing, another there twice", []string{id(5), id(7), id(7)}, answers{accepted: 2, refused: 1}, false},
		{"one too many", []string{id(5), id(6), id(7), id(8)}, answers{accepted: 2, refused: 1}, false},
		{"one of before", []string{id(4), id(6), id(7)}, answers{accepted: 2, refused: 1}, false},
		{"one of another run", []string{id(5), id(6), "other-7"}, answers{accepted: 2, refused: 1}, false},
		{"no event of a bridge", []string{id(5), id(6), "seven"}, answers{accepted: 2, refused: 1}, false},
		{"other answers than events", []string{id(5), id(6), id(7)}, answers{accepted: 3}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLedger(5, test.got.total())
			var err error
			for i, id := range test.ids {
				subject := "stream.play"
				if i == 0 {
					subject = "stream.denied.play"
				}
				err = errors.Join(err, l.add(id, subject))
			}
			err = errors.Join(err, l.compare(test.got))
			if test.ok != (err == nil) || err != nil && !errors.Is(err, errCount) {
				t.Error(err)
			}
		})
	}
}
