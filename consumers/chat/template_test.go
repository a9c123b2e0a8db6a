package chat

import (
	"encoding/json"
	"strings"
	"testing"

	"bintubridge/consumers/documents"
	"bintubridge/consumers/outbound"
)

// compiled returns the room of a document whose messages are this template; "" is the defaults.
func compiled(t *testing.T, text string) (*room, error) {
	t.Helper()
	value, err := json.Marshal(Document{
		Names: []string{"*"}, URL: "generic://host.example", Templates: Templates{Live: text, Ended: text, Back: text, Milestone: text},
	})
	if err != nil {
		t.Fatal(err)
	}
	return compile(documents.Document{Key: "red", Value: value}, outbound.NewCourier(outbound.Guard{}))
}

func TestTemplates(t *testing.T) {
	for name, text := range map[string]string{
		"default":    "",
		"of fields":  "{{.Name}} of {{.App}} is live",
		"conditions": `{{if and .Lost (gt .Viewers 3)}}lost{{else if eq .Name "lobby"}}{{.Viewers}}{{else}}-{{end}}`,
		"with":       "{{with .App}}{{.}}: {{end}}{{.Name}}",
		"variable":   "{{$n := .Name}}{{/* twice */}}{{$n}}, {{$n}}",
		"methods":    "{{.Name}} after {{.Duration.Minutes}} minutes",
		"length":     "{{len .Name}}",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := compiled(t, text); err != nil {
				t.Error(err)
			}
		})
	}
}

// A template takes no more memory or time than its length says, whichever branch is taken.
func TestTemplatesThatGrow(t *testing.T) {
	const not = " not allowed in a template"
	for name, c := range map[string]struct{ text, want string }{
		"width":           {`a{{if .Lost}}{{printf "%1000000s" "a"}}{{end}}`, "printf is" + not},
		"bomb":            {`{{$x := printf "%1000s" "a"}}{{$y := printf "%s%s" $x $x}}{{len $y}}`, "printf is" + not},
		"print":           {`a{{if .Lost}}{{else}}{{print .Name .Name}}{{end}}`, "print is" + not},
		"println":         {`{{with println .Name .Name}}{{.}}{{end}}`, "println is" + not},
		"piped":           {`{{.Name | html}}`, "html is" + not},
		"in parentheses":  {`{{if eq (len (js .Name)) 1}}{{end}}a`, "js is" + not},
		"in a condition":  {`{{if .Lost}}{{else if urlquery .Name}}{{end}}a`, "urlquery is" + not},
		"of a chain":      {`{{(slice .Name 1).X}}`, "slice is" + not},
		"loop":            {`a{{if .Lost}}{{range 1000000000}}{{end}}{{end}}`, not},
		"define":          {`{{define "x"}}{{end}}a`, "define and block are" + not},
		"block":           {`{{block "x" .}}a{{end}}`, "define and block are" + not},
		"itself":          {`a{{if .Lost}}{{template "live" .}}{{end}}`, not},
		"its own text":    {strings.Repeat("a", maxMessage+1), "want 2000 bytes at most"},
		"a field, often":  {strings.Repeat("{{.Name}}", maxMessage), "want 2000 bytes at most"},
		"nothing but air": {" {{if .Lost}}a{{end}} ", "gives nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := compiled(t, c.text); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
