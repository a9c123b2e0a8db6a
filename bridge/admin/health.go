package admin

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"unicode"
)

// Check is the state of one part of the bridge. The zero value is a failure.
type Check struct {
	Name     string `json:"name"`     // of the part: "rules", "spool", "nats"
	OK       bool   `json:"ok"`       // it works
	Degraded bool   `json:"degraded"` // it does not work as it should, but webhooks are answered: still ready
	Detail   string `json:"detail"`   // a few words for the operator; may be empty
}

// livez says that the process runs and answers. It looks at nothing: restarting
// the bridge would mend none of what readyz reports.
func (s *Server) livez(w http.ResponseWriter, _ *http.Request) {
	plain(w)
	s.send(w, []byte("ok\n"))
}

// readyz says whether webhooks should be sent here.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	var checks []Check
	if s.cfg.Ready != nil {
		checks = s.cfg.Ready()
	}
	var body bytes.Buffer
	if r.URL.Query().Has("verbose") {
		for _, check := range checks {
			check.appendTo(&body)
		}
	}
	plain(w)
	if ready(checks) {
		body.WriteString("ok\n")
	} else {
		body.WriteString("not ready\n")
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	s.send(w, body.Bytes())
}

// ready reports whether no part has failed. Without any check nobody has
// vouched for anything.
func ready(checks []Check) bool {
	for _, check := range checks {
		if !check.OK && !check.Degraded {
			return false
		}
	}
	return len(checks) > 0
}

// appendTo writes the check as one line, as Kubernetes' own components do:
// "[+] rules ok: from kv, revision 42".
func (c Check) appendTo(body *bytes.Buffer) {
	mark, state := "[-] ", " failed"
	switch {
	case c.Degraded:
		mark, state = "[~] ", " degraded"
	case c.OK:
		mark, state = "[+] ", " ok"
	}
	body.WriteString(mark)
	body.WriteString(oneLine(c.Name))
	body.WriteString(state)
	if c.Detail != "" {
		body.WriteString(": ")
		body.WriteString(oneLine(c.Detail))
	}
	body.WriteByte('\n')
}

// oneLine returns text, quoted if it would not stay on its line: details hold
// errors, and errors may quote what others wrote.
func oneLine(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}

func plain(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
}
