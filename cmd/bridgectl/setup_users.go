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
var roles = []string{"bridge", "rules", "sessions", "consumer"}

func newSetupPermissions(getenv func(string) string) *cobra.Command {
	output := formats("text", "json")
	flags := bucketFlags{getenv: getenv}
	var bridge, consumer string
	cmd := &cobra.Command{
		Use: "permissions [" + strings.Join(roles, "|") + "]...", Short: "Print users of NATS that may do what they need and nothing else",
		ValidArgs: roles, Args: wanted(cobra.OnlyValidArgs),
		Long: `Prints a block for the configuration of nats-server, with a user for each role that is
named, or for all of them. Passwords are variables of the server's environment:
BRIDGE_PASSWORD, RULES_PASSWORD, SESSIONS_PASSWORD, CONSUMER_PASSWORD. The streams
and buckets have to be there ("setup"); their users set BRIDGE_PROVISION=off and
CONSUMER_PROVISION=off.

  bridge    a bridge; --bridge lets it show itself under this name alone
  rules     who reads, pushes, explains and replays rules with bridgectl
  sessions  the consumer that derives sessions
  consumer  analytics, or a consumer of one's own (--consumer), that reads EVENTS and SESSIONS`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if string(subjects.AppendToken(nil, consumer)) != consumer || consumer == "" {
				return usageError{fmt.Errorf("--consumer %q: want letters, digits, _ and -", consumer)}
			}
			bucket := cmp.Or(flags.name, getenv("BRIDGE_RULES_BUCKET"), subjects.BucketRules)
			if strings.ContainsAny(bucket, ".*> \t\"\r\n") {
				return usageError{fmt.Errorf("--bucket %q: want letters, digits, _ and -", bucket)}
			}
			key := ""
			if bridge != "" {
				key = subjects.BridgeKey(bridge)
			}
			var users []natsUser
			for _, role := range roles {
				if len(args) > 0 && !slices.Contains(args, role) {
					continue
				}
				u := natsUser{User: role}
				switch role {
				case "bridge":
					u.Permissions = provision.BridgePermissions(key, bucket)
				case "rules":
					u.Permissions = provision.RulesPermissions(bucket)
				case "sessions":
					u.Permissions = provision.SessionsPermissions()
				case "consumer":
					u.Permissions = provision.ConsumerPermissions(consumer)
				}
				users = append(users, u)
			}
			if output.name == "json" {
				return writeJSON(cmd.OutOrStdout(), users)
			}
			printUsers(cmd.OutOrStdout(), users)
			return nil
		},
	}
	cmd.Flags().StringVar(&flags.name, "bucket", "", "KV bucket of the rules (default: BRIDGE_RULES_BUCKET, or rules)")
	cmd.Flags().StringVar(&bridge, "bridge", "", "BRIDGE_NAME of the bridge (default: any)")
	cmd.Flags().StringVar(&consumer, "consumer", "analytics", "name of the consumer")
	cmd.Flags().VarP(output, "output", "o", "form of the result")
	return cmd
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
