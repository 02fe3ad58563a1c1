package browsertest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// What pages complain of comes to the test: what their scripts throw, and what
// their policy keeps from running.
func TestComplaints(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'")
		_, _ = io.WriteString(w, `<!doctype html><p>here</p><script>document.title = "ran"</script><script src="/throws.js"></script>`)
	})
	mux.HandleFunc("GET /throws.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = io.WriteString(w, `throw new Error("on purpose")`)
	})
	mux.HandleFunc("GET /favicon.ico", func(http.ResponseWriter, *http.Request) {})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	b := Open(t)
	b.Go(s.URL + "/")
	b.UntilText("p", "here")
	var all string
	for end := time.Now().Add(patience); !strings.Contains(all, "on purpose") || !strings.Contains(all, "Content Security Policy"); time.Sleep(look) {
		all += strings.Join(b.complaints(), "\n")
		if time.Now().After(end) {
			t.Fatalf("the page has complained of %q alone", all)
		}
	}
	if title := Eval[string](b, "document.title"); title == "ran" {
		t.Error("a script within the page ran")
	}
	b.Quiet()
}

// TestWithoutChromium: where CI is set, a machine without it fails the test.
func TestWithoutChromium(t *testing.T) {
	for ci, want := range map[string]string{"true": "--- FAIL", "": "--- SKIP"} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestComplaints$", "-test.v") //nolint:gosec // this program
		cmd.Env = []string{"PATH=" + t.TempDir(), "CI=" + ci}
		said, err := cmd.CombinedOutput()
		if (err != nil) != (ci != "") || !bytes.Contains(said, []byte(want)) || !bytes.Contains(said, []byte("make setup installs it")) {
			t.Errorf("CI=%q: %v\n%s", ci, err, said)
		}
	}
}
