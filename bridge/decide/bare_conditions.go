package decide

import (
	"encoding/binary"
	"time"
)

// bareConditions are what a bare rule asks for beside calls and its name, "" when that is
// nothing; numbers little-endian:
//
//	offset  size
//	     0    12  seconds (8) and nanoseconds of the time before which it does not hold
//	    12    12  of the time from which on it does not hold
//	    24     2  length of the reason
//	    26        reason
//	              apps, each behind its length (2); none: any app
type bareConditions string

const (
	bareTime  = 12
	bareTimes = 2 * bareTime
	textHead  = 2
)

// bareSize is how many bytes the conditions take as bareConditions.
func (c *conditions) bareSize() int {
	if c == nil {
		return 0
	}
	size := bareTimes + textHead + len(c.reason)
	for _, app := range c.apps {
		size += textHead + len(app)
	}
	return size
}

func appendConditions(b []byte, c *conditions) []byte {
	b = appendTime(appendTime(b, c.notBefore), c.expiresAt)
	b = appendText(b, c.reason)
	for _, app := range c.apps {
		b = appendText(b, app)
	}
	return b
}

func appendTime(b []byte, t time.Time) []byte {
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint64(b, uint64(t.Unix())), uint32(t.Nanosecond()))
}

func appendText(b []byte, text string) []byte {
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(text))), text...)
}

// time returns the time at an offset. The zero one is stored as such.
func (c bareConditions) time(at int) time.Time {
	b := []byte(c[at : at+bareTime])
	return time.Unix(int64(binary.LittleEndian.Uint64(b)), int64(binary.LittleEndian.Uint32(b[8:])))
}

func (c bareConditions) notBefore() time.Time { return c.time(0) }

func (c bareConditions) expiresAt() time.Time { return c.time(bareTime) }

// cutText takes a text off a list of them.
func cutText(list bareConditions) (text string, rest bareConditions) {
	end := textHead + int(binary.LittleEndian.Uint16([]byte(list[:textHead])))
	return string(list[textHead:end]), list[end:]
}

func (c bareConditions) reason() string {
	if c == "" {
		return ""
	}
	reason, _ := cutText(c[bareTimes:])
	return reason
}

// hold reports whether they hold, as candidate.fails does.
func (c bareConditions) hold(q *query) bool {
	if c == "" {
		return true
	}
	if from := c.notBefore(); !from.IsZero() && q.now.Before(from) {
		return false
	}
	if expires := c.expiresAt(); !expires.IsZero() && !q.now.Before(expires) {
		return false
	}
	_, apps := cutText(c[bareTimes:])
	for rest := apps; rest != ""; {
		var app string
		if app, rest = cutText(rest); app == q.in.App {
			return true
		}
	}
	return apps == ""
}

// whole returns the conditions as others have them, nil when there are none.
func (c bareConditions) whole() *conditions {
	if c == "" {
		return nil
	}
	reason, apps := cutText(c[bareTimes:])
	whole := &conditions{notBefore: c.notBefore(), expiresAt: c.expiresAt(), reason: reason}
	for apps != "" {
		var app string
		app, apps = cutText(apps)
		whole.apps = append(whole.apps, app)
	}
	return whole
}
