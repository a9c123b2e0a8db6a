package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"bintubridge/bridge/webhook"
	"bintubridge/subjects"
)

// sampleFlags are what the sample calls say.
type sampleFlags struct {
	dialect, name, addr, args string
}

// sampled is a sample call and its answer.
type sampled struct {
	Call   string  `json:"call"`
	Status int     `json:"status"` // 0: there was none
	MS     float64 `json:"ms"`
	Error  string  `json:"error,omitempty"`
}

func newWebhookTest(getenv func(string) string) *cobra.Command {
	output := formats("text", "json")
	var f sampleFlags
	cmd := &cobra.Command{
		Use: "test [URL]", Short: "Send the five calls of bintu to a running bridge", Args: atMost(1),
		Long: `Sends the five calls that bintu makes, and prints what was answered: publish,
update_publish, play, play_done and publish_done of one stream. They become events as real
ones do. Without URL it is that of the bridge's environment. The exit code is 1
when one of them is not answered by 200 or 403, or a told one not by 200.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			text := ""
			if len(args) == 1 {
				text = args[0]
			}
			to, err := hookOf(text, getenv)
			if err != nil {
				return err
			}
			dialect, err := dialectOf(f.dialect, getenv)
			if err != nil {
				return err
			}
			results, err := f.send(cmd.Context(), to, dialect)
			if output.name == "json" {
				return errors.Join(err, writeJSON(cmd.OutOrStdout(), results))
			}
			for _, r := range results {
				answer := r.Error
				if r.Status != 0 {
					answer = fmt.Sprintf("%d %s", r.Status, http.StatusText(r.Status))
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%-14s  %-13s  %.1f ms\n", r.Call, answer, r.MS)
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.dialect, "dialect", "", "order of the fields, bintu or nginx-rtmp (default: BRIDGE_DIALECT, or bintu)")
	flags.StringVar(&f.name, "name", "CD6xx-123456", "name of the stream")
	flags.StringVar(&f.addr, "addr", "17.31.43.214", "address of the client")
	flags.StringVar(&f.args, "args", "", "what the client writes behind the '?' of the stream name, as foo=bar&batz=12345")
	cmd.Flags().VarP(output, "output", "o", "form of the result")
	return cmd
}

// send sends all of them, whatever is answered.
func (f *sampleFlags) send(ctx context.Context, to hook, dialect webhook.Dialect) ([]sampled, error) {
	c := caller{hook: to}
	defer c.close()
	calls := [...]subjects.Call{subjects.Publish, subjects.UpdatePublish, subjects.Play, subjects.PlayDone, subjects.PublishDone}
	results := make([]sampled, 0, len(calls))
	bad := 0
	for _, call := range calls {
		began := time.Now()
		status, err := c.post(ctx, f.body(dialect, call))
		r := sampled{Call: call.String(), Status: status, MS: float64(time.Since(began).Microseconds()) / float64(time.Millisecond/time.Microsecond)}
		if err != nil {
			r.Status, r.Error = 0, withoutPorts(err)
		}
		if r.Status != http.StatusOK && (r.Status != http.StatusForbidden || !call.Asks()) {
			bad++
		}
		results = append(results, r)
	}
	if bad > 0 {
		return results, fmt.Errorf("%d of %d calls to %s were not answered as they should be%s", bad, len(results), to, likely(results[len(results)-1].Status))
	}
	return results, nil
}

// likely says why a bridge answers a told call so.
func likely(status int) string {
	switch status {
	case http.StatusNotFound:
		return ": the path or its secret is another (BRIDGE_HOOK_PATH, BRIDGE_HOOK_SECRETS)"
	case http.StatusForbidden:
		return ": this address is not in BRIDGE_ALLOW_FROM"
	}
	return ""
}

func (f *sampleFlags) body(dialect webhook.Dialect, call subjects.Call) []byte {
	r := webhook.Request{
		Call: call, Name: f.name, App: "live", Addr: f.addr, ClientID: "123456",
		Type: "live", Start: "0", Duration: "0", Reset: "0", Time: "30", Timestamp: "29923", BytesIn: "575", BytesOut: "8516372",
	}
	return webhook.AppendBody(nil, dialect, &r, f.args)
}
