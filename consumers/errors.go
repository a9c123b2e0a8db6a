package consumers

import (
	"errors"
	"time"
)

// Permanent marks err as one that no retry will mend: the message goes to the stream
// DEAD at once. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

// IsPermanent reports whether err, or what it wraps, came from Permanent.
func IsPermanent(err error) bool {
	var p permanent
	return errors.As(err, &p)
}

type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// RetryIn marks err as one that is to be tried again after this time, instead of after the
// runner's own. RetryIn(nil, d) is nil.
func RetryIn(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return retryIn{err, d}
}

type retryIn struct {
	error
	wait time.Duration
}

func (r retryIn) Unwrap() error { return r.error }

// Wait is what a Handler returns for a message whose time has not come: it comes again after d. That is no
// failure, is not counted nor logged as one, and says nothing of the service behind the handler.
func Wait(d time.Duration) error { return early(d) }

type early time.Duration

func (e early) Error() string { return "its time comes in " + time.Duration(e).String() }

// ErrSkip is what a Handler returns for a message that it has nothing to do for: it is acked as if it was
// handled, and says nothing of the service behind the handler.
var ErrSkip = errors.New("there is nothing to do")
