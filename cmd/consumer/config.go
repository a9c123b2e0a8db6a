package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
)

// load reads a configuration from environ, entries NAME=value as os.Environ gives them. T is
// a struct whose fields have the tags env, envDefault, doc and secret, or are such structs
// themselves. A variable that is set but empty has its default; one tagged secret may
// also be given as <NAME>_FILE. The error lists every mistake and shows no secret.
func load[T any](environ []string) (T, error) {
	var cfg T
	vars := variables(reflect.TypeFor[T]())
	values, problems := collect(environ, vars)
	if err := env.ParseWithOptions(&cfg, env.Options{Environment: values}); err != nil {
		problems = append(problems, explain(err, vars, values)...)
	}
	return cfg, errors.Join(problems...)
}

// variable is one setting as its struct tags describe it.
type variable struct {
	field, name, fallback, doc string
	secret                     bool
}

func variables(t reflect.Type) []variable {
	var vars []variable
	for f := range t.Fields() {
		if f.Tag.Get("env") == "" && f.Type.Kind() == reflect.Struct {
			vars = append(vars, variables(f.Type)...)
			continue
		}
		vars = append(vars, variable{
			field: f.Name, name: f.Tag.Get("env"), fallback: f.Tag.Get("envDefault"),
			doc: f.Tag.Get("doc"), secret: f.Tag.Get("secret") != "",
		})
	}
	return vars
}

// collect takes the variables out of environ, without those that are empty, and reads the
// files that stand for secrets.
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
		path := set[v.name+"_FILE"]
		switch {
		case !v.secret || path == "":
		case values[v.name] != "":
			problems = append(problems, fmt.Errorf("%s and %s_FILE are both set: keep one", v.name, v.name))
		default:
			content, err := os.ReadFile(path)
			if err != nil {
				problems = append(problems, fmt.Errorf("%s_FILE: %w", v.name, err))
				continue
			}
			if values[v.name] = strings.TrimRight(string(content), "\r\n"); values[v.name] == "" {
				problems = append(problems, fmt.Errorf("%s_FILE: the file %q is empty", v.name, path))
			}
		}
	}
	return values, problems
}

// explain turns the parser's errors, which name fields, into ones that name variables.
func explain(err error, vars []variable, values map[string]string) []error {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return []error{err}
	}
	var problems []error
	for _, err := range all.Errors {
		var parse env.ParseError
		i := -1
		if errors.As(err, &parse) {
			i = slices.IndexFunc(vars, func(v variable) bool { return v.field == parse.Name })
		}
		switch {
		case i < 0:
			problems = append(problems, err)
		case vars[i].secret:
			problems = append(problems, fmt.Errorf("%s: it cannot be read", vars[i].name))
		default:
			problems = append(problems, fmt.Errorf("%s=%q: %w", vars[i].name, values[vars[i].name], parse.Err))
		}
	}
	return problems
}

// unknown returns the CONSUMER_ variables in environ that begin with the consumer's own prefix, or
// are of all consumers, and mean nothing to T.
func unknown[T any](environ []string, name string) []string {
	known := map[string]bool{}
	for _, v := range variables(reflect.TypeFor[T]()) {
		known[v.name], known[v.name+"_FILE"] = true, v.secret
	}
	var list []string
	for _, entry := range environ {
		variable, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(variable, "CONSUMER_"+strings.ToUpper(name)+"_") && !known[variable] {
			list = append(list, variable)
		}
	}
	slices.Sort(list)
	return list
}

// usage describes every variable of T, as -h prints it.
func usage[T any]() string {
	var b strings.Builder
	for _, v := range variables(reflect.TypeFor[T]()) {
		fmt.Fprintf(&b, "  %s", v.name)
		if v.fallback != "" {
			fmt.Fprintf(&b, " (default %s)", v.fallback)
		}
		fmt.Fprintf(&b, "\n        %s", v.doc)
		if v.secret {
			fmt.Fprintf(&b, "; or %s_FILE", v.name)
		}
		b.WriteString("\n")
	}
	return b.String()
}
