package localfleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

// versionHeader marks the app's own answers, its own errors included.
const versionHeader = "X-Serin-Demo"

// AppPort is where the demo app listens inside its container.
const AppPort = 8080

// HealthPath is the demo app's path that proves readiness.
const HealthPath = "/healthz"

// App is the small web app that fleets roll out: it answers errorPercent of
// its requests with 500. It serves until ctx ends, then finishes what it has
// begun.
func App(ctx context.Context, version string, errorPercent float64) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+HealthPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(versionHeader, version)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(versionHeader, version)
		if rand.Float64()*100 < errorPercent {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = io.WriteString(w, "hello from "+version+"\n")
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", fmt.Sprintf(":%d", AppPort))
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("shut down: %w", err)
	}
	return nil
}
