package rulestore

import "bintubridge/bridge/decide"

// replacer works documents into a table on a goroutine of its own, while others are
// still read. Whoever starts it finishes it.
type replacer struct {
	next    []replacement
	batches chan []replacement
	done    chan struct{}
}

type replacement struct{ was, is record }

func startReplacer(edit *decide.Edit) *replacer {
	r := &replacer{batches: make(chan []replacement, batchesEach), done: make(chan struct{})}
	go func() {
		defer close(r.done)
		for batch := range r.batches {
			for _, b := range batch {
				replace(edit, b.was, b.is)
			}
		}
	}()
	return r
}

func (r *replacer) replace(was, is record) {
	r.next = append(r.next, replacement{was, is})
	if len(r.next) == batchSize {
		r.batches <- r.next
		r.next = make([]replacement, 0, batchSize)
	}
}

// finish waits until all is in the table.
func (r *replacer) finish() {
	r.batches <- r.next
	close(r.batches)
	<-r.done
}
