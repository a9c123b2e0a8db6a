package notify

import (
	"math/rand/v2"
	"time"
)

// schedule is when a delivery is tried, from its begin on: the example schedule of the Standard Webhooks
// specification (spec/standard-webhooks.md, "Deliverability and reliability"), which asks for one of
// multiple days: ten tries, the last after 75:35:05.
func schedule() []time.Duration {
	const m, h = time.Minute, time.Hour
	gaps := []time.Duration{0, 5 * time.Second, 5 * m, 30 * m, 2 * h, 5 * h, 10 * h, 14 * h, 20 * h, 24 * h}
	for i := 1; i < len(gaps); i++ {
		gaps[i] += gaps[i-1]
	}
	return gaps
}

// A delivery that waited here for longer than the schedule is tried a few times all the same.
const (
	lateTries = 3
	lateEvery = time.Hour
)

// nextTry returns how long to wait after a try failed, without jitter, and false after the last
// one. It goes by the delivery's age: the count of tries includes those that were given back. Only
// where the age is impossible, because a clock was set back, the count has to do.
func nextTry(age time.Duration, tries uint64) (time.Duration, bool) {
	if age < 0 {
		all := schedule()
		next := int(min(max(tries, 1), uint64(len(all)-1)))
		return all[next] - all[next-1], true
	}
	for _, at := range schedule() {
		if at > age {
			return at - age, true
		}
	}
	return lateEvery, tries < lateTries
}

// jittered is up to a tenth longer: receivers are not to be hit by all at once.
func jittered(wait time.Duration) time.Duration {
	return wait + rand.N(wait/10+1) //nolint:gosec // no secret
}
