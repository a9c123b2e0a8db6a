package bridge

import (
	"sync/atomic"
	"time"
)

// occasion lets the request path say something at most once a minute, however
// often there is reason to.
type occasion struct{ last atomic.Int64 }

func (o *occasion) due(now time.Time) bool {
	last := o.last.Load()
	return now.UnixNano()-last >= int64(time.Minute) && o.last.CompareAndSwap(last, now.UnixNano())
}
