package httpd_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/httpd"
)

func TestServes(t *testing.T) {
	var why atomic.Pointer[error]
	broken := errors.New("the disk is full")
	why.Store(&broken)
	s, err := httpd.Start(t.Context(), httpd.Config{
		Listen: "127.0.0.1:0",
		Ready:  func(context.Context) error { return *why.Load() },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "serin_up 1\n")
		}),
		Routes: map[string]http.Handler{"POST /hooks/x": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusAccepted)
		})},
		Log: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := func(method, path string, status int, text string) {
		t.Helper()
		if got, said := ask(t, s, method, path); got != status || !strings.Contains(said, text) {
			t.Errorf("%s %s: %d %q, want %d with %q", method, path, got, said, status, text)
		}
	}
	want("GET", "/healthz", 200, "ok")
	want("GET", "/readyz", 503, "the disk is full")
	want("GET", "/metrics", 200, "serin_up 1")
	want("POST", "/hooks/x", 202, "")
	want("POST", "/metrics", 405, "")
	want("GET", "/nothing", 404, "")
	var none error
	why.Store(&none)
	want("GET", "/readyz", 200, "ok")
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Address()+"/healthz", nil)
	if answer, err := http.DefaultClient.Do(req); err == nil {
		_ = answer.Body.Close()
		t.Error("it answers after Close")
	}
}

func TestListensWhereItIsTold(t *testing.T) {
	none, err := httpd.Start(t.Context(), httpd.Config{Log: zerolog.Nop()})
	if err != nil || none != nil || none.Address() != "" || none.Close(t.Context()) != nil {
		t.Errorf("nothing to listen on: %v, %v", none, err)
	}
	first, err := httpd.Start(t.Context(), config("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Close(context.WithoutCancel(t.Context())) }()
	if _, err := httpd.Start(t.Context(), config(first.Address())); err == nil || !strings.Contains(err.Error(), "http.listen") {
		t.Errorf("an address that is taken: %v", err)
	}
	for listen, good := range map[string]bool{"": true, "127.0.0.1:7310": true, ":0": true, "localhost": false, "7310": false} {
		if err := httpd.Validate(listen); (err == nil) != good {
			t.Errorf("%q: %v", listen, err)
		}
	}
}

func config(listen string) httpd.Config {
	return httpd.Config{
		Listen: listen, Ready: func(context.Context) error { return nil }, Metrics: http.NotFoundHandler(), Log: zerolog.Nop(),
	}
}

func ask(t *testing.T, s *httpd.Server, method, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Address()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(said)
}
