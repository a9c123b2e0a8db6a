package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"
)

const (
	queryTimeout = 3 * time.Second
	maxQueries   = 4          // at the same time; more get 503
	maxQuestion  = 1024 << 10 // bytes of a question's body
)

// Query answers a question of the page with what is shown as JSON. Its error is for who
// asked, and tells what was wrong with the question. It must end with ctx.
type Query func(ctx context.Context, question url.Values) (any, error)

// query serves q: the question is the form of a POST, so that it stands in nobody's
// history or log, or of a GET.
func (s *Server) query(q Query) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.queries <- struct{}{}:
			defer func() { <-s.queries }()
		default:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many questions at the same time; ask again", http.StatusServiceUnavailable)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxQuestion)
		if err := r.ParseForm(); err != nil {
			code := http.StatusBadRequest
			if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
				code = http.StatusRequestEntityTooLarge
			}
			http.Error(w, err.Error(), code)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
		defer cancel()
		answer, err := q(ctx, r.Form)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.sendJSON(w, answer)
	}
}

// sendJSON encodes before anything is sent, so that a failure is not half a reply.
func (s *Server) sendJSON(w http.ResponseWriter, value any) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetIndent("", "  ")
	if err := enc.Encode(value); err != nil {
		s.cfg.Log.Error("a state cannot be shown; please report it", "error", err)
		http.Error(w, "the state cannot be shown, see the log", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	s.send(w, buf.Bytes())
}
