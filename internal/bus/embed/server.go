package embed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	pollInterval    = 20 * time.Millisecond
	routeTimeout    = 3 * time.Second // for the first of a last peer's old routes
	shutdownTimeout = 10 * time.Second
	dirMode         = 0o700
)

// ErrNotReady means that the server's streams cannot be used yet: it is
// starting, or too few of its cluster are there to elect a leader.
var ErrNotReady = errors.New("embedded nats: jetstream is not ready")

// Server is a running NATS server. It satisfies bus.Config.InProcess.
type Server struct {
	cfg    Config
	nats   *server.Server
	system *system
	fatal  <-chan error
	failed <-chan error
}

// Start starts a server and returns when it accepts connections; see Ready for
// its streams. An error names what stands in the way: a port in use, a
// directory that cannot be written, a wrong certificate. The caller ends it
// with Shutdown.
//
// The last peer of a cluster that was shrunk to it (see RemovePeer) runs as a
// server alone if none of its routes answers: in a cluster it would wait for
// one for ever before it elects itself. It keeps its streams. Others can join it
// again once it has been restarted while they run.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	s, err := start(ctx, cfg)
	if err != nil || len(cfg.Routes) == 0 || s.Peers() != 1 {
		return s, err
	}
	found, stop := context.WithTimeout(ctx, routeTimeout)
	defer stop()
	if s.poll(found, func() bool { return s.nats.NumRoutes() > 0 }) == nil || ctx.Err() != nil {
		return s, nil
	}
	if err := s.Shutdown(); err != nil {
		return nil, err
	}
	cfg.Log.Warn().Str("component", "nats-server").Strs("routes", cfg.Routes).
		Msg("the last server of its cluster runs alone; restart it when others are to join")
	cfg.Cluster, cfg.Routes = "", nil
	return start(ctx, cfg)
}

// Ready waits until streams can be made and used: at once for a server alone,
// in a cluster once a majority has elected its JetStream leader. It returns
// ErrNotReady, with ctx's error, if ctx ends before.
func (s *Server) Ready(ctx context.Context) error {
	if err := s.poll(ctx, s.Streaming); err != nil {
		return fmt.Errorf("%w: %w", ErrNotReady, err)
	}
	return nil
}

// Streaming reports whether JetStream runs and, in a cluster, has a leader.
func (s *Server) Streaming() bool {
	if !s.nats.JetStreamEnabled() {
		return false
	}
	if len(s.cfg.Routes) == 0 {
		return true
	}
	info, err := s.nats.Jsz(&server.JSzOptions{})
	return err == nil && info.Meta != nil && info.Meta.Leader != ""
}

// Failed tells once that the server could not write to its streams. It does not
// try again before it is started anew, not even when there is room again, and a
// cluster with two such servers stands still.
func (s *Server) Failed() <-chan error { return s.failed }

// Alone reports whether it runs without a cluster, which can keep one copy of a
// stream only.
func (s *Server) Alone() bool { return len(s.cfg.Routes) == 0 }

// Name returns the server's name, which the cluster's streams know it by.
func (s *Server) Name() string { return s.nats.Name() }

// URL returns where clients connect to; empty if in process only.
func (s *Server) URL() string {
	if s.cfg.InProcessOnly {
		return ""
	}
	return s.nats.ClientURL()
}

// InProcessConn returns one end of a new connection within this process.
func (s *Server) InProcessConn() (net.Conn, error) { return s.nats.InProcessConn() }

// Shutdown hands leaderships over, closes connections and files, and waits for
// that, at most 10 s. It may be called twice.
func (s *Server) Shutdown() error {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.nats.Shutdown()
		s.nats.WaitForShutdown()
	}()
	timer := time.NewTimer(shutdownTimeout)
	defer timer.Stop()
	select {
	case <-ended:
		return nil
	case <-timer.C:
		return fmt.Errorf("shut down embedded nats %s: not done after %s", s.cfg.Name, shutdownTimeout)
	}
}

// Private

func start(ctx context.Context, cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	opts, err := cfg.options()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, dirMode); err != nil {
		return nil, fmt.Errorf("make embedded nats dir: %w", err)
	}
	system := newSystem()
	if len(cfg.Routes) > 0 {
		opts.CustomClientAuthentication, opts.AuthTimeout = system, handshakeTimeout.Seconds()
	}
	ns, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("start embedded nats: %w", err)
	}
	system.nats = ns
	logger := newLogger(cfg.Log)
	ns.SetLoggerV2(logger, false, false, false)
	s := &Server{cfg: cfg, nats: ns, system: system, fatal: logger.fatal, failed: logger.failed}
	ns.Start()
	if err := s.poll(ctx, s.accepting); err != nil {
		return nil, errors.Join(fmt.Errorf("start embedded nats %s: %w", cfg.Name, err), s.Shutdown())
	}
	return s, nil
}

// poll asks until the answer is yes, the server has given up, or ctx ends.
func (s *Server) poll(ctx context.Context, yes func() bool) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case err := <-s.fatal:
			return err
		default:
		}
		if yes() {
			return nil
		}
		select {
		case err := <-s.fatal:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// accepting reports whether every port that is asked for is open.
func (s *Server) accepting() bool {
	switch {
	case !s.nats.Running():
		return false
	case s.cfg.InProcessOnly:
		return true
	case len(s.cfg.Routes) > 0 && s.nats.ClusterAddr() == nil:
		return false
	default:
		return s.nats.Addr() != nil
	}
}
