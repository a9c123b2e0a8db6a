package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"bintubridge/subjects"
)

// tailFlags are the command line of tail.
type tailFlags struct {
	url      string
	since    time.Duration
	last     int
	noFollow bool
	filter   tailFilter
}

const (
	tailHistory = 24 * time.Hour // read back for -n and --no-follow
	maxTailLast = 100_000        // lines kept for -n
)

func newTail(env environment) *cobra.Command {
	output := formats("text", "json")
	var f tailFlags
	cmd := &cobra.Command{
		Use: "tail", Short: "Show events and sessions as they come", Args: atMost(0),
		Long: `Shows the events of the stream EVENTS and the sessions of SESSIONS, a line each, as they
come; with --since also those before, and with -n only the last of them (of the last 24 h,
without --since). The conditions of the flags must all hold; a repeated one is an
alternative. In a line are the time (UTC), effect, call, name, address, and what else there is. What
clients wrote is quoted where it could mean something to a terminal, or be taken for more
than one thing. While NATS is away it waits, and then goes on where it was. --output json
gives an object a line: {"stream","sequence","subject","data"}, data as it was published.
It is coloured on a terminal, unless NO_COLOR is set.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			p := tailPrinter{out: out, json: output.name == "json", colour: env.getenv("NO_COLOR") == "" && terminal(out) != nil}
			return f.run(cmd.Context(), env, p, cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.url, "nats-url", "", "NATS server (default: NATS_URL, or the embedded server's address)")
	flags.DurationVar(&f.since, "since", 0, "begin this long ago, as 10m")
	flags.IntVarP(&f.last, "lines", "n", 0, "of what was before, show the last ones only")
	flags.BoolVar(&f.noFollow, "no-follow", false, "end with what is there")
	f.filter.add(cmd)
	flags.VarP(output, "output", "o", "form of the lines")
	return cmd
}

func (f *tailFlags) check() error {
	switch {
	case f.since < 0:
		return usageError{errors.New("--since: want a time, as 10m")}
	case f.last < 0 || f.last > maxTailLast:
		return usageError{fmt.Errorf("-n: want 0 to %d", maxTailLast)}
	}
	if f.since == 0 && (f.last > 0 || f.noFollow) {
		f.since = tailHistory
	}
	return f.filter.check()
}

// run shows what is there and what comes, until ctx ends, and says on errs when NATS goes
// away and comes back.
func (f *tailFlags) run(ctx context.Context, env environment, p tailPrinter, errs io.Writer) error {
	contact := make(chan string, 16)
	var more []nats.Option
	if !f.noFollow {
		more = lasting(contact)
	}
	js, nc, err := connect(f.url, env, more...)
	if err != nil {
		return err
	}
	defer nc.Close()
	var sources []*tailSource
	for _, stream := range []string{subjects.StreamEvents, subjects.StreamSessions} {
		s, err := openTail(ctx, js, stream, f.since)
		if err != nil {
			return err
		}
		defer s.messages.Stop()
		sources = append(sources, s)
	}
	err = f.history(ctx, sources, p)
	if err == nil && !f.noFollow {
		err = f.follow(ctx, sources, p, contact, errs)
	}
	if ctx.Err() != nil {
		return nil // told to stop
	}
	return err
}

// history shows what was there when the sources were opened, in the order of time.
func (f *tailFlags) history(ctx context.Context, sources []*tailSource, p tailPrinter) error {
	var last []*tailed // at most f.last
	for {
		var next *tailSource
		for _, s := range sources {
			if err := s.fill(ctx); err != nil {
				return err
			}
			if s.head != nil && (next == nil || s.head.time.Before(next.head.time)) {
				next = s
			}
		}
		if next == nil {
			break
		}
		t := next.head
		next.head = nil
		switch {
		case !f.filter.wants(t):
		case f.last == 0:
			if err := p.print(t); err != nil {
				return err
			}
		default:
			if last = append(last, t); len(last) > f.last {
				last = last[1:]
			}
		}
	}
	for _, t := range last {
		if err := p.print(t); err != nil {
			return err
		}
	}
	return nil
}

// lasting are the options of a connection that comes back, and tells of it.
func lasting(contact chan<- string) []nats.Option {
	tell := func(text string) {
		select {
		case contact <- text:
		default: // nobody has read the last word yet
		}
	}
	return []nats.Option{
		func(o *nats.Options) error { o.AllowReconnect = true; return nil },
		nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(),
		nats.DisconnectErrHandler(func(nc *nats.Conn, _ error) {
			if !nc.IsClosed() {
				tell("NATS is away; waiting for it")
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { tell("NATS is back") }),
	}
}

// follow shows what comes. Each source is read by a goroutine, which ends with ctx.
func (f *tailFlags) follow(ctx context.Context, sources []*tailSource, p tailPrinter, contact <-chan string, errs io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	type read struct {
		t   *tailed
		err error
	}
	come, ended := make(chan read), make(chan struct{}, len(sources))
	defer func() {
		cancel()
		for range sources {
			<-ended
		}
	}()
	for _, s := range sources {
		go func() {
			defer func() { ended <- struct{}{} }()
			for {
				t, err := s.next(ctx)
				select {
				case come <- read{t, err}:
				case <-ctx.Done():
					return
				}
				if err != nil {
					return
				}
			}
		}()
	}
	for {
		select {
		case r := <-come:
			if r.err != nil {
				return r.err
			}
			if f.filter.wants(r.t) {
				if err := p.print(r.t); err != nil {
					return err
				}
			}
		case text := <-contact:
			if _, err := fmt.Fprintln(errs, text); err != nil {
				return fmt.Errorf("say that %s: %w", text, err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// tailSource reads one stream.
type tailSource struct {
	stream   string
	messages jetstream.MessagesContext
	pending  uint64 // of the history, not yet read
	head     *tailed
}

func openTail(ctx context.Context, js jetstream.JetStream, stream string, since time.Duration) (*tailSource, error) {
	from, err := js.Stream(ctx, stream)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", stream, unanswered(js, err))
	}
	// By its sequence and not as "new": a reader that lost NATS before its first message would
	// begin behind those that came meanwhile.
	cfg := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from.CachedInfo().State.LastSeq + 1}
	if since > 0 {
		began := time.Now().Add(-since)
		cfg = jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &began}
	}
	consumer, err := js.OrderedConsumer(ctx, stream, cfg)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", stream, unanswered(js, err))
	}
	s := &tailSource{stream: stream, pending: consumer.CachedInfo().NumPending}
	if s.messages, err = consumer.Messages(); err != nil {
		return nil, fmt.Errorf("stream %s: %w", stream, err)
	}
	return s, nil
}

// fill reads the head of the history, if there is one.
func (s *tailSource) fill(ctx context.Context) (err error) {
	if s.head == nil && s.pending > 0 {
		s.head, err = s.next(ctx)
		if err == nil {
			s.pending = min(s.pending-1, s.head.pending) // some may have been deleted meanwhile
		}
	}
	return err
}

func (s *tailSource) next(ctx context.Context) (*tailed, error) {
	msg, err := s.messages.Next(jetstream.NextContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", s.stream, err)
	}
	meta, err := msg.Metadata()
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", s.stream, err)
	}
	return readTailed(s.stream, msg.Subject(), msg.Data(), meta), nil
}
