package admin

import (
	"strings"
	"testing"
)

// Profiles are for whom /status is for, and only where they are wanted.
func TestProfiles(t *testing.T) {
	bearer := map[string]string{"Authorization": "Bearer t0ken"}
	for _, tt := range []struct {
		name   string
		cfg    Config
		path   string
		header map[string]string
		status int
	}{
		{"index", Config{Profile: true, Loopback: true}, "/debug/pprof/", nil, 200},
		{"heap", Config{Profile: true, Loopback: true}, "/debug/pprof/heap?debug=1", nil, 200},
		{"beyond loopback with the token", Config{Profile: true, Token: "t0ken"}, "/debug/pprof/goroutine?debug=1", bearer, 200},
		{"without the token", Config{Profile: true, Token: "t0ken"}, "/debug/pprof/heap", nil, 401},
		{"with another token", Config{Profile: true, Token: "t0ken"}, "/debug/pprof/goroutine?debug=1", map[string]string{"Authorization": "Bearer other"}, 401},
		{"a profile without the token", Config{Profile: true, Token: "t0ken"}, "/debug/pprof/profile?seconds=1", nil, 401},
		{"a trace without the token", Config{Profile: true, Token: "t0ken"}, "/debug/pprof/trace?seconds=1", nil, 401},
		{"without any token", Config{Profile: true}, "/debug/pprof/heap", nil, 403},
		{"a second's profile", Config{Profile: true, Loopback: true}, "/debug/pprof/profile?seconds=1", nil, 200},
		{"the command line", Config{Profile: true, Loopback: true}, "/debug/pprof/cmdline", nil, 404},
		{"not wanted", Config{Loopback: true}, "/debug/pprof/", nil, 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, addr := started(t, tt.cfg)
			got := ask(t, addr, "GET", tt.path, tt.header)
			if got.status != tt.status || tt.status != 200 && strings.Contains(got.body, "goroutine profile") {
				t.Errorf("%d %q, want %d", got.status, got.body, tt.status)
			}
		})
	}
}
