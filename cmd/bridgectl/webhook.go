package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"bintubridge/bridge/settings"

	"github.com/spf13/cobra"
)

const (
	bintuAPI     = "https://bintu.nanocosmos.de"
	registerPath = "/organisation/webhook"
	keyHeader    = "x-bintu-apikey"
	keyVariable  = "BINTU_API_KEY"
	apiTimeout   = 30 * time.Second
	maxAPIAnswer = 4 << 10 // bytes of an answer that are looked at
	maxShownURL  = 2 << 10
)

func newWebhook(getenv func(string) string) *cobra.Command {
	webhook := newGroup("webhook", "Register the bridge's URL with bintu, and try it", `
bintu calls one URL an organisation. Its API key comes from the environment alone,
`+keyVariable+` or `+keyVariable+`_FILE.`)
	webhook.AddCommand(newWebhookSet(getenv), newWebhookShowCurl(), newWebhookTest(getenv))
	return webhook
}

// apiFlags are those of the registration.
type apiFlags struct {
	api     string
	timeout time.Duration
}

func (f *apiFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.api, "api", bintuAPI, "where bintu's API is")
}

func newWebhookSet(getenv func(string) string) *cobra.Command {
	output := formats("text", "json")
	f := apiFlags{}
	cmd := &cobra.Command{
		Use: "set URL", Short: "Register a URL with bintu", Args: exactly(1),
		Long: `Registers the URL as the webhook of the organisation that the API key belongs to, in
the place of the one before. It must be one that bintu can reach, by https, as
https://hooks.example/hook/SECRET. The URL - is read from standard input, where other
users of the machine do not see its secret. The key comes from ` + keyVariable + `, or from
the file that ` + keyVariable + `_FILE names.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			target, err := registeredURL(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			key, err := apiKey(getenv)
			if err != nil {
				return err
			}
			if err := f.register(cmd.Context(), key, target); err != nil {
				return err
			}
			if output.name == "json" {
				return writeJSON(cmd.OutOrStdout(), map[string]string{"registered": withoutPath(target)})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "bintu calls %s from now on\n", withoutPath(target))
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().VarP(output, "output", "o", "form of the result; the URL is without its path")
	cmd.Flags().DurationVar(&f.timeout, "timeout", apiTimeout, "how long to wait for the API")
	return cmd
}

func newWebhookShowCurl() *cobra.Command {
	f := apiFlags{}
	cmd := &cobra.Command{
		Use: "show-curl URL", Short: "Print the registration as a curl command", Args: exactly(1),
		Long: `Prints the call that set makes, for a shell. The key is not in it: the shell puts
$` + keyVariable + ` in its place when the command runs.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			target, err := registeredURL(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			endpoint, err := f.endpoint()
			if err != nil {
				return err
			}
			body, err := registration(target)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "curl -X PUT \\\n%s \\\n-H 'content-type: application/json' \\\n-H \"%s: $%s\" \\\n-d %s\n",
				quoted(endpoint), keyHeader, keyVariable, quoted(string(body)))
			return nil
		},
	}
	f.add(cmd)
	return cmd
}

// quoted is text as one word of a shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// registeredURL checks what bintu is to call. The error shows nothing of it.
func registeredURL(in io.Reader, text string) (*url.URL, error) {
	if text == "-" {
		data, err := io.ReadAll(io.LimitReader(in, maxShownURL+1))
		if err != nil {
			return nil, fmt.Errorf("read the URL: %w", err)
		}
		text = strings.TrimSpace(string(data))
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" || u.Fragment != "" || len(text) > maxShownURL {
		return nil, usageError{errors.New("the URL to register: want https://HOST/PATH, without user and fragment")}
	}
	return u, nil
}

// withoutPath is what of a URL may be shown: its path may hold a secret.
func withoutPath(u *url.URL) string {
	if u.Path == "" || u.Path == "/" {
		return u.Scheme + "://" + u.Host
	}
	return u.Scheme + "://" + u.Host + "/…"
}

// apiKey reads the key. The error does not show it.
func apiKey(getenv func(string) string) (string, error) {
	cfg, problems := settings.Load[struct {
		Key string `env:"BINTU_API_KEY" secret:"true"`
	}](getenv)
	if err := errors.Join(problems...); err != nil {
		return "", err
	}
	key := strings.TrimSpace(cfg.Key)
	if key == "" {
		return "", fmt.Errorf("there is no API key: set %s, or %s_FILE to a file that holds it", keyVariable, keyVariable)
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return "", fmt.Errorf("%s is no API key: it has bytes that no header may have", keyVariable)
		}
	}
	return key, nil
}

func (f *apiFlags) endpoint() (string, error) {
	u, err := url.Parse(f.api)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return "", usageError{errors.New("--api: want https://HOST; the key is sent there")}
	}
	return strings.TrimSuffix(u.String(), "/") + registerPath, nil
}

// loopback reports whether a host is this machine, where a key may go without TLS.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func registration(target *url.URL) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(map[string]string{"webhook": target.String()}); err != nil {
		return nil, fmt.Errorf("the registration: %w", err)
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

// register makes the call. A redirection is not followed: the key is for one server.
func (f *apiFlags) register(ctx context.Context, key string, target *url.URL) error {
	endpoint, err := f.endpoint()
	if err != nil {
		return err
	}
	body, err := registration(target)
	if err != nil {
		return err
	}
	hide := func(text string) string { return withoutSecrets(text, key, target) }
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, endpoint, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("bintu's API: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(keyHeader, key)
	client := http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return f.unreached(ctx, err, hide)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAPIAnswer))
	if err != nil && resp.StatusCode/100 == 2 {
		return f.unreached(ctx, err, hide)
	}
	return verdictOfAPI(resp.StatusCode, hide(string(answer)))
}

// withoutSecrets takes out of a server's text what it may repeat: the key, and the parts of
// the URL that may be a secret.
func withoutSecrets(text, key string, target *url.URL) string {
	const short = 4 // bytes: no secret
	hidden := []string{key, "…"}
	for _, part := range strings.FieldsFunc(target.RequestURI(), func(r rune) bool { return strings.ContainsRune("/?&=", r) }) {
		if len(part) > short {
			hidden = append(hidden, part, "…")
		}
	}
	return strings.NewReplacer(hidden...).Replace(text)
}

// unreached says why there is no answer. What hide takes out may be in the error: it quotes an answer that
// is no HTTP.
func (f *apiFlags) unreached(ctx context.Context, err error, hide func(string) string) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("bintu's API did not answer within %s: the URL may be registered or not; try again", f.timeout)
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Errorf("cannot reach bintu's API: %s", hide(err.Error()))
}

// verdictOfAPI says what an answer means. The text is the server's.
func verdictOfAPI(status int, text string) error {
	var hint string
	switch {
	case status/100 == 2:
		return nil
	case status/100 == 3:
		hint = "it sends elsewhere, and the key goes nowhere else: check --api"
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		hint = "it does not take the key: check " + keyVariable
	case status == http.StatusNotFound:
		hint = "there is no such call: check --api"
	case status == http.StatusTooManyRequests:
		hint = "too many requests: try again later"
	case status/100 == 4:
		hint = "it does not take the URL"
	default:
		hint = "it failed: try again later"
	}
	if text = strings.TrimSpace(text); text != "" {
		hint += "; it says " + shown(text)
	}
	return fmt.Errorf("bintu's API answered %d %s: %s", status, http.StatusText(status), hint)
}
