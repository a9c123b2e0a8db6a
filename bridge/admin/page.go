package admin

import (
	"embed"
	"io/fs"
	"net/http"
)

// pageFiles are the operator's page: plain modules, no build step.
//
//go:embed page
var pageFiles embed.FS

// contentPolicy lets the page use its own files and nothing else: no inline script or
// style, and no way from text to markup at all (trusted types).
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// addPage serves the page, each of its files by its own path, and the form that asks for
// the token.
func (s *Server) addPage(mux *http.ServeMux) error {
	file := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, pageFiles, name) }
	}
	mux.HandleFunc("GET /{$}", file("page/page.html"))
	mux.HandleFunc("GET "+loginPath, func(w http.ResponseWriter, _ *http.Request) { s.askToken(w, http.StatusOK) })
	mux.HandleFunc("POST "+loginPath, s.login)
	return fs.WalkDir(pageFiles, "page", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			mux.HandleFunc("GET /"+name, file(name))
		}
		return err
	})
}
