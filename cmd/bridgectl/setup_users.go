package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bintubridge/subjects"
	"bintubridge/subjects/provision"
)

// natsUser is a user of NATS with the least it needs.
type natsUser struct {
	User string `json:"user"`
	provision.Permissions
}

// roles are what setup permissions can print, in the order it does.
var roles = []string{"bridge", "rules", "reader", "sessions", "consumer", "chat", "notify", "redrive"}

// userFlags say whom setup permissions prints.
type userFlags struct {
	bucketFlags
	bridge, consumer string
	check            bool
}

func newSetupPermissions(env environment) *cobra.Command {
	output := formats("text", "json")
	f := userFlags{bucketFlags: bucketFlags{environment: env}}
	cmd := &cobra.Command{
		Use: "permissions [" + strings.Join(roles, "|") + "]...", Short: "Print users of NATS that may do what they need and nothing else",
		ValidArgs: roles, Args: wanted(cobra.OnlyValidArgs),
		Long: `Prints a block for the configuration of nats-server, with a user for each role that is
named, or for all of them. Passwords are variables of the server's environment:
BRIDGE_PASSWORD, RULES_PASSWORD and so on. The streams and buckets have to be there
("setup"); bridges set BRIDGE_PROVISION=off, or check with --check; consumers set
CONSUMER_PROVISION=off or check.

  bridge    a bridge and "spool redrive"; --bridge lets it show itself under this name alone
  rules     who reads, pushes, explains and replays rules with bridgectl
  reader    who only looks with bridgectl: tail, status, explain, replay, and reads rules
  sessions  the consumer that derives sessions
  consumer  analytics, or a consumer of one's own (--consumer), that reads EVENTS and SESSIONS
  chat      the consumer chat; as its rooms have consumers of names of their own, it may use,
            make and delete those of others of SESSIONS
  notify    the consumer notify and its subcommands
  redrive   who sends dead letters again with "consumer redrive", of all consumers`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.complete(); err != nil {
				return err
			}
			var users []natsUser
			for _, role := range roles {
				if len(args) == 0 || slices.Contains(args, role) {
					users = append(users, natsUser{role, f.permissions(role)})
				}
			}
			if output.name == "json" {
				return writeJSON(cmd.OutOrStdout(), users)
			}
			printUsers(cmd.OutOrStdout(), users)
			return nil
		},
	}
	cmd.Flags().StringVar(&f.name, "bucket", "", "KV bucket of the rules (default: BRIDGE_RULES_BUCKET, or rules)")
	cmd.Flags().StringVar(&f.bridge, "bridge", "", "BRIDGE_NAME of the bridge (default: any)")
	cmd.Flags().StringVar(&f.consumer, "consumer", "analytics", "name of the consumer")
	cmd.Flags().BoolVar(&f.check, "check", false, "let the bridge look at all streams and buckets, for BRIDGE_PROVISION=check")
	cmd.Flags().VarP(output, "output", "o", "form of the result")
	return cmd
}

// complete finds the bucket, and refuses what is no part of a subject.
func (f *userFlags) complete() error {
	if string(subjects.AppendToken(nil, f.consumer)) != f.consumer || f.consumer == "" {
		return usageError{fmt.Errorf("--consumer %q: want letters, digits, _ and -", f.consumer)}
	}
	f.name = cmp.Or(f.name, f.getenv("BRIDGE_RULES_BUCKET"), subjects.BucketRules)
	if strings.ContainsAny(f.name, ".*> \t\"\r\n") {
		return usageError{fmt.Errorf("--bucket %q: want letters, digits, _ and -", f.name)}
	}
	return nil
}

func (f *userFlags) permissions(role string) provision.Permissions {
	key := ""
	if f.bridge != "" {
		key = subjects.BridgeKey(f.bridge)
	}
	switch role {
	case "bridge":
		if f.check {
			return provision.CheckingBridgePermissions(key, f.name)
		}
		return provision.BridgePermissions(key, f.name)
	case "rules":
		return provision.RulesPermissions(f.name)
	case "reader":
		return provision.ReaderPermissions(f.name)
	case "sessions":
		return provision.SessionsPermissions()
	case "chat":
		return provision.ChatPermissions()
	case "notify":
		return provision.NotifyPermissions()
	case "redrive":
		return provision.RedrivePermissions()
	default:
		return provision.ConsumerPermissions(f.consumer)
	}
}

// printUsers writes a block of nats-server's configuration. Subjects that we print
// have no quotes.
func printUsers(w io.Writer, users []natsUser) {
	list := func(name string, subjects []string) {
		fmt.Fprintf(w, "        %s: { allow: [\n", name)
		for _, s := range subjects {
			fmt.Fprintf(w, "          %q\n", s)
		}
		fmt.Fprintln(w, "        ] }")
	}
	fmt.Fprintln(w, "authorization {\n  users: [")
	for _, u := range users {
		fmt.Fprintf(w, "    {\n      user: %s, password: $%s_PASSWORD\n      permissions: {\n", u.User, strings.ToUpper(u.User))
		list("publish", u.Publish)
		list("subscribe", u.Subscribe)
		fmt.Fprintln(w, "      }\n    }")
	}
	fmt.Fprintln(w, "  ]\n}")
}
