package bridge

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"

	"bintubridge/bridge/decide"
	"bintubridge/bridge/spool"
	"bintubridge/bridge/webhook"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"
)

// parsers read the values of types that are not the configuration's own.
func parsers() map[reflect.Type]env.ParserFunc {
	return map[reflect.Type]env.ParserFunc{
		reflect.TypeFor[decide.Effect]():     parser(decide.ParseEffect),
		reflect.TypeFor[webhook.Dialect]():   parser(webhook.ParseDialect),
		reflect.TypeFor[spool.SyncMode]():    parser(spool.ParseSyncMode),
		reflect.TypeFor[subjects.Template](): parser(subjects.ParseTemplate),
		reflect.TypeFor[provision.Mode]():    parser(provision.ParseMode),
	}
}

func parser[T any](parse func(string) (T, error)) env.ParserFunc {
	return func(text string) (any, error) { return parse(text) }
}

// Load reads the configuration from environ, entries NAME=value as os.Environ
// gives them. Its error lists every mistake, one a line, and shows no secret.
// A variable that is set but empty has its default.
func Load(environ []string) (Config, error) {
	vars := variables()
	values, problems := collect(environ, vars)
	var cfg Config
	err := env.ParseWithOptions(&cfg, env.Options{Environment: values, FuncMap: parsers()})
	problems = append(problems, explain(err, vars, values)...)
	if cfg.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			problems = append(problems, fmt.Errorf("BRIDGE_NAME is not set and the host has no name: %w", err))
		}
		cfg.Name = host
	}
	return cfg, errors.Join(append(problems, withoutRepeats(cfg.validate(), problems)...)...)
}

// withoutRepeats drops what validation says of a variable that could not be
// read in the first place. Every problem begins with its variable.
func withoutRepeats(found, told []error) []error {
	variable := func(err error) string {
		name, _, _ := strings.Cut(strings.ReplaceAll(err.Error(), "=", ":"), ":")
		return name
	}
	return slices.DeleteFunc(found, func(err error) bool {
		return slices.ContainsFunc(told, func(other error) bool { return variable(other) == variable(err) })
	})
}

// variable is one setting as its struct tags describe it.
type variable struct {
	field, name, fallback, doc string
	secret                     bool
}

// fileName is the variable that may hold the path of the value instead.
func (v variable) fileName() string { return v.name + "_FILE" }

func variables() []variable {
	fields := reflect.VisibleFields(reflect.TypeFor[Config]())
	vars := make([]variable, 0, len(fields))
	for _, f := range fields {
		vars = append(vars, variable{
			field: f.Name, name: f.Tag.Get("env"), fallback: f.Tag.Get("envDefault"),
			doc: f.Tag.Get("doc"), secret: f.Tag.Get("secret") != "",
		})
	}
	return vars
}

// collect takes the bridge's variables out of environ, without those that are
// empty, and reads the files that stand for secrets.
func collect(environ []string, vars []variable) (map[string]string, []error) {
	set := map[string]string{}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && value != "" {
			set[name] = value
		}
	}
	values := map[string]string{}
	var problems []error
	for _, v := range vars {
		if value, ok := set[v.name]; ok {
			values[v.name] = value
		}
		path, ok := set[v.fileName()]
		if !ok || !v.secret {
			continue
		}
		if values[v.name] != "" {
			problems = append(problems, fmt.Errorf("%s and %s are both set: keep one", v.name, v.fileName()))
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", v.fileName(), err))
			continue
		}
		if values[v.name] = strings.TrimRight(string(content), "\r\n"); values[v.name] == "" {
			// Unlike an empty variable: somebody meant to set a secret.
			problems = append(problems, fmt.Errorf("%s: the file %q is empty", v.fileName(), path))
		}
	}
	return values, problems
}

// explain turns the parser's errors, which name fields, into ones that name
// variables.
func explain(err error, vars []variable, values map[string]string) []error {
	if err == nil {
		return nil
	}
	var all env.AggregateError
	if !errors.As(err, &all) {
		return []error{err}
	}
	var problems []error
	for _, err := range all.Errors {
		var parse env.ParseError
		if !errors.As(err, &parse) {
			problems = append(problems, err)
			continue
		}
		i := slices.IndexFunc(vars, func(v variable) bool { return v.field == parse.Name })
		switch v := vars[i]; {
		case v.secret:
			problems = append(problems, fmt.Errorf("%s: %w", v.name, parse.Err))
		default:
			problems = append(problems, fmt.Errorf("%s=%q: %w", v.name, values[v.name], parse.Err))
		}
	}
	return problems
}

// Unknown returns the BRIDGE_ variables in environ that mean nothing to this
// version: most likely misspelt, or of another version.
func Unknown(environ []string) []string {
	known := map[string]bool{}
	for _, v := range variables() {
		known[v.name] = true
		if v.secret {
			known[v.fileName()] = true
		}
	}
	var unknown []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "BRIDGE_") && !known[name] {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// Usage describes every variable, as bridge -h prints it.
func Usage() string {
	var b strings.Builder
	for _, v := range variables() {
		fmt.Fprintf(&b, "  %s", v.name)
		if v.fallback != "" {
			fmt.Fprintf(&b, " (default %s)", v.fallback)
		}
		fmt.Fprintf(&b, "\n        %s", v.doc)
		if v.secret {
			fmt.Fprintf(&b, "; or %s", v.fileName())
		}
		b.WriteString("\n")
	}
	return b.String()
}
