package main

import (
	"github.com/spf13/cobra"
)

func newRoot(environ []string) *cobra.Command {
	root := &cobra.Command{
		Use:   "consumer NAME",
		Short: "Runs one of the consumers of the bridge's events",
		Long: `Runs one of the consumers of the bridge's events. Its configuration comes from the
environment; consumer NAME -h lists the variables.`,
		SilenceErrors: true, SilenceUsage: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newSessions(environ), newAnalytics(environ), newNotify(environ), newChat(environ), newRedrive(environ), newHealth(environ), newVersion())
	return root
}
