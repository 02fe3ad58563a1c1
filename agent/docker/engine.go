package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"
	"github.com/rs/zerolog"
)

const (
	// DefaultHost is the address of the Engine on a Linux host.
	DefaultHost = "unix:///var/run/docker.sock"

	// MinAPI is the oldest Engine API that serin speaks: Docker 20.10.
	MinAPI = "1.41"

	defaultCallTimeout = 10 * time.Second
	defaultPullTimeout = 10 * time.Minute

	// slowFactor stretches the deadline of calls that make the daemon work
	// (create, start, remove): starting a container took up to 6 s on a host
	// with load 20.
	slowFactor = 3
)

// Config says which Engine to drive, and how patiently. The zero value is the
// Engine of this host.
type Config struct {
	// Host is the Engine's address, like unix:///var/run/docker.sock or
	// tcp://127.0.0.1:2375. Empty means DefaultHost.
	Host string

	// Dial opens connections to the Engine; nil means the real network.
	// Tests speak the protocol over net.Pipe through it. It gets the scheme
	// and the address of Host ("unix", "/var/run/docker.sock").
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// CallTimeout is the deadline of one short API call; default 10 s.
	// Create, Start and Remove get three times as long, Stop its grace more.
	CallTimeout time.Duration

	// PullTimeout is the deadline of one Pull; default 10 min.
	PullTimeout time.Duration

	// RegistryConfig is the path of a file in the format of Docker's own
	// config.json. The credentials under its "auths" are sent along when an
	// image is resolved or pulled; credential helpers are not run. It is
	// read anew each time, so that tokens can be rotated. Empty means that
	// registries are asked without credentials.
	RegistryConfig string

	Log zerolog.Logger
}

// Engine is a connection to one Docker Engine. All its methods may be called
// from several goroutines.
type Engine struct {
	cfg Config

	// current is replaced by reconnect, when the daemon was exchanged for one
	// that speaks another API version; calls under way keep the old one.
	current atomic.Pointer[session]
}

// session is a client bound to the API version that the daemon had when it
// was asked.
type session struct {
	*client.Client
	serverAPI string
}

// Info describes an Engine.
type Info struct {
	EngineVersion string // as in "20.10.24"
	APIVersion    string // the one that is spoken, as in "1.41"
	LiveRestore   bool   // containers outlive a crash of the daemon
}

// Open connects to the Engine and agrees on an API version with it. It fails
// with ErrUnavailable if no daemon answers.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	if cfg.Host == "" {
		cfg.Host = DefaultHost
	}
	if cfg.CallTimeout <= 0 {
		cfg.CallTimeout = defaultCallTimeout
	}
	if cfg.PullTimeout <= 0 {
		cfg.PullTimeout = defaultPullTimeout
	}
	e := &Engine{cfg: cfg}
	if err := e.reconnect(ctx); err != nil {
		return nil, fmt.Errorf("open Docker Engine: %w", err)
	}
	return e, nil
}

// Close drops idle connections. Calls under way are ended by their contexts.
func (e *Engine) Close() error {
	if err := e.current.Load().Close(); err != nil {
		return fmt.Errorf("close Docker Engine: %w", err)
	}
	return nil
}

// Info asks the daemon what it is.
func (e *Engine) Info(ctx context.Context) (Info, error) {
	var info Info
	err := e.call(ctx, e.cfg.CallTimeout, "ask Docker for its version", func(ctx context.Context, s *session) error {
		got, err := s.Info(ctx)
		info = Info{EngineVersion: got.ServerVersion, APIVersion: s.ClientVersion(), LiveRestore: got.LiveRestoreEnabled}
		return err
	})
	return info, err
}

// Private

// reconnect pings the daemon, and negotiates the API version anew if the
// daemon's has changed: an SDK client only ever lowers its version, and a
// newer daemon may refuse the old one.
func (e *Engine) reconnect(ctx context.Context) error {
	s := e.current.Load()
	if s == nil {
		var err error
		if s, err = e.newSession(); err != nil {
			return err
		}
	}
	var serverAPI string
	err := e.callOn(ctx, s, e.cfg.CallTimeout, "ping", func(ctx context.Context, s *session) error {
		pong, err := s.Ping(ctx)
		serverAPI = pong.APIVersion
		return err
	})
	switch {
	case err != nil:
		return err
	case versions.LessThan(serverAPI, MinAPI):
		return fmt.Errorf("the daemon at %s speaks API %q, serin needs %s: upgrade Docker to 20.10 or newer",
			e.cfg.Host, serverAPI, MinAPI)
	case s.serverAPI == serverAPI:
		return nil
	}
	return e.renegotiate(serverAPI)
}

func (e *Engine) renegotiate(serverAPI string) error {
	s, err := e.newSession()
	if err != nil {
		return err
	}
	s.NegotiateAPIVersionPing(types.Ping{APIVersion: serverAPI})
	s.serverAPI = serverAPI
	if old := e.current.Swap(s); old != nil {
		e.cfg.Log.Info().Str("api", s.ClientVersion()).Msg("Docker speaks another API version than before")
		return old.Close()
	}
	return nil
}

func (e *Engine) newSession() (*session, error) {
	opts := []client.Opt{
		client.WithHost(e.cfg.Host),
		// Lets net/http send a POST again where an idle connection turns out
		// to be closed, as all are after a restart of the daemon: it looks for
		// the header. All calls of this package may be repeated.
		client.WithHTTPHeaders(map[string]string{"X-Idempotency-Key": "serin"}),
	}
	if e.cfg.Dial != nil {
		at, err := client.ParseHostURL(e.cfg.Host)
		if err != nil {
			return nil, fmt.Errorf("docker host %q: %w", e.cfg.Host, err)
		}
		opts = append(opts, client.WithDialContext(func(ctx context.Context, _, _ string) (net.Conn, error) {
			return e.cfg.Dial(ctx, at.Scheme, at.Host)
		}))
	}
	c, err := client.NewClientWithOpts(opts...)
	if err != nil {
		return nil, fmt.Errorf("docker host %q: %w", e.cfg.Host, err)
	}
	return &session{Client: c}, nil
}

// call makes one API call with a deadline of its own, and turns its failure
// into an error that says what was tried.
func (e *Engine) call(ctx context.Context, limit time.Duration, what string, f func(context.Context, *session) error) error {
	return e.callOn(ctx, e.current.Load(), limit, what, f)
}

func (e *Engine) callOn(ctx context.Context, s *session, limit time.Duration, what string, f func(context.Context, *session) error) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := f(limited, s)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", what, ctx.Err())
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w: nothing from %s within %s: the daemon hangs or is overloaded, see `systemctl status docker`",
			what, ErrUnavailable, e.cfg.Host, limit)
	}
	return fmt.Errorf("%s: %w", what, sorted(err))
}
