package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"bintubridge/bridge/forward"
	"bintubridge/bridge/spool"
	"bintubridge/subjects"
)

// exported is one line of an export. It has what a dead letter has, so that
// redrive takes it.
type exported struct {
	Seq     uint64          `json:"seq"`
	ID      string          `json:"id"`
	Lost    bool            `json:"lost,omitempty"` // it stands behind damage, where the bridge does not read
	Subject string          `json:"subject,omitempty"`
	Header  nats.Header     `json:"header,omitempty"`
	Event   json.RawMessage `json:"event,omitempty"`
	Reason  string          `json:"reason,omitempty"` // why there is a record instead of an event
	Record  []byte          `json:"record,omitempty"` // base64
}

func newExport(getenv func(string) string) *cobra.Command {
	output := formats("json", "raw")
	var e exporter
	cmd := &cobra.Command{
		Use: "export [DIR]", Short: "Write events as JSON lines", Args: atMost(1),
		Long: `Writes the events in the spool, one a line, in the spool's order: as JSON with
sequence, id, subject, headers and event, or with --output raw the events alone, as
consumers get them. Events behind damage are among them, marked "lost". It only
reads, and may be used while the bridge runs.

--lost writes only those that stand behind damage, in segments that were set
aside too: what the bridge could not read. redrive sends such a file:

    bridgectl spool export --lost > lost.jsonl
    bridgectl spool redrive --file lost.jsonl`,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := spoolDir(args, getenv)
			if err != nil {
				return err
			}
			switch {
			case e.from > e.to:
				return usageError{fmt.Errorf("--from %d is behind --to %d", e.from, e.to)}
			case e.unacked && e.lost:
				return usageError{errors.New("--unacked and --lost exclude each other: what is lost was passed over, whatever the cursor says")}
			}
			e.raw = output.name == "raw"
			if !cmd.Flags().Changed("output") || e.raw {
				e.progress = startProgress(cmd, &format{}, true, "record", 0)
				defer e.progress.end()
			}
			return e.run(dir, cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	addQuiet(cmd)
	flags.VarP(output, "output", "o", "form of the lines")
	flags.Uint64Var(&e.from, "from", 1, "first sequence")
	flags.Uint64Var(&e.to, "to", math.MaxUint64, "last sequence")
	flags.BoolVar(&e.unacked, "unacked", false, "only events that JetStream has not acked")
	flags.BoolVar(&e.lost, "lost", false, "only events that the bridge could not read")
	return cmd
}

// exporter writes the events that its flags choose.
type exporter struct {
	from, to           uint64
	unacked, lost, raw bool

	out      *bufio.Writer
	progress *progress
	unusable int // records that hold no event this version can read
}

func (e *exporter) run(dir string, w io.Writer) error {
	e.out = bufio.NewWriter(w)
	records := spool.Records
	if e.lost {
		records = spool.LostRecords
	}
	if e.unacked {
		e.from = max(e.from, spool.ReadCursor(dir).Seq+1)
	}
	err := records(dir, func(rec spool.Record) error {
		e.progress.add(1)
		if rec.Seq < e.from || rec.Seq > e.to {
			return nil
		}
		return e.write(rec)
	})
	if err = errors.Join(err, e.out.Flush()); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if e.unusable > 0 {
		return fmt.Errorf("export: %s without an event that this version can read; try the bridgectl of the version that wrote them",
			plural(e.unusable, "record"))
	}
	return nil
}

func (e *exporter) write(rec spool.Record) error {
	line := exported{Seq: rec.Seq, ID: string(subjects.AppendID(nil, rec.SpoolID, rec.Seq)), Lost: rec.Lost}
	msg, err := forward.Decode(rec.Payload, rec.SpoolID, rec.Seq)
	if err == nil && !json.Valid(msg.Data) {
		err = errors.New("the event is no JSON")
	}
	switch {
	case err != nil:
		e.unusable++
		line.Reason, line.Record = err.Error(), rec.Payload
	case e.raw:
		_, err := e.out.Write(append(msg.Data, '\n'))
		return err
	default:
		line.Subject, line.Header, line.Event = msg.Subject, msg.Header, msg.Data
	}
	if e.raw {
		return nil
	}
	enc := json.NewEncoder(e.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(line)
}
