package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"bintubridge/bridge/decide"
)

// shownEntry is a version of a key for scripts.
type shownEntry struct {
	Key      string          `json:"key"`
	Revision uint64          `json:"revision"`
	Time     time.Time       `json:"time"`
	TTL      string          `json:"ttl,omitempty"`
	Expires  *time.Time      `json:"expires,omitempty"`
	Deleted  bool            `json:"deleted,omitempty"`
	Bytes    int             `json:"bytes"`
	Rules    int             `json:"rules"`
	Error    string          `json:"error,omitempty"` // why a bridge refuses it
	Document json.RawMessage `json:"document,omitempty"`
	Text     string          `json:"text,omitempty"` // in the place of a document that is no JSON
}

func show(e *entry) shownEntry {
	s := shownEntry{Key: e.key, Revision: e.revision, Time: e.at.UTC(), Deleted: e.deleted, Bytes: len(e.data)}
	if e.ttl > 0 {
		end := e.at.Add(e.ttl).UTC()
		s.TTL, s.Expires = e.ttl.String(), &end
	}
	if e.deleted {
		return s
	}
	doc, err := compileEntry(e)
	if err != nil {
		s.Error = err.Error()
		return s
	}
	s.Rules = doc.Rules()
	return s
}

// compileEntry compiles a document as a bridge does, which looks at its key too.
func compileEntry(e *entry) (*decide.Document, error) {
	if err := checkKey(e.key); err != nil {
		return nil, err
	}
	return decide.Compile(e.key, e.data)
}

func newRulesGet(env environment) *cobra.Command {
	output := formats("text", "json")
	flags := bucketFlags{environment: env}
	var revision uint64
	cmd := &cobra.Command{
		Use: "get KEY", Short: "Print a document", Args: exactly(1),
		Long: `Prints the document of a key, as it was pushed, to standard output. --output json
gives it with its revision, time and TTL. --revision gives an older version of those
that history shows.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkStored(args[0]); err != nil {
				return usageError{err}
			}
			b, err := flags.open(cmd.Context())
			if err != nil {
				return err
			}
			defer b.close()
			var e *entry
			if revision == 0 {
				e, err = b.live(cmd.Context(), args[0])
			} else {
				e, err = b.version(cmd.Context(), args[0], revision)
			}
			if err != nil {
				return err
			}
			if output.name == "json" {
				s := show(e)
				if s.Document = e.data; !json.Valid(e.data) {
					s.Document, s.Text = nil, string(e.data)
				}
				return writeJSON(cmd.OutOrStdout(), s)
			}
			_, err = cmd.OutOrStdout().Write(withLineEnd(safeDocument(e.data)))
			return err
		},
	}
	flags.add(cmd)
	cmd.Flags().Uint64Var(&revision, "revision", 0, "an older version")
	cmd.Flags().VarP(output, "output", "o", "form of the result")
	return cmd
}

// safeDocument is the document byte for byte when it is JSON, which has no control
// characters but in white space; else what a terminal may get of it.
func safeDocument(data []byte) []byte {
	if json.Valid(data) {
		return data
	}
	return []byte(clean(string(data)))
}

func withLineEnd(data []byte) []byte {
	if len(data) == 0 || data[len(data)-1] != '\n' {
		return append(data[:len(data):len(data)], '\n')
	}
	return data
}

// age says how long ago something was, in one unit.
func age(since, now time.Time) string {
	switch d := now.Sub(since); {
	case d < 0:
		return "0s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	default:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
}
