package console

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// What is not in the API is said as everything else in it: as JSON, with a code.
func TestNothingThere(t *testing.T) {
	s := serve(t, Config{Operate: true})
	for asked, want := range map[string]struct {
		status int
		code   rollout.Code
		words  string
		allow  string
	}{
		"GET /api/v1/nothing":          {404, rollout.CodeUnknown, "/api/v1/nothing", ""},
		"GET /api/v1/":                 {404, rollout.CodeUnknown, "docs/console.md", ""},
		"GET /api/v2/services":         {404, rollout.CodeUnknown, "/api/v1/", ""},
		"POST /api/v1/nothing":         {404, rollout.CodeUnknown, "/api/v1/nothing", ""},
		"GET /api/v1/services/a/b/c/d": {404, rollout.CodeUnknown, "/api/v1/services/a/b/c/d", ""},
		"DELETE /api/v1/services":      {405, rollout.CodeInvalid, "DELETE is not taken at /api/v1/services, but GET", "GET, HEAD"},
		"GET /api/v1/login":            {405, rollout.CodeInvalid, "POST", "POST"},
	} {
		method, path, _ := strings.Cut(asked, " ")
		status, head, said := s.ask(method, path, "", nil)
		var reply api.Reply
		if err := json.Unmarshal([]byte(said), &reply); err != nil {
			t.Errorf("%s: %v: %s", asked, err, said)
			continue
		}
		if status != want.status || reply.OK || reply.Code != want.code || !strings.Contains(reply.Message, want.words) {
			t.Errorf("%s: %d %s", asked, status, said)
		}
		if got := head.Get("Content-Type"); got != "application/json" {
			t.Errorf("%s: content type %q", asked, got)
		}
		if got := head.Get("Allow"); got != want.allow {
			t.Errorf("%s: allowed is %q, want %q", asked, got, want.allow)
		}
		if head.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: it may be kept: %q", asked, head.Get("Cache-Control"))
		}
	}
	if status, _, said := s.ask(http.MethodHead, "/api/v1/session", "", nil); status != http.StatusOK || said != "" {
		t.Errorf("HEAD: %d %q", status, said)
	}
}
