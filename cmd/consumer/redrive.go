package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"bintubridge/bridge/settings"
	"bintubridge/consumers"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
)

func newRedrive(environ []string) *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use: "redrive NAME", Short: "Send a consumer's dead letters again", Args: cobra.ExactArgs(1),
		Long: `Publishes what the consumer NAME has set aside in the stream DEAD where it came from, and takes
it out of DEAD. Consumers of this program other than NAME pass it by; others tell it by
the event's id, which stays the same. Prints one JSON object a letter. One that cannot be sent stays
in DEAD, with its "error", and holds up none behind it; the exit code is 1 then.

The consumer's name is that of its durable consumer, as in dead.NAME.stream.publish. NATS is
found by the environment; "bridgectl setup permissions redrive" prints a user who may do this:

` + settings.Usage[natsConfig](),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := load[commonConfig](environ)
			if err != nil {
				return err
			}
			js, err := cfg.NATS.connectNow("redrive")
			if err != nil {
				return err
			}
			defer js.Conn().Close()
			out := json.NewEncoder(cmd.OutOrStdout())
			letters := 0
			err = consumers.Redrive(cmd.Context(), js, args[0], dryRun, func(l consumers.Letter) error {
				letters++
				return out.Encode(l)
			})
			if told := js.Conn().LastError(); err != nil && errors.Is(told, nats.ErrPermissionViolation) {
				err = fmt.Errorf("%w: %w", err, told) // who may not ask gets no answer
			}
			if err == nil && letters == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "no dead letters of", args[0])
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only list what would be sent")
	return cmd
}
