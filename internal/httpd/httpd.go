// Package httpd is the HTTP side of a daemon: whether it lives (/healthz),
// whether it can do its work (/readyz), its metrics (/metrics), and what else
// it is given to serve.
package httpd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/rs/zerolog"
)

const (
	readyTimeout  = 5 * time.Second // of all that readiness asks
	headerTimeout = 5 * time.Second
	readTimeout   = 30 * time.Second
	writeTimeout  = time.Minute
	idleTimeout   = 2 * time.Minute
	maxHeader     = 16 << 10
)

// Config is one daemon's HTTP side.
type Config struct {
	// Listen is the address, host:port; nothing is served if it is empty.
	Listen string
	// Ready returns nil if the daemon can do its work, else why it cannot. It is
	// asked at each request of /readyz, from several goroutines.
	Ready func(ctx context.Context) error
	// Metrics answers /metrics.
	Metrics http.Handler
	// Open opens the listener; nil means the real network.
	Open func(ctx context.Context, network, address string) (net.Listener, error)
	// Routes are more patterns, as http.ServeMux has them.
	Routes map[string]http.Handler
	Log    zerolog.Logger
}

// Server listens. A nil one does nothing.
type Server struct {
	http    http.Server
	address string
	ended   chan error
}

// Validate tells what is wrong with an address to listen on; none is fine.
func Validate(listen string) error {
	if listen == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(listen); err != nil {
		return fmt.Errorf("http.listen: %q is no host:port: %w; off serves nothing", listen, err)
	}
	return nil
}

// Start listens and serves until Close. It returns nil without an error if there
// is nothing to listen on.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Listen == "" {
		return nil, nil //nolint:nilnil // nil is a server that serves nothing
	}
	if cfg.Open == nil {
		cfg.Open = new(net.ListenConfig).Listen
	}
	listener, err := cfg.Open(ctx, "tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("http.listen: %w; name another address, or off", err)
	}
	s := &Server{address: listener.Addr().String(), ended: make(chan error, 1)}
	s.http = http.Server{
		Handler: handler(cfg), ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
	}
	go func() { s.ended <- s.http.Serve(listener) }()
	cfg.Log.Info().Str("address", s.address).Msg("serving HTTP")
	return s, nil
}

// Address is where it listens, with the port that was found for port 0.
func (s *Server) Address() string {
	if s == nil {
		return ""
	}
	return s.address
}

// Close ends it. Requests under way are answered, unless ctx ends first.
func (s *Server) Close(ctx context.Context) error {
	if s == nil {
		return nil
	}
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	if served := <-s.ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// Private

func handler(cfg Config) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, stop := context.WithTimeout(r.Context(), readyTimeout)
		defer stop()
		if err := cfg.Ready(ctx); err != nil {
			say(w, http.StatusServiceUnavailable, "not ready: "+err.Error())
			return
		}
		say(w, http.StatusOK, "ok")
	})
	mux.Handle("GET /metrics", cfg.Metrics)
	for pattern, h := range cfg.Routes {
		mux.Handle(pattern, h)
	}
	return mux
}

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text) // who asked has gone, if it fails
}
