package admin

import "time"

// Counts is what a Histogram had counted at one time.
type Counts struct {
	first   time.Duration
	buckets [numBounds + 1]uint64
}

// Since returns what was counted after an earlier time.
func (c Counts) Since(before Counts) Counts {
	for i := range c.buckets {
		c.buckets[i] -= before.buckets[i]
	}
	return c
}

// Quantile returns the duration that the share q, 0 to 1, of the observations does not
// exceed, 0 when there are none. Within its bucket, which is as wide as all before it,
// it is a guess by even spread; beyond the last bound it is that bound.
func (c Counts) Quantile(q float64) time.Duration {
	var total uint64
	for _, n := range c.buckets {
		total += n
	}
	rank, below := q*float64(total), 0.0
	for i, n := range c.buckets[:numBounds] {
		if n == 0 || below+float64(n) < rank {
			below += float64(n)
			continue
		}
		end := c.first << i
		start := end / 2
		if i == 0 {
			start = 0
		}
		return start + time.Duration((rank-below)/float64(n)*float64(end-start))
	}
	if total == 0 {
		return 0
	}
	return c.first << (numBounds - 1)
}
