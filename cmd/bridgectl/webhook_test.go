package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"bintubridge/bridge/webhook"
)

// fakeAPI runs a server in the place of bintu's API to the end of the script. $API is where it is; the first
// element of the path says how it answers: a status, slow, or torn. What it gets is in api.log.
func fakeAPI(ts *testscript.TestScript, _ bool, _ []string) {
	path := ts.MkAbs("api.log")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // what is missing differs
		if strings.HasPrefix(r.URL.Path, "/slow/") {
			<-r.Context().Done()
			return
		}
		if strings.HasPrefix(r.URL.Path, "/torn/") {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 %s\r\n\r\n", r.Header.Get("X-Bintu-Apikey")) // seen by its effect
			_ = conn.Close()
			return
		}
		line := fmt.Sprintf("%s %s %s %s %s\n", r.Method, r.URL.Path, r.Header.Get("Content-Type"), r.Header.Get("X-Bintu-Apikey"), body)
		if err := os.WriteFile(path, []byte(line), 0o600); err != nil {
			panic(err)
		}
		var status int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d/", &status); err != nil {
			status = http.StatusOK
		}
		w.Header().Set("Location", "/200/elsewhere")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, "no: \x1b[31m%s %s", r.Header.Get("X-Bintu-Apikey"), strings.ReplaceAll(string(body), "/", `\/`)) // seen by its effect
	}))
	ts.Defer(server.Close)
	ts.Setenv("API", server.URL)
}

func TestWithoutSecrets(t *testing.T) {
	u, err := registeredURL(nil, "https://h.example/hook/s3cret-of-path?token=abcdef")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{`https:\/\/h.example\/hook\/s3cret-of-path?token=abcdef`, "key-1 https://h.example/hook/s3cret-of-path", "abcdef"} {
		if got := withoutSecrets(text, "key-1", u); strings.Contains(got, "s3cret") || strings.Contains(got, "abcdef") || strings.Contains(got, "key-1") {
			t.Errorf("%q leaves %q", text, got)
		}
	}
}

// A 403 is an answer to what asks, and none to what tells.
func TestSamplesWantTheRightAnswers(t *testing.T) {
	for status, want := range map[int]string{http.StatusOK: "", http.StatusForbidden: "2 of 5 calls", http.StatusInternalServerError: "5 of 5 calls"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		results, err := new(sampleFlags).send(t.Context(), hookAt(t, server.URL), webhook.NginxRTMP)
		server.Close()
		if len(results) != 5 || (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%d: %+v, %v", status, results, err)
		}
		if status == http.StatusForbidden && !strings.HasSuffix(err.Error(), ": this address is not in BRIDGE_ALLOW_FROM") {
			t.Errorf("%d: %v", status, err)
		}
	}
}
