package source_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/coordinator/source"
)

// answers serves what a Prometheus server would answer to any query.
func answers(t *testing.T, status int, body string) *source.Prometheus {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/query" || r.FormValue("query") != "up" {
			http.Error(w, "unexpected: "+r.URL.Path, http.StatusTeapot)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		say(t, w, body)
	}))
	t.Cleanup(server.Close)
	p, err := source.NewPrometheus(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func say(t *testing.T, w io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Log(err) // who asked no longer listens
	}
}

func TestPrometheus(t *testing.T) {
	success := func(kind, result string) string {
		return `{"status":"success","data":{"resultType":"` + kind + `","result":` + result + `}}`
	}
	for name, c := range map[string]struct {
		status  int
		body    string
		want    float64
		noValue bool
		message string
	}{
		"scalar":       {200, success("scalar", `[1,"2.5"]`), 2.5, false, ""},
		"one series":   {200, success("vector", `[{"metric":{"a":"b"},"value":[1,"7"]}]`), 7, false, ""},
		"no series":    {200, success("vector", `[]`), 0, true, ""},
		"no number":    {200, success("scalar", `[1,"NaN"]`), 0, true, ""},
		"infinite":     {200, success("scalar", `[1,"+Inf"]`), 0, true, ""},
		"two series":   {200, success("vector", `[{"metric":{},"value":[1,"7"]},{"metric":{"x":"y"},"value":[1,"8"]}]`), 0, false, "2 series"},
		"matrix":       {200, success("matrix", `[]`), 0, false, "matrix"},
		"wrong query":  {400, `{"status":"error","errorType":"bad_data","error":"parse error"}`, 0, false, "parse error"},
		"no such page": {404, `nothing`, 0, false, "query"},
		"garbage":      {200, `<html>`, 0, false, "query"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := answers(t, c.status, c.body).Ask(t.Context(), "up")
			if got != c.want || errors.Is(err, source.ErrNoValue) != c.noValue {
				t.Errorf("%v, %v", got, err)
			}
			if c.message != "" && (err == nil || !strings.Contains(err.Error(), c.message)) {
				t.Errorf("error is %v, want one with %q", err, c.message)
			}
			if c.message == "" && !c.noValue && err != nil {
				t.Error(err)
			}
		})
	}
}

// What a person reads of a server that is away is its address and the cause, not
// the layers of the client.
func TestNobodyAnswers(t *testing.T) {
	const address = "http://127.0.0.1:1"
	p, err := source.NewPrometheus(address)
	if err != nil {
		t.Fatal(err)
	}
	_, asked := p.Ask(t.Context(), "up")
	_, got := source.Get(t.Context(), address, time.Minute)
	for name, err := range map[string]error{"prometheus": asked, "page": got} {
		if err == nil || err.Error() != address+" does not answer: connection refused" || !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: %v", name, err)
		}
	}
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	if _, err := source.Get(late, address, time.Minute); err == nil || err.Error() != address+" does not answer: it takes too long" {
		t.Errorf("too slow: %v", err)
	}
}

func TestPage(t *testing.T) {
	stuck := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ok":
			say(t, w, "fine")
		case "/large":
			say(t, w, strings.Repeat("x", 1<<20))
		case "/elsewhere":
			http.Redirect(w, r, "/ok", http.StatusFound)
		case "/stuck":
			<-stuck
		default:
			http.Error(w, "broken", http.StatusInternalServerError)
		}
	}))
	defer server.Close()
	defer close(stuck)
	for path, want := range map[string]struct{ status, size int }{
		"/ok": {200, 4}, "/large": {200, 32 << 10}, "/broken": {500, 7}, "/elsewhere": {302, 26},
	} {
		page, err := source.Get(t.Context(), server.URL+path, time.Minute)
		if err != nil || page.Status != want.status || len(page.Body) != want.size || page.Took <= 0 {
			t.Errorf("%s: status %d, %d bytes in %v, %v", path, page.Status, len(page.Body), page.Took, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := source.Get(ctx, server.URL+"/stuck", time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("stuck: %v", err)
	}
	if _, err := source.Get(t.Context(), server.URL+"/stuck", time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("too slow: %v", err)
	}
}
