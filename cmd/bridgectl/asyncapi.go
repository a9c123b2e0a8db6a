package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"bintubridge/subjects"
)

func newAsyncAPI() *cobra.Command {
	return &cobra.Command{
		Use: "asyncapi", Short: "Print the AsyncAPI document of subjects and payloads", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			doc, err := subjects.AsyncAPI()
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), string(doc))
			return nil
		},
	}
}
