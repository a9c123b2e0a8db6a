package settings_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bintubridge/bridge/settings"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type echo struct {
	Word  string        `env:"ECHO_WORD" envDefault:"hello" doc:"what is said"`
	Every time.Duration `env:"ECHO_EVERY" envDefault:"1s" doc:"how often"`
	Key   string        `env:"ECHO_KEY" secret:"true" doc:"a secret"`
	Part  part
}

// part has a field of the same name and type as echo.
type part struct {
	Every time.Duration `env:"ECHO_PART_EVERY" envDefault:"2s" doc:"how often of the part"`
	Color color         `env:"ECHO_PART_COLOR" envDefault:"red" doc:"red or blue"`
}

func (p part) Check() []error {
	if p.Every < time.Second {
		return []error{errors.New("ECHO_PART_EVERY: too often")}
	}
	return nil
}

type color string

func parseColor(text string) (color, error) {
	if text != "red" && text != "blue" {
		return "", errors.New("want red or blue")
	}
	return color(text), nil
}

func TestLoad(t *testing.T) {
	file := func(content string) string {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	standard := echo{"hello", time.Second, "", part{2 * time.Second, "red"}}
	for _, tt := range []struct {
		name     string
		environ  []string
		want     echo
		problems []string // substrings, in order
	}{
		{"nothing is set", nil, standard, nil},
		{"empty is not set", []string{"ECHO_WORD=", "ECHO_EVERY=", "ECHO_KEY=", "ECHO_KEY_FILE="}, standard, nil},
		{"all is set", []string{"ECHO_WORD=a=b", "ECHO_EVERY=3s", "ECHO_KEY=k", "ECHO_PART_EVERY=4s", "ECHO_PART_COLOR=blue"},
			echo{"a=b", 3 * time.Second, "k", part{4 * time.Second, "blue"}}, nil},
		{"a secret in a file", []string{"ECHO_KEY_FILE=" + file("k\r\n")}, echo{"hello", time.Second, "k", standard.Part}, nil},
		{"only secrets are in files", []string{"ECHO_WORD_FILE=" + file("k")}, standard, nil},
		{"a secret twice", []string{"ECHO_KEY=s3cret", "ECHO_KEY_FILE=x"}, echo{}, []string{"ECHO_KEY and ECHO_KEY_FILE are both set"}},
		{"an empty file", []string{"ECHO_KEY_FILE=" + file("\n")}, echo{}, []string{"ECHO_KEY_FILE: the file"}},
		{"no file", []string{"ECHO_KEY_FILE=/nowhere"}, echo{}, []string{"ECHO_KEY_FILE: open /nowhere"}},
		{"of equal fields the right one", []string{"ECHO_EVERY=3s", "ECHO_PART_EVERY=soon"}, echo{}, []string{`ECHO_PART_EVERY="soon": `}},
		{"what a part checks", []string{"ECHO_PART_EVERY=1ms"}, echo{}, []string{"ECHO_PART_EVERY: too often"}},
		{"all together", []string{"ECHO_EVERY=soon", "ECHO_PART_EVERY=0s", "ECHO_PART_COLOR=green"}, echo{},
			[]string{`ECHO_EVERY="soon": `, `ECHO_PART_COLOR="green": want red or blue`, "too often"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, problems := settings.Load[echo](settings.Lookup(tt.environ), settings.Parser(parseColor))
			if tt.problems == nil && got != tt.want || len(problems) != len(tt.problems) {
				t.Fatalf("got %+v, %v", got, problems)
			}
			for i, problem := range problems {
				if !strings.Contains(problem.Error(), tt.problems[i]) || strings.Contains(problem.Error(), "s3cret") {
					t.Errorf("got %v, want %s", problem, tt.problems[i])
				}
			}
		})
	}
}

func TestUnknownAndUsage(t *testing.T) {
	environ := []string{"ECHO_WROD=x", "ECHO_KEY_FILE=x", "ECHO_WORD_FILE=x", "ECHO_PART_EVERY=x", "OTHER=x"}
	if got := settings.Unknown[echo](environ, "ECHO_"); !slices.Equal(got, []string{"ECHO_WORD_FILE", "ECHO_WROD"}) {
		t.Errorf("unknown %v", got)
	}
	const want = `  ECHO_WORD (default hello)
        what is said
  ECHO_EVERY (default 1s)
        how often
  ECHO_KEY
        a secret; or ECHO_KEY_FILE
  ECHO_PART_EVERY (default 2s)
        how often of the part
  ECHO_PART_COLOR (default red)
        red or blue
`
	if got := settings.Usage[echo](); got != want {
		t.Errorf("got\n%s", got)
	}
}
