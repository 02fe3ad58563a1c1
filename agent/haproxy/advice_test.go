package haproxy

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// What README.md shows has all that a canary needs; what is taken out of it is
// missed by name.
func TestAdvice(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(readme), "```haproxy file=haproxy.cfg\n")
	text, _, _ = strings.Cut(text, "```")
	if got := advice(text, "checkout"); len(got) != 0 || !strings.Contains(text, "backend checkout") {
		t.Errorf("README.md's own: %q", got)
	}
	for name, c := range map[string]struct{ old, new, want string }{
		"no redispatch":            {"option redispatch 1", "", "option redispatch 1"},
		"redispatch taken back":    {"balance roundrobin", "no option redispatch\nbalance roundrobin", "option redispatch 1"},
		"no retries":               {"retries 3", "retries 0", "retries 3"},
		"no timeout":               {"timeout connect 500ms", "", "timeout connect 500ms"},
		"a comment":                {"timeout server", "# timeout server", "timeout server 30s"},
		"no checks":                {"default-server check", "default-server", "default-server check"},
		"other defaults":           {"frontend web", "defaults other\ntimeout connect 1s\ntimeout server 1s\nfrontend web", "option redispatch 1"},
		"its defaults by name":     {"\nbackend checkout\n", "\ndefaults other\ntimeout connect 1s\ntimeout server 1s\ndefaults\nbackend checkout from other\n", "option redispatch 1"},
		"checks of each server":    {"default-server check", "server x 10.0.0.1:1 check\n#", "default-server check"},
		"another backend has them": {"frontend web", "backend more\noption redispatch\nfrontend web", ""},
	} {
		got := advice(strings.Replace(text, c.old, c.new, 1), "checkout")
		if c.want == "" && len(got) != 0 || c.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], `backend checkout: add "`+c.want)) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if got := advice(text, "elsewhere"); got != nil {
		t.Errorf("a backend of another file: %q", got)
	}
}

// It is said once for each backend.
func TestAdviseOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte("defaults\n timeout connect 1s\n timeout server 1s\nbackend checkout\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	x := &Existing{}
	x.cfg.File, x.cfg.Log = file, zerolog.New(&log)
	for range 2 {
		x.advise("checkout")
	}
	if got := strings.Count(log.String(), "option redispatch 1"); got != 1 {
		t.Errorf("said %d times: %s", got, log.String())
	}
}
