package admin

import (
	"net/http"
	"net/http/pprof" //nolint:gosec // it registers with http.DefaultServeMux, which nobody here serves
)

// profile adds what "go tool pprof" asks for. A profile or trace lasts as long as its
// caller asks, and moves its reply's deadline; Shutdown cuts it off. The command line is
// not shown.
func profile(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}
