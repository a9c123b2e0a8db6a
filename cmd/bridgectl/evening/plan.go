package evening

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"bintubridge/subjects"
)

// The shape of the evening, in parts of its length.
const (
	allLive    = 0.08 // by then all streams have begun
	firstEnd   = 0.92 // the first one ends then, the last at lastEnd
	lastEnd    = 0.99
	crest      = 0.40 // when most viewers come
	medianStay = 0.08 // half of the viewers stay longer
	stayShape  = 1.0  // of the log-normal distribution of stays
)

// How often what happens.
const (
	publisherDrops = 3.0  // connections of a stream in an evening
	dropSilent     = 0.4  // of the drops: no done
	endSilent      = 0.1  // of the ends of streams and plays
	viewerBack     = 0.1  // viewers that connect once more
	viewerForges   = 0.02 // viewers that write fields of the media server
	viewerV6       = 0.05
	refusedTold    = 0.5 // publish_done of a publisher that was refused
	triesAgain     = 0.5
)

const (
	backAfter   = 2 * time.Second // the soonest
	backWithin  = 20 * time.Second
	leaveWithin = 10 * time.Second // of the end of a stream
	aMoment     = 3 * time.Minute
)

// planner makes the clients of one evening.
type planner struct {
	Options
	random  *rand.Rand
	streams []stream
	clients []*client
	weight  float64 // of all streams
}

// stream is a name that somebody publishes.
type stream struct {
	name       string
	begin, end time.Duration
	bitrate    int
	weight     float64 // of this and all before
}

func plan(o Options) []*client {
	p := &planner{Options: o, random: rand.New(rand.NewPCG(o.Seed, 0))} //nolint:gosec // it has to come again by its seed
	for i := range o.Streams {
		p.addStream(i)
	}
	for range o.Viewers {
		p.addViewer()
	}
	for range 1 + o.Streams/4 + o.Viewers/200 {
		p.addSecondPublisher()
		p.addWanderer()
		p.addForger()
		p.addStrangers()
	}
	p.number()
	return p.clients
}

func (p *planner) addStream(i int) {
	p.weight += 1 / float64(i+1) // Zipf: the second has half the viewers of the first
	s := stream{
		name:   fmt.Sprintf("%s%d", p.Prefix, i+1),
		begin:  p.part(p.between(0, allLive)),
		end:    p.part(p.between(firstEnd, lastEnd)),
		weight: p.weight, bitrate: 1_500_000 + p.random.IntN(4_500_000),
	}
	p.streams = append(p.streams, s)
	conn := connection{
		kind: subjects.KindPublish, addr: fmt.Sprintf("203.0.113.%d", 1+i%254), name: s.name,
		args: "team=" + []string{"red", "blue"}[i%2], told: p.chance(refusedTold), second: p.attempt(), bitrate: s.bitrate,
	}
	var all []connection
	for at := s.begin; at < s.end; {
		conn.start, conn.ends = at, done
		conn.end = min(s.end, at+p.part(p.random.ExpFloat64()/publisherDrops))
		switch {
		case conn.end == s.end && p.chance(endSilent), conn.end < s.end && p.chance(dropSilent):
			conn.ends = silent
		}
		all = append(all, conn)
		at = conn.end + p.pause()
	}
	p.add(all...)
}

func (p *planner) addViewer() {
	s := p.pick()
	conn := connection{
		kind: subjects.KindPlay, addr: p.viewerAddr(), name: s.name, args: fmt.Sprintf("viewer=%d", len(p.clients)),
		start: min(max(p.part(p.wave()), s.begin+p.pause()), s.end), second: p.attempt(), bitrate: s.bitrate,
	}
	stay := p.part(medianStay * math.Exp(stayShape*p.random.NormFloat64()))
	conn.end = min(conn.start+stay, s.end+p.within(leaveWithin))
	if p.chance(endSilent) {
		conn.ends = silent
	}
	if p.chance(viewerForges) {
		conn.args = p.forged()
	}
	all := []connection{conn}
	if back := conn.end + p.pause(); p.chance(viewerBack) && back < s.end {
		conn.start, conn.end, conn.ends = back, min(back+stay, s.end), done
		all = append(all, conn)
	}
	p.add(all...)
}

// addSecondPublisher adds one who publishes what another one does.
func (p *planner) addSecondPublisher() {
	s := p.pick()
	at := p.during(s)
	p.add(connection{
		kind: subjects.KindPublish, addr: p.publisherAddr(), name: s.name, args: "who=second",
		start: at, end: at, ends: rejected, bitrate: s.bitrate,
	})
}

// addWanderer adds one who publishes a stream and then plays another.
func (p *planner) addWanderer() {
	victim := p.pick()
	at := p.during(victim)
	p.add(connection{
		kind: subjects.KindPublish, addr: p.publisherAddr(), name: fmt.Sprintf("%swanderer-%d", p.Prefix, len(p.clients)),
		start: at, end: min(at+aMoment, victim.end), victim: victim.name, bitrate: victim.bitrate,
	})
}

// addForger adds a publisher of a stream of its own who writes fields of the media server.
func (p *planner) addForger() {
	s := p.pick()
	at := p.during(s)
	p.add(connection{
		kind: subjects.KindPublish, addr: p.publisherAddr(), name: fmt.Sprintf("%sforger-%d", p.Prefix, len(p.clients)), args: p.forged(),
		start: at, end: min(at+aMoment, s.end), bitrate: s.bitrate,
	})
}

// addStrangers adds one who publishes, and one who plays, what is not theirs.
func (p *planner) addStrangers() {
	s := p.pick()
	at := p.during(s)
	conn := connection{
		kind: subjects.KindPublish, addr: fmt.Sprintf("192.0.2.%d", 1+p.random.IntN(254)), name: s.name,
		start: at, end: at, ends: rejected, told: p.chance(refusedTold), second: p.attempt(), bitrate: s.bitrate,
	}
	p.add(conn)
	conn.kind, conn.start, conn.ends, conn.told, conn.second = subjects.KindPlay, at+p.pause(), done, false, 1
	conn.end = min(conn.start+aMoment, s.end)
	p.add(conn)
}

func (p *planner) add(connections ...connection) {
	p.clients = append(p.clients, &client{connections: connections, due: connections[0].start})
}

// number gives every connection its clientid: the media server counts them as they come.
func (p *planner) number() {
	var all []*connection
	for _, c := range p.clients {
		for i := range c.connections {
			all = append(all, &c.connections[i])
		}
	}
	slices.SortStableFunc(all, func(a, b *connection) int { return cmp.Compare(a.start, b.start) })
	id := p.random.Uint32N(1_000_000)
	for _, conn := range all {
		id += 1 + p.random.Uint32N(3) // other connections ask for nothing
		conn.id = id
		if conn.second != 0 {
			id++
			conn.second = id
		}
	}
}

// forged is what a client writes who wants to end somebody's stream.
func (p *planner) forged() string {
	victim := p.pick()
	return fmt.Sprintf("call=publish_done&name=%s&bytes_in=1&bytes_out=1&addr=%s&clientid=%d", victim.name, p.publisherAddr(), p.random.Uint32N(1_000_000))
}

// pick chooses a stream by how many watch it.
func (p *planner) pick() stream {
	at, _ := slices.BinarySearchFunc(p.streams, p.random.Float64()*p.weight, func(s stream, w float64) int { return cmp.Compare(s.weight, w) })
	return p.streams[min(at, len(p.streams)-1)]
}

// wave is when a viewer comes: few at first, most at the crest, few at the end. It is the
// triangular distribution.
func (p *planner) wave() float64 {
	u := p.random.Float64()
	if u < crest {
		return math.Sqrt(u * crest)
	}
	return 1 - math.Sqrt((1-u)*(1-crest))
}

func (p *planner) during(s stream) time.Duration { return s.begin + p.within(s.end-s.begin) }

func (p *planner) pause() time.Duration { return backAfter + p.within(backWithin-backAfter) }

func (p *planner) within(d time.Duration) time.Duration {
	return time.Duration(p.random.Float64() * float64(d))
}

func (p *planner) part(of float64) time.Duration {
	return time.Duration(min(of, 1) * float64(p.Length))
}

func (p *planner) between(a, b float64) float64 { return a + (b-a)*p.random.Float64() }

func (p *planner) chance(of float64) bool { return p.random.Float64() < of }

// attempt is 1 where there is a second one, for number to give it an id.
func (p *planner) attempt() uint32 {
	if p.chance(triesAgain) {
		return 1
	}
	return 0
}

func (p *planner) publisherAddr() string { return fmt.Sprintf("203.0.113.%d", 1+p.random.IntN(254)) }

func (p *planner) viewerAddr() string {
	if p.chance(viewerV6) {
		return fmt.Sprintf("2001:db8::%x", 1+p.random.IntN(0xffff))
	}
	return fmt.Sprintf("198.%d.%d.%d", 18+p.random.IntN(2), p.random.IntN(256), 1+p.random.IntN(254))
}
