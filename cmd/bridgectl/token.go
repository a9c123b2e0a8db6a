package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bintubridge/bridge/decide"
	"bintubridge/bridge/keys"
	"bintubridge/subjects"
)

const keysHelp = `
Keys are read from the file that the bridge reads, BRIDGE_KEYS_FILE or --keys-file,
and never from the command line. The flags stand for the fields of a rule's token
condition and for those of the request.`

// newToken returns the commands that make and check tokens.
func newToken(getenv func(string) string) *cobra.Command {
	token := newGroup("token", "Make tokens and find out why one is refused", keysHelp)
	token.AddCommand(newTokenSign(getenv), newTokenVerify(getenv))
	return token
}

// tokenFlags are a token condition and a request, as flags.
type tokenFlags struct {
	keysFile string
	keys     []string
	bind     []string
	call     string
	in       decide.Input
}

// register adds the flags that both commands have.
func (f *tokenFlags) register(cmd *cobra.Command, getenv func(string) string) {
	flags := cmd.Flags()
	flags.StringVar(&f.keysFile, "keys-file", getenv("BRIDGE_KEYS_FILE"), "file of the keys; BRIDGE_KEYS_FILE")
	flags.StringSliceVar(&f.bind, "bind", []string{"call", "name"}, "request fields an hmac token is bound to, in the order of the rule")
	flags.StringVar(&f.call, "call", "publish", "the request's call")
	for name, field := range map[string]*string{
		"name": &f.in.Name, "app": &f.in.App, "addr": &f.in.Addr, "clientid": &f.in.ClientID, "type": &f.in.Type,
		"flashver": &f.in.FlashVer, "swfurl": &f.in.SWFURL, "tcurl": &f.in.TCURL, "pageurl": &f.in.PageURL,
	} {
		flags.StringVar(field, name, "", "the request's "+name)
	}
}

// field is the custom field of the made-up request that has the token.
const field = "token"

// hmac returns the condition of an hmac token.
func (f *tokenFlags) hmac() (*decide.Token, error) {
	return f.compile(map[string]any{"type": "hmac", "field": field, "keys": f.keys, "bind": f.bind})
}

// compile reads the keys and returns the condition, as it would stand in a rule.
func (f *tokenFlags) compile(condition map[string]any) (*decide.Token, error) {
	if f.in.Call = subjects.ParseCall(f.call); !f.in.Call.Asks() {
		return nil, usageError{fmt.Errorf("--call %q: want one that is decided: publish, play, update_publish, update_play or connect", f.call)}
	}
	if len(f.keys) == 0 || f.keys[0] == "" {
		return nil, usageError{errors.New("no key: --key names one of the keys file")}
	}
	if f.keysFile == "" {
		return nil, usageError{errors.New("no keys: set BRIDGE_KEYS_FILE or --keys-file to the file that the bridge reads")}
	}
	data, err := os.ReadFile(f.keysFile)
	if err != nil {
		return nil, fmt.Errorf("keys file: %w", err)
	}
	if f.in.Keys, err = keys.Parse(data); err != nil {
		return nil, fmt.Errorf("keys file %s: %w", f.keysFile, err)
	}
	text, err := json.Marshal(condition)
	if err != nil {
		return nil, fmt.Errorf("token condition: %w", err)
	}
	token, err := decide.CompileToken(text)
	if err != nil {
		return nil, usageError{err}
	}
	return token, nil
}

func newTokenSign(getenv func(string) string) *cobra.Command {
	output := formats("text", "json")
	var f tokenFlags
	var key, expires string
	cmd := &cobra.Command{
		Use: "sign --key NAME --name STREAM", Short: "Make an hmac token", Args: atMost(0),
		Long: `Makes an hmac token and prints it. It holds for one call and stream name, or what
else --bind lists, until --expires. JWT are made by their issuer.` + "\n" + keysHelp,
		Example: "  bridgectl token sign --key k1 --call publish --name CD6xx-123456 --expires 2h",
		RunE: func(cmd *cobra.Command, _ []string) error {
			until, err := parseExpires(expires, time.Now())
			if err != nil {
				return usageError{err}
			}
			if f.in.Name == "" && slices.Contains(f.bind, "name") {
				return usageError{errors.New("--name is wanted: the stream that the token is for, unless --bind leaves it out")}
			}
			f.keys = []string{key}
			token, err := f.hmac()
			if err != nil {
				return err
			}
			text, err := token.Sign(&f.in, until)
			if err != nil {
				return err
			}
			if output.name == "json" {
				return writeJSON(cmd.OutOrStdout(), struct {
					Token     string    `json:"token"`
					ExpiresAt time.Time `json:"expires_at"`
				}{text, until.UTC().Truncate(time.Second)})
			}
			fmt.Fprintln(cmd.OutOrStdout(), text)
			return nil
		},
	}
	f.register(cmd, getenv)
	cmd.Flags().VarP(output, "output", "o", "form of the result")
	cmd.Flags().StringVar(&key, "key", "", "name of the key in the file")
	cmd.Flags().StringVar(&expires, "expires", "1h", "how long the token holds, as 90m, or until when, as 2026-12-01T00:00:00Z")
	return cmd
}

func parseExpires(text string, now time.Time) (time.Time, error) {
	if life, err := time.ParseDuration(text); err == nil && life > 0 {
		return now.Add(life), nil
	}
	until, err := time.Parse(time.RFC3339, text)
	if err != nil || !until.After(now) {
		return time.Time{}, fmt.Errorf("--expires %q: want a time to come, as 90m or 2026-12-01T00:00:00Z", text)
	}
	return until, nil
}

func newTokenVerify(getenv func(string) string) *cobra.Command {
	output := formats("text", "json")
	var f tokenFlags
	var algs []string
	var claims string
	cmd := &cobra.Command{
		Use: "verify --key NAME[,NAME] --name STREAM [TOKEN]", Short: "Check a token as the bridge does, and say why it is refused", Args: atMost(1),
		Long: `Checks a token by the bridge's own code. The token is read from standard input unless
it is given. With --alg it is a JWT, else an hmac token. Exits with 1 when it is
refused, and says why.` + "\n" + keysHelp,
		Example: `  bridgectl token verify --key k1,k2 --call publish --name CD6xx-123456 <token.txt
  bridgectl token verify --key issuer --alg EdDSA --claims '{"sub":{"equals":"name"}}' --name CD6xx-123456 <jwt.txt`,
		RunE: func(cmd *cobra.Command, args []string) error {
			token, err := f.condition(algs, claims)
			if err != nil {
				return err
			}
			text, err := readToken(cmd.InOrStdin(), args)
			if err != nil {
				return err
			}
			f.in.Custom = &subjects.Fields{}
			f.in.Custom.Add(field, text)
			err = token.Check(&f.in, time.Now())
			v := tokenVerdict{Good: err == nil, MissingKeys: append([]string{}, f.in.Keys.Missing()...)}
			if err != nil {
				v.Reason = err.Error()
			}
			return v.tell(cmd, output)
		},
	}
	f.register(cmd, getenv)
	cmd.Flags().VarP(output, "output", "o", "form of the result")
	cmd.Flags().StringSliceVar(&f.keys, "key", nil, "names of the keys that the rule lists")
	cmd.Flags().StringSliceVar(&algs, "alg", nil, "algorithms that the rule pins: EdDSA, ES256, RS256, HS256; makes it a JWT")
	cmd.Flags().StringVar(&claims, "claims", "", "the rule's claims, as JSON")
	return cmd
}

// tokenVerdict is what became of a token.
type tokenVerdict struct {
	Good        bool     `json:"good"`
	Reason      string   `json:"reason"`       // why it is refused
	MissingKeys []string `json:"missing_keys"` // that the file does not have
}

// tell prints the verdict. A token that is refused is an error.
func (v tokenVerdict) tell(cmd *cobra.Command, output *format) error {
	if output.name == "json" {
		if err := writeJSON(cmd.OutOrStdout(), v); err != nil {
			return err
		}
	} else if len(v.MissingKeys) > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "the file has no key named %s\n", strings.Join(v.MissingKeys, ", "))
	}
	if !v.Good {
		return errors.New("refused: " + v.Reason)
	}
	if output.name != "json" {
		fmt.Fprintln(cmd.OutOrStdout(), "good")
	}
	return nil
}

// condition returns the condition that the flags of verify describe.
func (f *tokenFlags) condition(algs []string, claims string) (*decide.Token, error) {
	if len(algs) == 0 {
		if claims != "" {
			return nil, usageError{errors.New("--claims belongs to a JWT: name its algorithms with --alg too")}
		}
		return f.hmac()
	}
	condition := map[string]any{"type": "jwt", "field": field, "keys": f.keys, "alg": algs}
	if claims != "" {
		if !json.Valid([]byte(claims)) {
			return nil, usageError{errors.New(`--claims is no JSON: want an object as {"sub":{"equals":"name"}}`)}
		}
		condition["claims"] = json.RawMessage(claims)
	}
	return f.compile(condition)
}

// readToken returns the argument, or what standard input has.
func readToken(in io.Reader, args []string) (string, error) {
	if len(args) > 0 && args[0] != "-" {
		return args[0], nil
	}
	const most = 64 << 10
	text, err := io.ReadAll(io.LimitReader(in, most))
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
