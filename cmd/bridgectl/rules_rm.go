package main

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newRulesRm(env environment) *cobra.Command {
	output := formats("text", "json")
	flags := bucketFlags{environment: env}
	p := push{}
	var yes bool
	cmd := &cobra.Command{
		Use: "rm KEY", Short: "Delete a document", Args: exactly(1),
		Long: `Deletes a key, and with it its rules, after asking; --yes does not ask. Its history
stays: rollback brings it back.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkStored(args[0]); err != nil {
				return usageError{err}
			}
			b, err := flags.open(cmd.Context())
			if err != nil {
				return err
			}
			defer b.close()
			old, err := b.live(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if !yes && !p.dryRun {
				question := fmt.Sprintf("delete %s, revision %d, %s?", shown(old.key), old.revision, plural(show(old).Rules, "rule"))
				if err := confirm(cmd, question); err != nil {
					return err
				}
			}
			p.bucket, p.out, p.json = b, cmd.OutOrStdout(), output.name == "json"
			return p.remove(cmd.Context(), old)
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&p.dryRun, "dry-run", false, "only show what would change")
	p.wait.add(cmd)
	cmd.Flags().VarP(output, "output", "o", "form of the result")
	return cmd
}

// errDeclined is the operator's no.
var errDeclined = errors.New("nothing was changed")

// confirm asks the person at the terminal. Where nobody answers, only --yes is a yes.
func confirm(cmd *cobra.Command, question string) error {
	fmt.Fprint(cmd.ErrOrStderr(), question+" [y/N] ")
	answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	answer = strings.ToLower(strings.TrimSpace(answer))
	switch {
	case answer == "y" || answer == "yes":
		return nil
	case answer == "" && err != nil:
		fmt.Fprintln(cmd.ErrOrStderr())
		return fmt.Errorf("%w: nobody answered; give --yes", errDeclined)
	}
	return errDeclined
}
