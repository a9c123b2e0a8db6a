package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"bintubridge/bridge/decide"
	"bintubridge/bridge/webhook"
	"bintubridge/subjects"
)

func newExplain(env environment) *cobra.Command {
	output := formats("text", "json")
	flags := sourceFlags{bucketFlags: bucketFlags{environment: env}}
	var ask asking
	cmd := &cobra.Command{
		Use: "explain", Short: "Show why a request is let in or refused", Args: atMost(0),
		Long: `Decides a request with the code of the bridge, and prints every rule that was
considered, the condition that failed, and the winner. Rules that are not listed
cannot match: no index of the table brings them up.

The request is told by flags (--call and --name), by an event of the stream
(--event ID, or --event N for stream sequence N), or by a webhook's body (--body FILE,
- for standard input). An event is decided as of the time it was received, a
request as of --at or now. The rules are those of the live bucket, of --rules, or with
--snapshot those that a bridge has in force (rules.snapshot in its data folder), which
needs no NATS.
What depends on a value that was redacted in an event is undecidable, and not guessed.

    bridgectl explain --call publish --name CD6xx-1 --app live --addr 17.31.0.1 --custom team=red`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmp.Or(exclusive(cmd, "call", "event", "body"), exclusive(cmd, "rules", "snapshot")); err != nil {
				return err
			}
			defaults, err := flags.defaults()
			if err != nil {
				return err
			}
			question, err := ask.read(cmd, &flags)
			if err != nil {
				return err
			}
			if question.in.Keys, err = flags.keys(); err != nil {
				return err
			}
			set, err := flags.load(cmd.Context())
			if err != nil {
				return err
			}
			set.tell(cmd)
			x := explanation{question: question, set: set, keys: flags.keysPath(), explained: question.explain(defaults, set.docs)}
			if output.name == "json" {
				return x.printJSON(cmd.OutOrStdout())
			}
			x.print(cmd.OutOrStdout())
			return nil
		},
	}
	flags.add(cmd)
	flags.addRules(cmd)
	cmd.Flags().StringVar(&flags.snapshot, "snapshot", "", "file that a bridge keeps its rules in, instead of the live bucket")
	flags.addDefaults(cmd)
	ask.add(cmd)
	cmd.Flags().VarP(output, "output", "o", "form of the result")
	return cmd
}

// asking is the flags that tell a request.
type asking struct {
	call, name, app, addr, clientID, kind, at string
	flashVer, swfURL, tcURL, pageURL          string
	custom                                    []string
	event, body, dialect                      string
}

func (a *asking) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&a.call, "call", "", "publish, play, update_publish, update_play or connect")
	f.StringVar(&a.name, "name", "", "stream name")
	f.StringVar(&a.app, "app", "", "application")
	f.StringVar(&a.addr, "addr", "", "address of the client")
	f.StringVar(&a.clientID, "clientid", "", "the media server's number of the client")
	f.StringVar(&a.kind, "type", "", "of a publish: live, record or append")
	f.StringVar(&a.flashVer, "flashver", "", "what the client says it is")
	f.StringVar(&a.swfURL, "swfurl", "", "the client's own word")
	f.StringVar(&a.tcURL, "tcurl", "", "the client's own word")
	f.StringVar(&a.pageURL, "pageurl", "", "the client's own word")
	f.StringArrayVar(&a.custom, "custom", nil, "custom field=value, may be given several times")
	f.StringVar(&a.at, "at", "", "time of the request, RFC 3339 (default: now)")
	f.StringVar(&a.event, "event", "", "id of an event in the stream EVENTS, or its stream sequence")
	f.StringVar(&a.body, "body", "", "file with the body of a webhook, - for standard input")
	f.StringVar(&a.dialect, "dialect", "", "order of a body's fields, bintu or nginx-rtmp (default: BRIDGE_DIALECT, or bintu)")
}

// question is a request at a time.
type question struct {
	in       decide.Input
	at       time.Time
	recorded *subjects.Event // where it comes from one
}

// explain decides by the rules of docs.
func (q *question) explain(d decide.Defaults, docs []*decide.Document) decide.Explanation {
	if q.recorded != nil {
		return decide.NewReview(d, docs).Explain(&q.in, q.at)
	}
	return decide.NewTable(0, d, docs).Explain(&q.in, q.at)
}

func (a *asking) read(cmd *cobra.Command, flags *sourceFlags) (question, error) {
	at, err := parseAt(a.at)
	if err != nil {
		return question{}, usageError{err}
	}
	dialect, err := dialectOf(a.dialect, flags.getenv)
	if err != nil {
		return question{}, err
	}
	switch {
	case a.event == "" && a.body == "" && !cmd.Flags().Changed("call"):
		return question{}, usageError{errors.New("one of --call, --event and --body is wanted")}
	case a.event != "":
		e, err := findEvent(cmd.Context(), flags.bucketFlags, a.event)
		if err != nil {
			return question{}, err
		}
		if !subjects.ParseCall(e.Call).Asks() {
			return question{}, fmt.Errorf("event %s is a %s, which is not decided", shown(e.ID), shown(e.Call))
		}
		if a.at == "" {
			at = e.ReceivedAt
		}
		return question{in: recordedInput(e, dialect), at: at, recorded: e}, nil
	case a.body != "":
		body, err := readDocument(cmd, a.body)
		if err != nil {
			return question{}, err
		}
		var r webhook.Request
		if err := r.Parse(dialect, body); err != nil {
			return question{}, err
		}
		if !r.Call.Asks() {
			return question{}, fmt.Errorf("call %s is not decided", shown(r.CallText))
		}
		return question{in: inputOf(&r), at: at}, nil
	}
	call, err := parseAsk(a.call)
	if err != nil {
		return question{}, usageError{err}
	}
	custom, err := parseCustom(a.custom)
	if err != nil {
		return question{}, err
	}
	return question{at: at, in: decide.Input{
		Call: call, Name: a.name, App: a.app, Addr: a.addr, ClientID: a.clientID, Type: a.kind,
		FlashVer: a.flashVer, SWFURL: a.swfURL, TCURL: a.tcURL, PageURL: a.pageURL, Custom: custom,
	}}, nil
}

// findEvent reads an event by its stream sequence, or looks for its id from the
// newest events back.
func findEvent(ctx context.Context, flags bucketFlags, which string) (*subjects.Event, error) {
	js, nc, err := connect(flags.url, flags.environment)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	stream, err := js.Stream(ctx, subjects.StreamEvents)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", subjects.StreamEvents, unanswered(js, err))
	}
	seq, err := strconv.ParseUint(which, 10, 64)
	if err != nil {
		if seq, err = findID(ctx, js, stream, which); err != nil {
			return nil, err
		}
	}
	msg, err := stream.GetMsg(ctx, seq)
	if seq == 0 || errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, fmt.Errorf("stream %s has no event %s", subjects.StreamEvents, shown(which))
	}
	if err != nil {
		return nil, fmt.Errorf("read event %s: %w", shown(which), unanswered(js, err))
	}
	e, err := subjects.DecodeEvent(msg.Data)
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", shown(which), err)
	}
	return &e, nil
}

// searchTimeout bounds the search for an event: some millions of them.
const searchTimeout = time.Minute

// findID goes through the stream's headers, the newest part first.
func findID(ctx context.Context, js jetstream.JetStream, stream jetstream.Stream, id string) (uint64, error) {
	const part = 100_000
	ctx, cancel := context.WithTimeout(ctx, searchTimeout)
	defer cancel()
	state := stream.CachedInfo().State
	for end := state.LastSeq; end >= state.FirstSeq && end > 0; {
		start := max(state.FirstSeq, end-min(end-1, part-1))
		seq, err := findIn(ctx, js, stream, id, start, end)
		if err != nil || seq > 0 {
			return seq, err
		}
		end = start - 1
	}
	return 0, fmt.Errorf("stream %s has no event %s", subjects.StreamEvents, shown(id))
}

// findIn looks for an id from one sequence to another, 0 when it is not there.
func findIn(ctx context.Context, js jetstream.JetStream, stream jetstream.Stream, id string, from, to uint64) (uint64, error) {
	setUp, cancel := context.WithTimeout(ctx, patience(js)) // ctx's own end is that of the search
	defer cancel()
	consumer, err := stream.CreateConsumer(setUp, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from, HeadersOnly: true,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: searchTimeout,
	})
	if err != nil {
		return 0, fmt.Errorf("look for event %s: %w", shown(id), unanswered(js, err))
	}
	defer func() {
		_ = stream.DeleteConsumer(context.WithoutCancel(ctx), consumer.CachedInfo().Name) // it ends by itself
	}()
	for last := from - 1; last < to; {
		batch, err := consumer.Fetch(readBatch, jetstream.FetchMaxWait(patience(js)))
		if err != nil {
			return 0, fmt.Errorf("look for event %s: %w", shown(id), err)
		}
		before := last
		found := uint64(0)
		for msg := range batch.Messages() {
			meta, err := msg.Metadata()
			if err != nil {
				return 0, fmt.Errorf("look for event %s: %w", shown(id), err)
			}
			last = meta.Sequence.Stream
			if msg.Headers().Get(subjects.HeaderMsgID) == id {
				found = last
			}
			if meta.NumPending == 0 {
				last = max(last, to)
				break
			}
		}
		if found > 0 {
			return found, nil
		}
		if err := cmp.Or(batch.Error(), ctx.Err()); err != nil {
			return 0, fmt.Errorf("look for event %s: %w", shown(id), err)
		}
		if last == before {
			return 0, fmt.Errorf("look for event %s: %w", shown(id), unanswered(js, errNoAnswer))
		}
	}
	return 0, nil
}

// explanation is an answered question.
type explanation struct {
	question  question
	set       *ruleSet
	keys      string // file of the keys of tokens, empty for none
	explained decide.Explanation
}

func (x *explanation) print(w io.Writer) {
	in, d := &x.question.in, x.explained.Decision
	fmt.Fprintf(w, "%s %s, app %s, addr %s, at %s\n", in.Call, word(in.Name), word(in.App), word(in.Addr), x.question.at.UTC().Format(time.RFC3339Nano))
	for _, f := range in.Custom.List() {
		fmt.Fprintf(w, "  custom %s = %s\n", word(f.Key), word(f.Value))
	}
	fmt.Fprintf(w, "rules of %s\n\n", clean(x.set.from))
	for _, c := range x.explained.Considered {
		fmt.Fprintf(w, "  %s\n", describe(c))
		if c.Failed != decide.NoCondition {
			x.printFailed(w, c)
		}
	}
	for _, c := range x.explained.Shadow {
		fmt.Fprintf(w, "  shadow: %s\n", describe(c))
	}
	if len(x.explained.Considered) == 0 {
		fmt.Fprintln(w, "  no rule could match")
	}
	if x.explained.Undecidable {
		fmt.Fprint(w, "\nUNDECIDABLE: it depends on a value that was not recorded\n")
	} else {
		fmt.Fprintf(w, "\n%s%s\n", strings.ToUpper(d.Effect.String()), because(d))
	}
	x.printKeys(w)
	x.printRecorded(w)
}

// printKeys tells with which keys a token failed: a bridge may have others.
func (x *explanation) printKeys(w io.Writer) {
	failed := func(c decide.Considered) bool { return c.Failed == decide.ConditionToken }
	switch {
	case !slices.ContainsFunc(slices.Concat(x.explained.Considered, x.explained.Shadow), failed):
	case x.keys == "":
		fmt.Fprintln(w, "tokens were checked without keys: name the bridge's with --keys-file or BRIDGE_KEYS_FILE")
	default:
		fmt.Fprintf(w, "tokens were checked with the keys in %s\n", shown(x.keys))
	}
}

// decision is what was decided, for scripts.
func (x *explanation) decision() outcome {
	if x.explained.Undecidable {
		return outcome{Effect: "undecidable"}
	}
	return outcomeOf(x.explained.Decision)
}

func because(d decide.Decision) string {
	if d.Rule == "" {
		return ": " + shown(d.Reason)
	}
	if d.Reason == "" {
		return " by " + shown(d.Rule)
	}
	return " by " + shown(d.Rule) + ": " + shown(d.Reason)
}

// describe is one considered rule in a line.
func describe(c decide.Considered) string {
	text := fmt.Sprintf("%s: %s, priority %d, found by %s: %s", shown(c.Rule), c.Effect, c.Priority, c.Index, c.Outcome)
	if c.Failed != decide.NoCondition {
		text += ": " + string(c.Failed)
	}
	if c.Field != "" {
		text += " " + shown(c.Field)
	}
	if c.Why != "" {
		text += ": " + clean(c.Why)
	}
	return text
}

// printFailed shows the condition that failed, as the document has it.
func (x *explanation) printFailed(w io.Writer, c decide.Considered) {
	if want := x.set.condition(c); len(want) > 0 {
		fmt.Fprintf(w, "      wants %s\n", shownJSON(want))
	}
}

// condition returns the failed condition in its document's own text.
func (s *ruleSet) condition(c decide.Considered) json.RawMessage {
	for _, doc := range s.docs {
		if want := doc.Wants(c); want != nil {
			return want
		}
	}
	return nil
}

// printRecorded compares with what was answered then.
func (x *explanation) printRecorded(w io.Writer) {
	e := x.question.recorded
	if e == nil {
		return
	}
	for _, f := range x.question.in.Custom.List() {
		if decide.Redacted(f.Value) {
			fmt.Fprintf(w, "custom %s was redacted\n", shown(f.Key))
		}
	}
	if e.Decision != nil {
		fmt.Fprintf(w, "recorded: %s by %s, reason %s, revision %d\n", shown(e.Decision.Effect), shown(e.Decision.Rule), shown(e.Decision.Reason), e.Decision.Revision)
	}
}

// withWants adds the failed conditions.
func (x *explanation) withWants(considered []decide.Considered) []decide.Considered {
	all := append([]decide.Considered{}, considered...)
	for i := range all {
		all[i].Wants = x.set.condition(all[i])
	}
	return all
}

func (x *explanation) printJSON(w io.Writer) error {
	result := struct {
		Call       string              `json:"call"`
		Name       string              `json:"name"`
		App        string              `json:"app"`
		Addr       string              `json:"addr"`
		Custom     subjects.Fields     `json:"custom"`
		At         time.Time           `json:"at"`
		From       string              `json:"from"`
		Decision   outcome             `json:"decision"`
		Considered []decide.Considered `json:"considered"`
		Shadow     []decide.Considered `json:"shadow,omitempty"`
		Redacted   []string            `json:"redacted,omitempty"`
		Recorded   *subjects.Decision  `json:"recorded,omitempty"`
	}{
		Call: x.question.in.Call.String(), Name: x.question.in.Name, App: x.question.in.App, Addr: x.question.in.Addr,
		Custom: *x.question.in.Custom, At: x.question.at.UTC(), From: x.set.from,
		Decision: x.decision(), Considered: x.withWants(x.explained.Considered), Shadow: x.withWants(x.explained.Shadow),
	}
	for _, f := range x.question.in.Custom.List() {
		if decide.Redacted(f.Value) {
			result.Redacted = append(result.Redacted, f.Key)
		}
	}
	if x.question.recorded != nil {
		result.Recorded = x.question.recorded.Decision
	}
	return writeJSON(w, result)
}
