package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// receiver takes what is sent to a webhook. What is sent below /broken it does
// not take.
type receiver struct {
	server *httptest.Server

	mu    sync.Mutex
	taken []string
}

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil || strings.HasPrefix(req.URL.Path, "/broken") {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken = append(r.taken, string(body))
}

func (r *receiver) close() {
	if r.server != nil {
		r.server.Close()
	}
}

func (f *fake) receiverCommand(ts *testscript.TestScript, _ []string) error {
	f.receiver.server = httptest.NewServer(&f.receiver)
	ts.Setenv("RECEIVER", strings.TrimPrefix(f.receiver.server.URL, "http://"))
	return nil
}

func (f *fake) receivedCommand(ts *testscript.TestScript, _ []string) error {
	f.receiver.mu.Lock()
	defer f.receiver.mu.Unlock()
	for _, text := range f.receiver.taken {
		if _, err := fmt.Fprintln(ts.Stdout(), text); err != nil {
			return err
		}
	}
	f.receiver.taken = nil
	return nil
}
