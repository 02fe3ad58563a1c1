// Package console serves the web console: its pages, the API under /api/v1/
// that they read, and one stream of server-sent events for each open page.
//
// It knows nothing by itself. What it shows is what the leader answers on the
// bus, to it as to the command line (internal/api); events are those of the
// stream; commands go the way that `serin promote` takes. Every replica serves
// it, whoever leads.
package console

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Bus is the replica's way to the leader and to the stream of events.
type Bus interface {
	RequestHeader(ctx context.Context, subject string, header bus.Header, data []byte) (bus.Msg, error)
	Events(ctx context.Context, filter bus.Filter, f func(bus.EventMsg) error) error
}

// Ledger is the replicated state as this replica knows it.
type Ledger interface {
	State() *rollout.State
	Changed() <-chan struct{}
}

// Console is one replica's. Its routes answer "starting" until Run runs.
type Console struct {
	cfg    Config
	access access
	origin *http.CrossOriginProtection
	assets assets
	log    zerolog.Logger
	live   atomic.Pointer[live]
}

// live is what exists while the replica is open.
type live struct {
	ctx    context.Context //nolint:containedctx // its end ends every stream
	bus    Bus
	ledger Ledger
	hub    *hub
	curves *curves
	log    zerolog.Logger

	gate    sync.Mutex
	closed  bool
	streams int
	running sync.WaitGroup // streams
}

// New prepares the console of a valid Config.
func New(cfg Config, log zerolog.Logger) (*Console, error) {
	pages, err := readAssets(cfg)
	if err != nil {
		return nil, err
	}
	c := &Console{cfg: cfg, access: access{cfg: cfg, keys: keyring{file: cfg.Tokens}}, assets: pages, log: log}
	c.origin = http.NewCrossOriginProtection()
	for _, peer := range cfg.Peers {
		if err := c.origin.AddTrustedOrigin(peer); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Routes are the patterns that it serves, as http.ServeMux has them.
func (c *Console) Routes() map[string]http.Handler {
	routes := map[string]http.Handler{"GET /assets/{file}": c.page(c.assets.serveFile), "/api/": c.api()}
	for _, pattern := range []string{"GET /{$}", "GET /r/{id}", "GET /s/{service}", "GET /hosts", "GET /cluster", "GET /login"} {
		routes[pattern] = c.page(c.assets.serveShell)
	}
	return routes
}

// Run serves until ctx ends, and returns when every stream has ended.
func (c *Console) Run(ctx context.Context, b Bus, ledger Ledger) {
	l := &live{ctx: ctx, bus: b, ledger: ledger, log: c.log}
	l.curves = newCurves(l)
	l.hub = newHub(l)
	c.live.Store(l)
	l.curves.run(ctx)
	c.live.Store(nil)
	l.end()
}
