package main

import (
	"cmp"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"bintubridge/subjects/provision"
)

// setupResult is what setup found and did.
type setupResult struct {
	Created []string `json:"created"`
	Missing []string `json:"missing"`
	Drift   []drift  `json:"drift"`
}

type drift struct {
	Object string `json:"object"`
	Field  string `json:"field"`
	Have   string `json:"have"`
	Want   string `json:"want"`
}

func newSetup(env environment) *cobra.Command {
	output := formats("text", "json")
	flags := bucketFlags{environment: env}
	var check bool
	var replicas int
	cmd := &cobra.Command{
		Use: "setup", Short: "Make the streams and buckets, or look how they differ", Args: exactly(0),
		Long: `Makes every stream and KV bucket of the bridge and its consumers that is missing. It
alters none: how those that are there differ from what is needed is shown, and is the
operator's to change ("nats stream edit", "nats kv edit"). With --check it makes nothing.
The exit code is 1 when something is missing or differs.

"setup permissions" prints users of NATS for whom nothing else is allowed, "setup
commands" what setup stands for in commands of the nats tool.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts, err := flags.provisioning(replicas)
			if err != nil {
				return err
			}
			if !check {
				opts.Mode = provision.Auto
			}
			js, nc, err := connect(flags.url, env)
			if err != nil {
				return err
			}
			defer nc.Close()
			report, failed := provision.Ensure(cmd.Context(), js, opts)
			result := setupResult{Created: append([]string{}, report.Created...), Missing: append([]string{}, report.Missing...), Drift: []drift{}}
			for _, d := range report.Drift {
				result.Drift = append(result.Drift, drift(d))
			}
			if output.name == "json" {
				err = writeJSON(cmd.OutOrStdout(), result)
			} else {
				printSetup(cmd.OutOrStdout(), result, failed == nil)
			}
			switch {
			case failed != nil:
				return failed
			case err != nil:
				return err
			case len(result.Missing)+len(result.Drift) > 0:
				return fmt.Errorf("%d missing, %s", len(result.Missing), plural(len(result.Drift), "difference"))
			}
			return nil
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&check, "check", false, "make nothing, only look")
	cmd.Flags().IntVar(&replicas, "replicas", 1, "servers that keep each stream and bucket, 1 to 5")
	cmd.Flags().VarP(output, "output", "o", "form of the result")
	cmd.AddCommand(newSetupPermissions(env), newSetupCommands(env))
	return cmd
}

// provisioning returns the options of what the bridge's environment and the flags say.
func (f *bucketFlags) provisioning(replicas int) (provision.Options, error) {
	if replicas < 1 || replicas > 5 {
		return provision.Options{}, usageError{fmt.Errorf("--replicas %d: want 1 to 5", replicas)}
	}
	return provision.Options{RulesBucket: cmp.Or(f.name, f.getenv("BRIDGE_RULES_BUCKET")), Replicas: replicas}, nil
}

func printSetup(w io.Writer, r setupResult, whole bool) {
	for _, name := range r.Created {
		fmt.Fprintln(w, "made:", name)
	}
	for _, name := range r.Missing {
		fmt.Fprintln(w, "missing:", name)
	}
	for _, d := range r.Drift {
		fmt.Fprintln(w, "differs:", provision.Drift(d))
	}
	if whole && len(r.Created)+len(r.Missing)+len(r.Drift) == 0 {
		fmt.Fprintln(w, "all streams and buckets are as they should be")
	}
}

func newSetupCommands(env environment) *cobra.Command {
	output := formats("text", "json")
	flags := bucketFlags{environment: env}
	var replicas int
	cmd := &cobra.Command{
		Use: "commands", Short: "Print the commands of the nats tool that setup stands for", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts, err := flags.provisioning(replicas)
			if err != nil {
				return err
			}
			commands, err := provision.Commands(opts)
			if err != nil {
				return err
			}
			if output.name == "json" {
				return writeJSON(cmd.OutOrStdout(), commands)
			}
			for _, c := range commands {
				fmt.Fprintln(cmd.OutOrStdout(), c)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&flags.name, "bucket", "", "KV bucket of the rules (default: BRIDGE_RULES_BUCKET, or rules)")
	cmd.Flags().IntVar(&replicas, "replicas", 1, "servers that keep each stream and bucket, 1 to 5")
	cmd.Flags().VarP(output, "output", "o", "form of the result; json is a list of texts")
	return cmd
}
