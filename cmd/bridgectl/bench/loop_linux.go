package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// loop drives a load from one thread with epoll(7): it shares the processors with the server
// under test, so it must be cheap, and the Go runtime's timers wake up to a millisecond late.
type loop struct {
	load
	answers

	poll        int
	timer       int     // ticks at the rate of an open loop; -1: none
	expirations [8]byte // read from it
	peer        unix.SockaddrInet4
	clients     []client
	idle        queue // of clients
	busy        int   // clients with a request in flight

	began    time.Time
	sent     uint64
	lastNews time.Duration // when an answer came last
}

// client is one connection and the request on it.
type client struct {
	fd     int           // -1: none
	asked  bool          // a request is in flight
	due    time.Duration // of it
	unsent []byte        // of it
	reply  [512]byte
	got    int // bytes of it
	status int // of a whole reply whose connection is not closed yet
}

// queue is a ring with room for all clients.
type queue struct {
	ring       []int
	head, size int
}

func (q *queue) push(i int) {
	q.ring[(q.head+q.size)%len(q.ring)] = i
	q.size++
}

func (q *queue) pop() int {
	i := q.ring[q.head]
	q.head = (q.head + 1) % len(q.ring)
	q.size--
	return i
}

// checkFiles refuses more connections than a process may have files open.
func checkFiles(connections int) error {
	const others = 200 // of a bridge, its spool and its NATS
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("limit of open files: %w", err)
	}
	if uint64(connections)+others > limit.Max {
		return fmt.Errorf("--connections is %d, but a process may have %d files open here (ulimit -Hn), and needs %d others", connections, limit.Max, others)
	}
	return nil
}

// run drives the load to its end and returns the answers. Anything but a 200 or 403 ends it.
func (l load) run(ctx context.Context) (answers, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	lo := &loop{load: l, clients: make([]client, l.connections), poll: -1, timer: -1}
	defer lo.close()
	if err := lo.open(); err != nil {
		return answers{}, fmt.Errorf("load: %w", err)
	}
	if err := lo.drive(ctx); err != nil {
		return answers{}, fmt.Errorf("load, after %d answers: %w", lo.total(), err)
	}
	return lo.answers, nil
}

func (l *loop) open() (err error) {
	peer, err := netip.ParseAddrPort(l.addr)
	if err != nil {
		return err
	}
	l.peer = unix.SockaddrInet4{Port: int(peer.Port()), Addr: peer.Addr().As4()}
	if l.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	phases := 1
	if l.phase > 0 {
		phases = int((l.schedule.end + l.phase - 1) / l.phase)
	}
	for range phases {
		l.latency = append(l.latency, newHistogram())
	}
	l.idle.ring = make([]int, len(l.clients))
	for i := range l.clients {
		l.clients[i].fd = -1
	}
	for i := range l.clients {
		if l.form == keepAlive {
			if err := l.dial(i, true); err != nil {
				return err
			}
		}
		l.idle.push(i)
	}
	return l.startTimer()
}

// startTimer makes epoll return whenever an event is due.
func (l *loop) startTimer() (err error) {
	if l.schedule.rate == 0 {
		return nil
	}
	if l.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		return fmt.Errorf("timerfd: %w", err)
	}
	every := unix.NsecToTimespec(max(int64(time.Second)/int64(l.schedule.rate), 1))
	if err := unix.TimerfdSettime(l.timer, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil); err != nil {
		return fmt.Errorf("timerfd: %w", err)
	}
	return l.watch(l.timer, len(l.clients), unix.EPOLLIN)
}

// tick starts the timer's next period, see timerfd_create(2).
func (l *loop) tick(int) error {
	if _, err := unix.Read(l.timer, l.expirations[:]); err != nil && !errors.Is(err, unix.EAGAIN) {
		return fmt.Errorf("timerfd: %w", err)
	}
	return nil
}

func (l *loop) watch(fd, index int, events uint32) error {
	event := unix.EpollEvent{Events: events | unix.EPOLLET, Fd: int32(index)}
	if err := unix.EpollCtl(l.poll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	return nil
}

func (l *loop) close() {
	for i := range l.clients {
		if l.clients[i].fd >= 0 {
			_ = unix.Close(l.clients[i].fd)
		}
	}
	for _, fd := range []int{l.timer, l.poll} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// dial opens the client's connection, and returns when it stands or at once.
func (l *loop) dial(i int, wait bool) error {
	c := &l.clients[i]
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	c.fd = fd
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	err = unix.Connect(fd, &l.peer)
	if wait && errors.Is(err, unix.EINPROGRESS) {
		err = connected(fd)
	}
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return fmt.Errorf("connect to %s: %w", net.JoinHostPort(netip.AddrFrom4(l.peer.Addr).String(), fmt.Sprint(l.peer.Port)), err)
	}
	return l.watch(fd, i, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP)
}

// connected waits until a connection stands: thousands at once would overflow the server's
// queue, and those left out try again a second later.
func connected(fd int) error {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	for end := time.Now().Add(silence); ; {
		n, err := unix.Poll(fds, int(time.Until(end).Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		case n == 0:
			return unix.ETIMEDOUT
		}
		errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && errno != 0 {
			err = unix.Errno(errno)
		}
		return err
	}
}

// drive sends what is due and takes what comes, until all that was sent is answered.
func (l *loop) drive(ctx context.Context) error {
	const checkEvery = 100 // ms
	events := make([]unix.EpollEvent, 256)
	l.began = time.Now()
	for {
		now := time.Since(l.began)
		if err := l.send(now); err != nil {
			return err
		}
		if l.busy == 0 && l.schedule.over(l.sent, now) {
			l.took = now
			return nil
		}
		if l.busy == 0 {
			l.lastNews = now
		}
		if now-l.lastNews > silence {
			return fmt.Errorf("no answer for %s, %d are missing", silence, l.busy)
		}
		n, err := unix.EpollWait(l.poll, events, checkEvery)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("epoll: %w", err)
		}
		for _, event := range events[:max(n, 0)] {
			wake := l.wake
			if int(event.Fd) == len(l.clients) {
				wake = l.tick
			}
			if err := wake(int(event.Fd)); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// send gives what is due to idle clients. What finds none waits, and its latency grows.
func (l *loop) send(now time.Duration) error {
	for l.idle.size > 0 {
		due, ok := l.schedule.due(l.sent, now)
		if !ok {
			return nil
		}
		if l.schedule.rate == 0 {
			due = time.Since(l.began)
		}
		i := l.idle.pop()
		if l.form == http10 {
			if err := l.dial(i, false); err != nil {
				return err
			}
		}
		c := &l.clients[i]
		c.asked, c.due, c.got, c.status = true, due, 0, 0
		c.unsent = l.requests.next(l.first + l.sent)
		l.sent++
		l.busy++
		if err := l.write(c); err != nil {
			return err
		}
		if len(c.unsent) > 0 { // the memory is the next request's
			c.unsent = append([]byte(nil), c.unsent...)
		}
	}
	return nil
}

func (l *loop) write(c *client) error {
	n, err := unix.Write(c.fd, c.unsent)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return nil // epoll tells when there is room
	case err != nil:
		return fmt.Errorf("write: %w", err)
	}
	c.unsent = c.unsent[n:]
	return nil
}

// wake goes on with a client whose connection has news.
func (l *loop) wake(i int) error {
	c := &l.clients[i]
	for len(c.unsent) > 0 {
		before := len(c.unsent)
		if err := l.write(c); err != nil {
			return err
		}
		if len(c.unsent) == before {
			return nil
		}
	}
	for c.fd >= 0 {
		if c.got == len(c.reply) {
			return fmt.Errorf("%w: %q", errReply, c.reply[:c.got])
		}
		n, err := unix.Read(c.fd, c.reply[c.got:])
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case err != nil:
			return fmt.Errorf("read: %w", err)
		case n == 0:
			return l.ended(i)
		}
		if c.got += n; !c.asked {
			return fmt.Errorf("%w to no request: %q", errReply, c.reply[:c.got])
		}
		if c.status, err = parseReply(c.reply[:c.got]); err != nil {
			return err
		}
		if c.status != 0 && l.form == keepAlive {
			return l.answered(i)
		}
	}
	return nil
}

// ended is the server's end of the connection: of a reply too, with HTTP/1.0.
func (l *loop) ended(i int) error {
	c := &l.clients[i]
	if c.status == 0 || l.form == keepAlive {
		return fmt.Errorf("%w: the connection ended after %q", errReply, c.reply[:c.got])
	}
	err := unix.Close(c.fd)
	c.fd = -1
	if err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return l.answered(i)
}

func (l *loop) answered(i int) error {
	c := &l.clients[i]
	l.lastNews = time.Since(l.began)
	c.asked, c.got = false, 0
	l.busy--
	l.idle.push(i)
	return l.note(c.status, c.due, l.lastNews, l.phase)
}
