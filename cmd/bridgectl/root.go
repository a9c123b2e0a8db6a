package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitOK      = 0
	exitProblem = 1 // something is wrong with what was looked at, or the command failed
	exitUsage   = 2 // the command line is wrong
)

// environment is what a command is called in: the variables, and how long others may take.
type environment struct {
	getenv  func(string) string
	connect time.Duration // to reach a server
	request time.Duration // for each answer of NATS
	propose time.Duration // to connect for a completion, and as long again for each answer
}

// streams are where a command writes: results to out, what is for the operator
// alone to err.
type streams struct {
	out, err io.Writer
}

// usageError is a mistake on the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// run carries out the command line and returns the exit code. Each error is
// printed here and nowhere else.
func run(ctx context.Context, s streams, env environment, args []string) int {
	root := newRoot(env)
	out := &failing{Writer: s.out}
	root.SetOut(out)
	root.SetErr(s.err)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = out.err
	}
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(s.err, "bridgectl:", strings.Join(lines(err), "\n"))
	if usage := (usageError{}); errors.As(err, &usage) {
		return exitUsage
	}
	return exitProblem
}

func newRoot(env environment) *cobra.Command {
	root := newGroup("bridgectl", "The operator's tool of the bintu bridge", `
Exit codes: 0 all is well, 1 a problem was found or the command failed, 2 the
command line is wrong. The folder and NATS are those of the bridge when its
environment is set: BRIDGE_DATA_DIR, NATS_URL and the other NATS_ variables.

--output json is for scripts: names of fields are lower case with _, fields are added
over time and never renamed, and nothing else is on the standard output. edit, show-curl
and completion have a form of their own, asyncapi is JSON anyway.

"bridgectl completion --help" says how a shell completes commands, keys and values.`)
	root.CompletionOptions.DisableDefaultCmd = true // newCompletion's exit codes are those of the others
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	spool := newGroup("spool", "Look into the spool, repair it, and send again what was not delivered", `
inspect, verify and export only read, and may be used while the bridge runs.
repair needs a stopped bridge. redrive needs NATS, which with the embedded server
means a running bridge.`)
	spool.AddCommand(newInspect(env.getenv), newVerify(env.getenv), newRepair(env.getenv), newExport(env.getenv), newRedrive(env))
	root.AddCommand(newSetup(env), newRules(env), newExplain(env), newStatus(env), newTail(env), spool, newToken(env.getenv),
		newWebhook(env.getenv), newSimulate(env), newAsyncAPI(), newVersion(), newBench(), newBenchServe(), newCompletion())
	addCompletions(root, env)
	return root
}

// newGroup returns a command that only has subcommands.
func newGroup(name, short, long string) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short, Long: short + ".\n" + long,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				meant := ""
				if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
					meant = fmt.Sprintf(", is %s meant?", strings.Join(near, " or "))
				}
				return usageError{fmt.Errorf("unknown command %q%s; see %s --help", args[0], meant, cmd.CommandPath())}
			}
			return usageError{fmt.Errorf("a command is wanted: %s; see %s --help", subcommands(cmd), cmd.CommandPath())}
		},
		Args: cobra.ArbitraryArgs, SuggestionsMinimumDistance: 2,
	}
}

func subcommands(cmd *cobra.Command) string {
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return strings.Join(names, ", ")
}

// atMost takes no more than n arguments.
func atMost(n int) cobra.PositionalArgs { return wanted(cobra.MaximumNArgs(n)) }

// exactly takes n arguments.
func exactly(n int) cobra.PositionalArgs { return wanted(cobra.ExactArgs(n)) }

// wanted makes another number of arguments a mistake on the command line.
func wanted(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			if wait := cmd.Flags().Lookup("wait"); wait != nil && wait.Changed {
				err = fmt.Errorf("%w (a time goes with --wait as --wait=5s)", err)
			}
			return usageError{fmt.Errorf("%w: %s; see %s --help", err, cmd.UseLine(), cmd.CommandPath())}
		}
		return nil
	}
}

// exclusive makes more than one of the flags a mistake on the command line.
func exclusive(cmd *cobra.Command, names ...string) error {
	var given []string
	for _, name := range names {
		if cmd.Flags().Changed(name) {
			given = append(given, "--"+name)
		}
	}
	if len(given) > 1 {
		return usageError{fmt.Errorf("%s exclude each other; see %s --help", strings.Join(given, " and "), cmd.CommandPath())}
	}
	return nil
}
