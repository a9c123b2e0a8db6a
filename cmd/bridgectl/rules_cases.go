package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"bintubridge/bridge/decide"
	"bintubridge/subjects"
)

// caseFile is what test reads: YAML, or JSON, which is a part of it.
type caseFile struct {
	Cases []ruleCase `yaml:"cases"`
}

// ruleCase is one request and what is to become of it.
type ruleCase struct {
	Name    string      `yaml:"name"`
	At      string      `yaml:"at"` // RFC 3339; now when empty
	Request caseRequest `yaml:"request"`
	Expect  struct {
		Effect string  `yaml:"effect"`
		Rule   *string `yaml:"rule"` // "" is that no rule decides; any when left out
		Reason *string `yaml:"reason"`
	} `yaml:"expect"`
}

type caseRequest struct {
	Call     string            `yaml:"call"`
	Name     string            `yaml:"name"`
	App      string            `yaml:"app"`
	Addr     string            `yaml:"addr"`
	ClientID string            `yaml:"clientid"`
	Type     string            `yaml:"type"`
	FlashVer string            `yaml:"flashver"`
	SWFURL   string            `yaml:"swfurl"`
	TCURL    string            `yaml:"tcurl"`
	PageURL  string            `yaml:"pageurl"`
	Custom   map[string]string `yaml:"custom"`
}

// goTypes is what the decoder adds about this program.
var goTypes = regexp.MustCompile(` in type main\.\w+`)

const maxCases = 16 << 20 // bytes of one file

func newRulesTest(env environment) *cobra.Command {
	output := formats("text", "json")
	flags := sourceFlags{bucketFlags: bucketFlags{environment: env}}
	cmd := &cobra.Command{
		Use: "test CASES.yaml|json...", Short: "Check that requests are decided as expected", Args: wanted(cobra.MinimumNArgs(1)),
		Long: `Decides the requests of each file by documents of folders and files (--rules), or by the live
bucket, and compares with what is expected:

    cases:
      - name: the studio may publish
        at: 2026-11-23T09:00:00Z                  # left out: now
        request: {call: publish, name: CD6xx-1, app: live, addr: 17.31.0.1, custom: {team: red}}
        expect: {effect: allow, rule: acme/ingest}  # rule: "" is the default; left out: any

The exit code is 1 when a case fails.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			defaults, err := flags.defaults()
			if err != nil {
				return err
			}
			cases, err := readCases(args)
			if err != nil {
				return err
			}
			k, err := flags.keys()
			if err != nil {
				return err
			}
			set, err := flags.load(cmd.Context())
			if err != nil {
				return err
			}
			set.tell(cmd)
			table := decide.NewTable(0, defaults, set.docs)
			results := []caseResult{}
			for i := range cases {
				result, err := cases[i].run(table, k)
				if err != nil {
					return err
				}
				results = append(results, result)
			}
			return printResults(cmd.OutOrStdout(), output.name, results)
		},
	}
	flags.add(cmd)
	flags.addRules(cmd)
	flags.addDefaults(cmd)
	cmd.Flags().VarP(output, "output", "o", "form of the result")
	return cmd
}

func readCases(paths []string) ([]ruleCase, error) {
	var all []ruleCase
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("cases: %w", err)
		}
		data, err := io.ReadAll(io.LimitReader(f, maxCases+1))
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, fmt.Errorf("cases: %w", err)
		}
		if len(data) > maxCases {
			return nil, fmt.Errorf("cases: %s is larger than %d bytes", shown(path), maxCases)
		}
		var file caseFile
		decoder := yaml.NewDecoder(bytes.NewReader(data))
		decoder.KnownFields(true)
		if err := decoder.Decode(&file); err != nil {
			return nil, fmt.Errorf("cases: %s: %s", shown(path), goTypes.ReplaceAllString(err.Error(), "")) // one of the text alone
		}
		if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("cases: %s has more than one YAML document; put all cases into one list", shown(path))
		}
		if len(file.Cases) == 0 {
			return nil, fmt.Errorf("cases: %s has none; want cases: and a list", shown(path))
		}
		for i := range file.Cases {
			c := &file.Cases[i]
			if c.Name == "" {
				c.Name = fmt.Sprintf("#%d", i+1)
			}
			if err := c.check(); err != nil {
				return nil, fmt.Errorf("cases: %s: %s: %w", shown(path), shown(c.Name), err)
			}
		}
		all = append(all, file.Cases...)
	}
	return all, nil
}

func (c *ruleCase) check() error {
	_, err := parseAsk(c.Request.Call)
	_, err2 := parseAt(c.At)
	if _, bad := decide.ParseEffect(c.Expect.Effect); bad != nil {
		err2 = errors.Join(err2, fmt.Errorf("expect: %w", bad))
	}
	return errors.Join(err, err2)
}

// caseResult is what became of a case.
type caseResult struct {
	Name  string     `json:"name"`
	OK    bool       `json:"ok"`
	Got   outcome    `json:"got"`
	Wrong []mismatch `json:"wrong,omitempty"`
	tried []decide.Considered
}

// outcome is a decision for scripts.
type outcome struct {
	Effect string `json:"effect"`
	Rule   string `json:"rule"`
	Reason string `json:"reason"`
}

func outcomeOf(d decide.Decision) outcome { return outcome{d.Effect.String(), d.Rule, d.Reason} }

type mismatch struct {
	Field string `json:"field"`
	Got   string `json:"got"`
	Want  string `json:"want"`
}

func (c *ruleCase) run(table *decide.Table, k *decide.Keys) (caseResult, error) {
	at, err := parseAt(c.At)
	if err != nil {
		return caseResult{}, err
	}
	in := c.Request.input()
	in.Keys = k
	explained := table.Explain(&in, at)
	got := outcomeOf(explained.Decision)
	r := caseResult{Name: c.Name, Got: got, tried: explained.Considered}
	compare := func(field, got string, want *string) {
		if want != nil && got != *want {
			r.Wrong = append(r.Wrong, mismatch{field, got, *want})
		}
	}
	compare("effect", got.Effect, &c.Expect.Effect)
	compare("rule", got.Rule, c.Expect.Rule)
	compare("reason", got.Reason, c.Expect.Reason)
	r.OK = len(r.Wrong) == 0
	return r, nil
}

func (r *caseRequest) input() decide.Input {
	in := decide.Input{
		Call: subjects.ParseCall(r.Call), Name: r.Name, App: r.App, Addr: r.Addr, ClientID: r.ClientID,
		Type: r.Type, FlashVer: r.FlashVer, SWFURL: r.SWFURL, TCURL: r.TCURL, PageURL: r.PageURL,
		Custom: &subjects.Fields{},
	}
	for _, field := range slices.Sorted(maps.Keys(r.Custom)) {
		in.Custom.Add(field, r.Custom[field])
	}
	return in
}

func printResults(w io.Writer, output string, results []caseResult) error {
	failed := 0
	for _, r := range results {
		if !r.OK {
			failed++
		}
	}
	if output == "json" {
		if err := writeJSON(w, results); err != nil {
			return err
		}
	} else {
		for _, r := range results {
			r.print(w)
		}
		fmt.Fprintf(w, "%s, %d failed\n", plural(len(results), "case"), failed)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %s failed", failed, plural(len(results), "case"))
	}
	return nil
}

func (r *caseResult) print(w io.Writer) {
	if r.OK {
		return
	}
	fmt.Fprintf(w, "FAIL %s\n", shown(r.Name))
	for _, m := range r.Wrong {
		fmt.Fprintf(w, "  %s: got %s, want %s\n", m.Field, shown(m.Got), shown(m.Want))
	}
	for _, c := range r.tried {
		fmt.Fprintf(w, "    %s\n", describe(c))
	}
}
