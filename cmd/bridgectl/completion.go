package main

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"bintubridge/subjects"
)

const maxProposals = 1000

// newCompletion returns the commands that print a shell's script.
func newCompletion() *cobra.Command {
	group := newGroup("completion", "Print a script that completes commands, keys and values in a shell", `
For this shell alone:   bash  source <(bridgectl completion bash)
                        zsh   source <(bridgectl completion zsh)
                        fish  bridgectl completion fish | source
For good, write it to   bash  /etc/bash_completion.d/bridgectl
                        zsh   a file _bridgectl in a folder of $fpath
                        fish  ~/.config/fish/completions/bridgectl.fish
bash needs its package bash-completion. Keys of rules come from NATS, by the bridge's
environment, --nats-url and --bucket; none are proposed when it does not answer at once.`)
	for shell, write := range map[string]func(root *cobra.Command, w io.Writer) error{
		"bash": func(root *cobra.Command, w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"zsh":  func(root *cobra.Command, w io.Writer) error { return root.GenZshCompletion(w) },
		"fish": func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) },
	} {
		group.AddCommand(&cobra.Command{
			Use: shell, Short: "Print the script for " + shell, Args: exactly(0), ValidArgsFunction: cobra.NoFileCompletions,
			RunE: func(cmd *cobra.Command, _ []string) error { return write(cmd.Root(), cmd.OutOrStdout()) },
		})
	}
	return group
}

// addCompletions lets shells propose the values of flags and the keys of the bucket, in cmd and
// all below it.
func addCompletions(cmd *cobra.Command, env environment) {
	for _, sub := range cmd.Commands() {
		addCompletions(sub, env)
	}
	effects := []string{"allow", "deny"}
	values := map[string][]string{
		"call": calls(cmd.Name() == "tail"), "effect": effects, "default-publish": effects, "default-play": effects,
		"dialect": {"bintu", "nginx-rtmp"}, "alg": {"EdDSA", "ES256", "RS256", "HS256"},
		"bind": {"call", "name", "app", "addr", "clientid"},
	}
	if f := cmd.Flag("output"); f != nil {
		if output, ok := f.Value.(*format); ok {
			values["output"] = output.allowed
		}
	}
	for name, list := range values {
		if cmd.Flag(name) != nil {
			// Its error is a name that is not there, or there twice.
			_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(list, cobra.ShellCompDirectiveNoFileComp))
		}
	}
	if strings.Contains(cmd.Use, " KEY") {
		cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveDefault // a file, where there is another argument
			}
			return keysOf(cmd, env, begun), cobra.ShellCompDirectiveNoFileComp
		}
	}
}

// calls returns the names of the calls that ask, or of all and of the sessions' events.
func calls(all bool) []string {
	var names []string
	for c := subjects.UnknownCall + 1; c < subjects.NumCalls; c++ {
		if all || c.Asks() {
			names = append(names, c.String())
		}
	}
	if all {
		names = append(names, "session.started", "session.resumed", "session.ended", "session.lost")
	}
	return names
}

// keysOf returns the keys of the bucket that begin so, or as many as come in time. Where NATS does
// not answer, there are none.
func keysOf(cmd *cobra.Command, env environment, begun string) []string {
	env.connect, env.request = env.propose, env.propose
	flags := bucketFlags{environment: env}
	for flag, to := range map[string]*string{"nats-url": &flags.url, "bucket": &flags.name} {
		if f := cmd.Flag(flag); f != nil {
			*to = f.Value.String()
		}
	}
	b, err := flags.open(cmd.Context())
	if err != nil {
		return nil
	}
	defer b.close()
	ctx, cancel := context.WithTimeout(cmd.Context(), env.propose)
	defer cancel()
	var keys []string
	_ = b.read(ctx, jetstream.ConsumerConfig{ // what came before the error will do
		DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy, FilterSubject: b.subject(">"), HeadersOnly: true,
	}, func(e *entry) {
		if !e.deleted && strings.HasPrefix(e.key, begun) && checkKey(e.key) == nil && len(keys) < maxProposals {
			keys = append(keys, e.key)
		}
	})
	slices.Sort(keys)
	return keys
}
