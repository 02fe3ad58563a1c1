package console

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serin-rollouts/serin/internal/api"
)

const (
	annToken = "ann-0123456789abcdef"
	bobToken = "bob-0123456789abcdef"
)

func tokens(t *testing.T, lines ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tokens")
	writeTokens(t, file, lines...)
	return file
}

func writeTokens(t *testing.T, file string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(file, []byte("# name role sha256\n"+strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func line(name, role, token string) string {
	sum := sha256.Sum256([]byte(token))
	return name + " " + role + " " + hex.EncodeToString(sum[:])
}

func TestConfigIsChecked(t *testing.T) {
	good := tokens(t, line("ann", "operator", annToken))
	readable := tokens(t, line("ann", "operator", annToken))
	if err := os.Chmod(readable, 0o644); err != nil { //nolint:gosec // what is refused
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cfg  Config
		want string // in the error; empty: none
	}{
		"nothing":             {Config{Listen: "127.0.0.1:7310"}, ""},
		"operate at home":     {Config{Listen: "[::1]:7310", Operate: true}, ""},
		"operate for all":     {Config{Listen: "0.0.0.0:7310", Operate: true}, "console.tokens"},
		"operate and tokens":  {Config{Listen: "127.0.0.1:7310", Operate: true, Tokens: good}, "console.operate"},
		"tokens":              {Config{Listen: ":7310", Tokens: good}, ""},
		"no file":             {Config{Tokens: good + "x"}, "console.tokens"},
		"a file for all":      {Config{Tokens: readable}, "chmod"},
		"a bad role":          {Config{Tokens: tokens(t, line("ann", "king", annToken))}, "king"},
		"no sum":              {Config{Tokens: tokens(t, "ann operator secret")}, "64 hexadecimal digits"},
		"two words":           {Config{Tokens: tokens(t, "ann operator")}, "line 2"},
		"nobody":              {Config{Tokens: tokens(t)}, "nobody"},
		"peers":               {Config{Peers: []string{"http://10.0.0.2:7310", "https://c2.example.com"}}, ""},
		"a peer with a path":  {Config{Peers: []string{"http://10.0.0.2:7310/"}}, "console.peers"},
		"a peer without http": {Config{Peers: []string{"10.0.0.2:7310"}}, "console.peers"},
	} {
		if err := c.cfg.Validate(); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// Without tokens one may look from this machine, under its own names, and no more.
func TestOpenConsole(t *testing.T) {
	promote := "/api/v1/services/shop/" + api.Promote
	for name, c := range map[string]struct {
		cfg        Config
		host       string
		look, give int
	}{
		"loopback":      {Config{}, "", 200, 403},
		"operate":       {Config{Operate: true}, "", 200, 200},
		"another name":  {Config{Operate: true}, "evil.example.com", 403, 403},
		"localhost":     {Config{}, "localhost:7310", 200, 403},
		"for everybody": {Config{Listen: "0.0.0.0:7310"}, "", 403, 403},
	} {
		s := serve(t, c.cfg)
		s.bus.answer("serin.v1.get.services", `{"ok":true,"data":[]}`)
		s.bus.answer("serin.v1.cmd.promote.shop", `{"ok":true,"rollout":"shop-2"}`)
		head := map[string]string{}
		if c.host != "" {
			head["Host"] = c.host
		}
		if got, _, said := s.ask(http.MethodGet, "/api/v1/services", "", head); got != c.look {
			t.Errorf("%s: looking: %d %s, want %d", name, got, said, c.look)
		}
		if got, _, said := s.ask(http.MethodPost, promote, `{}`, head); got != c.give {
			t.Errorf("%s: promote: %d %s, want %d", name, got, said, c.give)
		}
		if n := s.bus.questions("serin.v1.cmd.promote.shop"); (n == 1) != (c.give == 200) {
			t.Errorf("%s: %d commands have reached the bus", name, n)
		}
	}
}

func TestRoles(t *testing.T) {
	file := tokens(t, line("ann", "operator", annToken), line("bob", "viewer", bobToken))
	s := serve(t, Config{Listen: "0.0.0.0:7310", Tokens: file})
	s.bus.answer("serin.v1.get.services", `{"ok":true,"data":[]}`)
	s.bus.answer("serin.v1.cmd.abort.shop", `{"ok":true,"rollout":"shop-2"}`)
	for name, c := range map[string]struct {
		head       map[string]string
		look, give int
	}{
		"nobody":     {nil, 401, 401},
		"a stranger": {map[string]string{"Authorization": "Bearer nonsense"}, 401, 401},
		"viewer":     {map[string]string{"Authorization": "Bearer " + bobToken}, 200, 403},
		"operator":   {map[string]string{"Authorization": "Bearer " + annToken}, 200, 200},
		"by cookie":  {map[string]string{"Cookie": cookieName + "=" + annToken}, 200, 200},
	} {
		if got, _, said := s.ask(http.MethodGet, "/api/v1/services", "", c.head); got != c.look {
			t.Errorf("%s: looking: %d %s, want %d", name, got, said, c.look)
		}
		if got, _, said := s.ask(http.MethodPost, "/api/v1/services/shop/abort", `{"rollout":"shop-2","by":"","reason":"x"}`, c.head); got != c.give {
			t.Errorf("%s: abort: %d %s, want %d", name, got, said, c.give)
		}
	}
	for _, asked := range s.bus.asked {
		if strings.Contains(asked, "cmd.abort") && !strings.Contains(asked, `"by":"ann"`) {
			t.Errorf("not in ann's name: %s", asked)
		}
	}
	writeTokens(t, file, line("bob", "viewer", bobToken)+" # ann has left")
	if got, _, _ := s.ask(http.MethodGet, "/api/v1/services", "", map[string]string{"Authorization": "Bearer " + annToken}); got != 401 {
		t.Errorf("ann is let in after she has left: %d", got)
	}
}

func TestLogin(t *testing.T) {
	s := serve(t, Config{Replica: "c1", Tokens: tokens(t, line("ann", "operator", annToken)), Peers: []string{"http://10.0.0.2:7310"}})
	if _, _, said := s.ask(http.MethodGet, "/api/v1/session", "", nil); decode[Session](t, said).Role != "" {
		t.Errorf("before: %s", said)
	}
	if got, head, _ := s.ask(http.MethodPost, "/api/v1/login", `{"token":"wrong"}`, nil); got != 401 || head.Get("Set-Cookie") != "" {
		t.Errorf("a wrong token: %d %v", got, head)
	}
	got, head, _ := s.ask(http.MethodPost, "/api/v1/login", `{"token":"`+annToken+`"}`, nil)
	kept := head.Get("Set-Cookie")
	for _, want := range []string{"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"} {
		if got != 200 || !strings.Contains(kept, want) {
			t.Errorf("%d, cookie %q lacks %s", got, kept, want)
		}
	}
	value, _, _ := strings.Cut(kept, ";")
	with := map[string]string{"Cookie": value}
	_, _, said := s.ask(http.MethodGet, "/api/v1/session", "", with)
	if x := decode[Session](t, said); x.Name != "ann" || x.Role != "operator" || x.ReadOnly != "" || !x.Login || len(x.Peers) != 1 {
		t.Errorf("after: %s", said)
	}
	if _, _, said := s.ask(http.MethodPost, "/api/v1/pass", `{}`, with); !strings.Contains(said, annToken) {
		t.Errorf("no pass for the peers: %s", said)
	}
	if _, _, said := s.ask(http.MethodPost, "/api/v1/pass", `{}`, nil); strings.Contains(said, "token") {
		t.Errorf("a pass for nobody: %s", said)
	}
	if _, head, _ := s.ask(http.MethodPost, "/api/v1/logout", `{}`, with); !strings.Contains(head.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("logged out: %v", head)
	}
}

// What another site's page makes a browser send is refused, also with the cookie.
func TestForgedRequests(t *testing.T) {
	s := serve(t, Config{Operate: true, Peers: []string{"http://127.0.0.2:7310"}})
	s.bus.answer("serin.v1.cmd.abort.shop", `{"ok":true}`)
	abort := func(head map[string]string) int {
		got, _, _ := s.ask(http.MethodPost, "/api/v1/services/shop/abort", `{}`, head)
		return got
	}
	for name, c := range map[string]struct {
		head map[string]string
		want int
	}{
		"another site":      {map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		"another port":      {map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		"another origin":    {map[string]string{"Origin": "http://evil.example.com"}, 403},
		"no origin":         {map[string]string{"Origin": "null"}, 403},
		"a form":            {map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, 415},
		"a form as text":    {map[string]string{"Content-Type": "text/plain"}, 415},
		"its own page":      {map[string]string{"Sec-Fetch-Site": "same-origin"}, 200},
		"its own, by name":  {map[string]string{"Origin": s.URL}, 200},
		"a peer's page":     {map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.2:7310"}, 200},
		"curl, as this one": {nil, 200},
	} {
		if got := abort(c.head); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	for method, want := range map[string]int{http.MethodGet: 405, http.MethodPut: 405, http.MethodDelete: 405} {
		if got, _, _ := s.ask(method, "/api/v1/services/shop/abort", "", nil); got != want {
			t.Errorf("%s: %d, want %d", method, got, want)
		}
	}
	if got, _, _ := s.ask(http.MethodPost, "/api/v1/services/shop/destroy", `{}`, nil); got != 404 {
		t.Errorf("a verb that is none: %d", got)
	}
	if got, _, _ := s.ask(http.MethodPost, "/api/v1/services/shop/abort", `{"force":1}`, nil); got != 400 {
		t.Errorf("a body with more: %d", got)
	}
}

// The pages of the other replicas may read, those of other sites may not.
func TestCORS(t *testing.T) {
	s := serve(t, Config{Peers: []string{"http://127.0.0.2:7310"}})
	for origin, want := range map[string]string{"http://127.0.0.2:7310": "http://127.0.0.2:7310", "http://evil.example.com": "", "": ""} {
		_, head, _ := s.ask(http.MethodGet, "/api/v1/services", "", map[string]string{"Origin": origin})
		if got := head.Get("Access-Control-Allow-Origin"); got != want || head.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("from %q: allowed %q", origin, got)
		}
	}
	got, head, _ := s.ask(http.MethodOptions, "/api/v1/stream", "", map[string]string{"Origin": "http://127.0.0.2:7310"})
	if got != 204 || !strings.Contains(head.Get("Access-Control-Allow-Headers"), "Last-Event-ID") {
		t.Errorf("preflight: %d %v", got, head)
	}
}

func TestPagesHaveAStrictPolicy(t *testing.T) {
	s := serve(t, Config{Peers: []string{"http://127.0.0.2:7310"}})
	for _, path := range []string{"/", "/r/shop-2", "/s/shop", "/hosts", "/cluster", "/login"} {
		got, head, said := s.ask(http.MethodGet, path, "", nil)
		policy := head.Get("Content-Security-Policy")
		if got != 200 || !strings.HasPrefix(said, "<!doctype html>") || head.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", path, got, head)
		}
		for _, want := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "connect-src 'self' http://127.0.0.2:7310;", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: %q lacks %q", path, policy, want)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
			t.Errorf("%s: %q", path, policy)
		}
		for _, inline := range []string{"<style", "style=", "onclick=", "javascript:", "http://", "https://"} {
			if strings.Contains(said, inline) {
				t.Errorf("%s has %s", path, inline)
			}
		}
	}
	if got, _, _ := s.ask(http.MethodGet, "/r/a/b", "", nil); got != 404 {
		t.Errorf("a page that is none: %d", got)
	}
}

func TestAssets(t *testing.T) {
	s := serve(t, Config{})
	a, err := readAssets(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for name := range a.files {
		got, head, _ := s.ask(http.MethodGet, "/assets/"+name, "", nil)
		if got != 200 || head.Get("Content-Type") != kindOf(name) {
			t.Errorf("%s: %d %v", name, got, head)
		}
		if got, _, said := s.ask(http.MethodGet, "/assets/"+name, "", map[string]string{"If-None-Match": head.Get("Etag")}); got != 304 || said != "" {
			t.Errorf("%s again: %d", name, got)
		}
	}
	for _, path := range []string{"/assets/nothing.js", "/assets/..%2fconsole.go", "/assets/"} {
		if got, _, _ := s.ask(http.MethodGet, path, "", nil); got != 404 {
			t.Errorf("%s: %d", path, got)
		}
	}
}
