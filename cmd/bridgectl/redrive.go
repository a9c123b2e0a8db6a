package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"bintubridge/bridge/forward"
)

// ackTimeout bounds the wait for one ack.
const ackTimeout = 5 * time.Second

func newRedrive(env environment) *cobra.Command {
	output := formats("text", "json")
	var file, url string
	var ids []string
	var dryRun bool
	cmd := &cobra.Command{
		Use: "redrive", Short: "Send dead letters again", Args: atMost(0),
		Long: `Sends the events of the dead-letter file to JetStream again, with the ids they
always had: a copy that is there already is dropped within the duplicate window,
and consumers drop it later on. What JetStream has acked moves to FILE.redriven;
what it refuses stays in FILE with the new reason, and the exit code is 1. The bridge may
run and write to the file meanwhile. FILE may also be what export has written.

A redrive that was killed leaves FILE.redriving; the next one takes it in.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			box := &letterBox{path: file, wanted: file != ""}
			if file == "" {
				box.path = filepath.Join(dataDir(env.getenv), "dead-letters.jsonl")
			}
			r := redriver{ids: ids, through: map[string]bool{}, result: redriven{Sent: []sent{}, Kept: []kept{}}}
			empty, err := box.empty()
			if err != nil {
				return err
			}
			if dryRun {
				if err := box.read(r.list); err != nil {
					return err
				}
				return r.report(cmd, output.name)
			}
			if empty {
				return r.report(cmd, output.name)
			}
			js, nc, err := connect(url, env)
			if err != nil {
				return err
			}
			defer nc.Close()
			r.publish = js.PublishMsg
			shown := startProgress(cmd, output, false, "line", 0)
			err = box.take(func(line []byte) ([]byte, bool) {
				shown.add(1)
				return r.redrive(cmd.Context(), line)
			})
			shown.end()
			return errors.Join(err, r.report(cmd, output.name))
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&file, "file", "f", "", "dead-letter file (default: dead-letters.jsonl in the bridge's data folder)")
	flags.StringVar(&url, "nats-url", "", "NATS server (default: NATS_URL, or the embedded server's address)")
	flags.StringSliceVar(&ids, "id", nil, "only events with these ids; may be given several times")
	flags.BoolVar(&dryRun, "dry-run", false, "only list what would be sent")
	addQuiet(cmd)
	flags.VarP(output, "output", "o", "form of the result")
	return cmd
}

// redriven is the result of a redrive.
type redriven struct {
	Sent []sent `json:"sent"`
	Kept []kept `json:"kept"`

	Stopped string `json:"stopped,omitempty"` // why the rest was not tried
	dryRun  bool
}

type sent struct {
	ID        string `json:"id"`
	Subject   string `json:"subject"`
	Stream    string `json:"stream,omitempty"`
	StreamSeq uint64 `json:"stream_seq,omitempty"`
	Duplicate bool   `json:"duplicate,omitempty"` // it was there already
}

type kept struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

// redriver sends letters one after the other.
type redriver struct {
	ids     []string // all when empty
	publish func(context.Context, *nats.Msg, ...jetstream.PublishOpt) (*jetstream.PubAck, error)
	through map[string]bool // ids that were sent
	result  redriven
}

// redrive sends the letter in line. It returns the line that is to stay in the file when
// it does not go through.
func (r *redriver) redrive(ctx context.Context, line []byte) (stays []byte, through bool) {
	letter, msg, ok := r.open(line)
	if ok && r.through[letter.ID] {
		return nil, true // a second copy of the line
	}
	if !ok || r.result.Stopped != "" {
		return line, false
	}
	wait, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	ack, err := r.publish(wait, msg, jetstream.WithRetryAttempts(0))
	if err != nil && !refusal(err) {
		r.result.Stopped = err.Error()
		return line, false
	}
	if err != nil {
		r.result.Kept = append(r.result.Kept, kept{letter.ID, err.Error()})
		letter.At, letter.Reason = time.Now().UTC(), err.Error()
		if again, err := json.Marshal(letter); err == nil {
			line = again
		}
		return line, false
	}
	r.through[letter.ID] = true
	r.result.Sent = append(r.result.Sent, sent{letter.ID, msg.Subject, ack.Stream, ack.Sequence, ack.Duplicate})
	return nil, true
}

// list is redrive without sending.
func (r *redriver) list(line []byte) {
	r.result.dryRun = true
	if letter, msg, ok := r.open(line); ok && !r.through[letter.ID] {
		r.through[letter.ID] = true
		r.result.Sent = append(r.result.Sent, sent{ID: letter.ID, Subject: msg.Subject})
	}
}

// open reads a line of the file. A letter that cannot be sent is kept; one that was
// not asked for is not even mentioned.
func (r *redriver) open(line []byte) (forward.DeadLetter, *nats.Msg, bool) {
	var letter forward.DeadLetter
	err := json.Unmarshal(line, &letter)
	if err == nil && len(r.ids) > 0 && !slices.Contains(r.ids, letter.ID) {
		return letter, nil, false
	}
	var msg *nats.Msg
	if err == nil {
		msg, err = letter.Message()
	}
	if err != nil {
		if len(r.ids) == 0 || letter.ID != "" {
			r.result.Kept = append(r.result.Kept, kept{letter.ID, err.Error()})
		}
		return letter, nil, false
	}
	return letter, msg, true
}

// refusal says whether the server, or the client in its place, has answered no to
// this very message. Any other error will meet the next message too.
func refusal(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) || errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrBadSubject) ||
		errors.Is(err, jetstream.ErrNoStreamResponse)
}

// report prints the result. It is an error when something stays in the file.
func (r *redriver) report(cmd *cobra.Command, output string) error {
	w, res := cmd.OutOrStdout(), r.result
	if output == "json" {
		if err := writeJSON(w, res); err != nil {
			return err
		}
	} else {
		r.print(w)
	}
	switch {
	case res.Stopped != "":
		return fmt.Errorf("%s sent, then NATS was gone: %s; the rest stays in the file, redrive again later", plural(len(res.Sent), "event"), res.Stopped)
	case len(res.Kept) > 0:
		return fmt.Errorf("%s cannot be sent; each stays in the file with its reason", plural(len(res.Kept), "event"))
	}
	return nil
}

func (r *redriver) print(w io.Writer) {
	for _, s := range r.result.Sent {
		switch {
		case r.result.dryRun:
			fmt.Fprintf(w, "%s: would be sent to %s\n", s.ID, s.Subject)
		case s.Duplicate:
			fmt.Fprintf(w, "%s: is in %s already, sequence %d\n", s.ID, s.Stream, s.StreamSeq)
		default:
			fmt.Fprintf(w, "%s: sent to %s, sequence %d of %s\n", s.ID, s.Subject, s.StreamSeq, s.Stream)
		}
	}
	for _, k := range r.result.Kept {
		fmt.Fprintf(w, "%s: stays: %s\n", orDash(k.ID), k.Reason)
	}
	if len(r.result.Sent)+len(r.result.Kept) == 0 {
		fmt.Fprintln(w, "no dead letters to send")
	}
}
