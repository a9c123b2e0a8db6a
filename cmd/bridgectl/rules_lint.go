package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"bintubridge/bridge/decide"
)

func newRulesLint(env environment) *cobra.Command {
	output := formats("text", "json")
	flags := sourceFlags{bucketFlags: bucketFlags{environment: env}}
	var strict bool
	cmd := &cobra.Command{
		Use: "lint [DIR|FILE...]", Short: "Warn of rules that are most likely mistakes",
		Long: `Compiles the documents of folders and files, or of the live bucket when none is
named, and warns of rules that

    never     can never match
    expired   are over
    shadowed  do nothing, because another rule matches whatever they match and goes
              before them
    slow      are looked at for every request, as are many others
    keyless   want a token by keys that --keys-file does not have

The first three are certain: such a rule decides nothing. The exit code is 1 when a
document does not compile, and with --strict when there is a warning.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			flags.paths = args
			flags.progress = startProgress(cmd, output, false, "document", 0)
			set, warnings, err := flags.lint(cmd.Context())
			flags.progress.end()
			if err != nil {
				return err
			}
			if len(args) > 0 && len(set.docs) == 0 {
				return fmt.Errorf("%s has no %s file", clean(set.from), fileSuffix)
			}
			if err := printWarnings(cmd, output.name, set, warnings); err != nil {
				return err
			}
			switch {
			case len(set.notes) > 0:
				return fmt.Errorf("%s %s not compile", plural(len(set.notes), "document"), does(len(set.notes)))
			case strict && len(warnings) > 0:
				return errors.New(plural(len(warnings), "warning"))
			}
			return nil
		},
	}
	flags.add(cmd)
	addQuiet(cmd)
	flags.addKeys(cmd)
	cmd.Flags().BoolVar(&strict, "strict", false, "fail when there is a warning")
	cmd.Flags().VarP(output, "output", "o", "form of the result")
	return cmd
}

// lint loads the rules and looks through them.
func (f *sourceFlags) lint(ctx context.Context) (*ruleSet, []decide.Warning, error) {
	keys, err := f.keys()
	if err != nil {
		return nil, nil, err
	}
	set, err := f.load(ctx)
	if err != nil {
		return nil, nil, err
	}
	f.progress.next("document", uint64(len(set.docs)))
	return set, decide.Check(set.docs, keys, time.Now(), func() { f.progress.add(1) }), nil
}

func printWarnings(cmd *cobra.Command, output string, set *ruleSet, warnings []decide.Warning) error {
	w := cmd.OutOrStdout()
	if output == "json" {
		type shownWarning struct {
			Rule string `json:"rule"`
			Kind string `json:"kind"`
			Text string `json:"text"`
		}
		list := make([]shownWarning, 0, len(warnings))
		for _, warning := range warnings {
			list = append(list, shownWarning{warning.Rule, string(warning.Kind), warning.Text})
		}
		return writeJSON(w, map[string]any{"from": set.from, "warnings": list, "refused": append([]string{}, set.notes...)})
	}
	for _, note := range set.notes {
		fmt.Fprintln(w, note)
	}
	for _, warning := range warnings {
		fmt.Fprintf(w, "%s: %s: %s\n", shown(warning.Rule), warning.Kind, warning.Text)
	}
	rules := 0
	for _, doc := range set.docs {
		rules += doc.Rules()
	}
	fmt.Fprintf(w, "%s in %s of %s: %s\n", plural(rules, "rule"), plural(len(set.docs), "document"), clean(set.from), plural(len(warnings), "warning"))
	return nil
}
