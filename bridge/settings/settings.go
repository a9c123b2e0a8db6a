// Package settings reads a program's configuration from the environment. What may be set is a
// struct, whose tags say all there is to say:
//
//	type Config struct {
//		Every time.Duration `env:"ECHO_EVERY" envDefault:"1s" doc:"how often it is said"`
//		Key   string        `env:"ECHO_KEY" secret:"true" doc:"key of the echo"`
//		NATS  natsenv.Auth  // a struct without env is part of this one
//	}
//
// A variable that is set but empty has its default. One that is secret may also be given as
// <NAME>_FILE, the path of a file that holds the value. All mistakes are told together.
package settings

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

// Parsers read the values of types that do not implement encoding.TextUnmarshaler.
type Parsers = map[reflect.Type]env.ParserFunc

// Parser is the entry of Parsers for T.
func Parser[T any](parse func(string) (T, error)) Parsers {
	return Parsers{reflect.TypeFor[T](): func(text string) (any, error) { return parse(text) }}
}

// Checker is a configuration, or a part of one, that knows what its values may be. Each
// problem begins with the name of its variable.
type Checker interface{ Check() []error }

// Load returns the T that getenv describes, and every problem with it, each of which begins with
// its variable. No problem shows a secret, as long as the parser of a secret's type shows none.
func Load[T any](getenv func(string) string, parsers ...Parsers) (T, []error) {
	var cfg T
	vars := variables(reflect.TypeFor[T]())
	values, problems := collect(getenv, vars)
	known := Parsers{}
	for _, p := range parsers {
		maps.Copy(known, p)
	}
	if err := env.ParseWithOptions(&cfg, env.Options{Environment: values, FuncMap: known}); err != nil {
		problems = append(problems, explain[T](err, vars, values, known)...)
	}
	return cfg, append(problems, withoutRepeats(check(reflect.ValueOf(&cfg).Elem()), problems)...)
}

// Lookup returns a getenv for entries NAME=value as os.Environ gives them.
func Lookup(environ []string) func(string) string {
	set := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		set[name] = value
	}
	return func(name string) string { return set[name] }
}

// Unknown returns the variables in environ that begin with prefix and mean nothing to T: most
// likely misspelt, or of another version.
func Unknown[T any](environ []string, prefix string) []string {
	known := map[string]bool{}
	for _, v := range variables(reflect.TypeFor[T]()) {
		known[v.name] = true
		if v.secret {
			known[v.file()] = true
		}
	}
	var unknown []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, prefix) && !known[name] {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// Usage describes every variable of T, as -h prints it.
func Usage[T any]() string {
	var b strings.Builder
	for _, v := range variables(reflect.TypeFor[T]()) {
		fmt.Fprintf(&b, "  %s", v.name)
		if v.fallback != "" {
			fmt.Fprintf(&b, " (default %s)", v.fallback)
		}
		fmt.Fprintf(&b, "\n        %s", v.doc)
		if v.secret {
			fmt.Fprintf(&b, "; or %s", v.file())
		}
		b.WriteString("\n")
	}
	return b.String()
}

// variable is one setting as its struct tags describe it.
type variable struct {
	name, fallback, doc string
	secret              bool
}

// file is the variable that may hold the path of the value instead.
func (v variable) file() string { return v.name + "_FILE" }

func variables(t reflect.Type) []variable {
	var vars []variable
	for f := range t.Fields() {
		if isPart(f) {
			vars = append(vars, variables(f.Type)...)
			continue
		}
		vars = append(vars, variable{
			name: f.Tag.Get("env"), fallback: f.Tag.Get("envDefault"),
			doc: f.Tag.Get("doc"), secret: f.Tag.Get("secret") != "",
		})
	}
	return vars
}

// isPart reports whether the field is a struct of variables.
func isPart(f reflect.StructField) bool {
	return f.Tag.Get("env") == "" && f.Type.Kind() == reflect.Struct
}

// collect asks for the variables, and reads the files that stand for secrets.
func collect(getenv func(string) string, vars []variable) (map[string]string, []error) {
	values := map[string]string{}
	var problems []error
	for _, v := range vars {
		value, err := v.value(getenv)
		if err != nil {
			problems = append(problems, err)
		}
		if value != "" {
			values[v.name] = value
		}
	}
	return values, problems
}

func (v variable) value(getenv func(string) string) (string, error) {
	value, path := getenv(v.name), ""
	if v.secret {
		path = getenv(v.file())
	}
	switch {
	case path == "":
		return value, nil
	case value != "":
		return value, fmt.Errorf("%s and %s are both set: keep one", v.name, v.file())
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", v.file(), err)
	}
	if value = strings.TrimRight(string(content), "\r\n"); value == "" {
		// Unlike an empty variable: somebody meant to set a secret.
		return "", fmt.Errorf("%s: the file %q is empty", v.file(), path)
	}
	return value, nil
}

// explain turns the parser's error, which names fields, into ones that name variables: those that
// are no better alone.
func explain[T any](all error, vars []variable, values map[string]string, parsers Parsers) []error {
	var problems []error
	for _, v := range vars {
		alone := map[string]string{v.name: values[v.name]}
		err := env.ParseWithOptions(new(T), env.Options{Environment: alone, FuncMap: parsers})
		if err == nil {
			continue
		}
		var parse env.ParseError
		if errors.As(err, &parse) {
			err = cmp.Or(wanted(parse.Type), parse.Err)
		}
		if v.secret {
			problems = append(problems, fmt.Errorf("%s: %w", v.name, err))
		} else {
			problems = append(problems, fmt.Errorf("%s=%q: %w", v.name, values[v.name], err))
		}
	}
	if problems == nil {
		return []error{all}
	}
	return problems
}

// wanted says what a value of a type that is Go's own may be; nil of any other type, whose parser
// says it.
func wanted(t reflect.Type) error {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return errors.New("want a duration, such as 50ms, 30s or 5m")
	case t == reflect.TypeFor[bool]():
		return errors.New("want true or false")
	case t == reflect.TypeFor[int]():
		return errors.New("want a whole number")
	}
	return nil
}

// check asks the configuration and its parts.
func check(cfg reflect.Value) []error {
	var problems []error
	if c, ok := cfg.Interface().(Checker); ok {
		problems = c.Check()
	}
	for i, f := range slices.Collect(cfg.Type().Fields()) {
		if isPart(f) {
			problems = append(problems, check(cfg.Field(i))...)
		}
	}
	return problems
}

// withoutRepeats drops what is found of a variable that could not be read in the first place.
func withoutRepeats(found, told []error) []error {
	variable := func(err error) string {
		name, _, _ := strings.Cut(strings.ReplaceAll(err.Error(), "=", ":"), ":")
		return name
	}
	return slices.DeleteFunc(found, func(err error) bool {
		return slices.ContainsFunc(told, func(other error) bool { return variable(other) == variable(err) })
	})
}
