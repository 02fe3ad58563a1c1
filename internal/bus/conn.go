package bus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/identity"
)

const (
	connectTimeout = 10 * time.Second // 2 s, the library's default, fails in a herd of TLS handshakes
	pingInterval   = 10 * time.Second
	pingsLost      = 2
	reconnectWait  = 500 * time.Millisecond
	defaultJitter  = 2 * time.Second
	closeTimeout   = 5 * time.Second
	complainEvery  = 30 * time.Second // of a condition that lasts
)

// Errors of a connection.
var (
	// ErrNotConnected means that nothing was sent: there is no connection now.
	ErrNotConnected = errors.New("not connected to the bus")
	// ErrNoResponders means that nobody listens on the subject.
	ErrNoResponders = errors.New("nobody answers on this subject")
	// ErrNoReply means that a message expects no answer.
	ErrNoReply = errors.New("message expects no reply")
)

// Config says how to reach the bus.
type Config struct {
	// URLs of the servers, as nats://host:port or tls://host:port.
	URLs []string
	// Name is shown in the server's list of connections.
	Name string
	// TLS identifies this process; empty for plain text.
	TLS identity.Files
	// Creds is the path of a NATS credentials file; may be empty.
	Creds string
	// InProcess is an embedded server (embed.Server) to use instead of URLs.
	InProcess nats.InProcessConnProvider
	// ReconnectJitter spreads reconnections over this time; 2 s if zero. A
	// server of two cores takes about 500 TLS connections per second, so a
	// fleet of N hosts wants N/500 seconds.
	ReconnectJitter time.Duration
	// Log receives the connection's story: connected, lost, slow.
	Log zerolog.Logger
}

// Validate names the field that is missing or wrong.
func (c Config) Validate() error {
	if c.InProcess == nil && len(c.URLs) == 0 {
		return errors.New("bus urls: at least one is needed")
	}
	if c.ReconnectJitter < 0 {
		return fmt.Errorf("bus reconnect jitter %s: must not be negative", c.ReconnectJitter)
	}
	if err := c.TLS.Validate(); err != nil {
		return fmt.Errorf("bus tls: %w", err)
	}
	return nil
}

// Conn is one connection to the bus, safe for concurrent use. It reconnects
// for as long as it lives.
type Conn struct {
	cfg    Config
	nc     *nats.Conn
	js     jetstream.JetStream
	log    zerolog.Logger
	cancel context.CancelFunc // ends dials under way

	mu          sync.Mutex // guards the next two
	subs        map[*Subscription]struct{}
	onReconnect []func()

	// Only the client's callback goroutine, which runs one callback at a
	// time and in order, touches these two.
	lost       bool
	complaints rarely

	outbox sync.Mutex      // one publish of the outbox at a time; guards the next two
	events link            // the last known event
	states map[string]link // the last known state, by service
}

// Connect makes a connection. Where no server is reachable it returns one
// that keeps trying (see Connected): an agent has to come up without its bus.
// An error means a wrong Config, or that ctx ended.
func Connect(ctx context.Context, cfg Config) (*Conn, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c := &Conn{
		cfg:    cfg,
		log:    cfg.Log,
		cancel: cancel,
		subs:   map[*Subscription]struct{}{},
		states: map[string]link{},
	}
	opts, err := c.options(life, cfg)
	if err != nil {
		cancel()
		return nil, err
	}
	stop := context.AfterFunc(ctx, cancel)
	c.nc, err = nats.Connect(strings.Join(cfg.URLs, ","), opts...)
	if !stop() && err == nil {
		c.nc.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("connect to bus: %w", err)
	}
	if c.js, err = jetstream.New(c.nc); err != nil {
		c.nc.Close()
		cancel()
		return nil, fmt.Errorf("make jetstream context: %w", err)
	}
	return c, nil
}

// Connected reports whether there is a connection now.
func (c *Conn) Connected() bool { return c.nc.IsConnected() }

// ConnectedURL names the server in use, without secrets; empty if none.
func (c *Conn) ConnectedURL() string { return c.nc.ConnectedUrlRedacted() }

// OnReconnect calls f after every connection that follows a lost or a failed
// one. Calls come one at a time; f must not block.
func (c *Conn) OnReconnect(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onReconnect = append(c.onReconnect, f)
}

// Close lets subscriptions finish what they have received, sends what has
// been published and disconnects, within 5 s. It must not be called from a
// subscription's receiver.
func (c *Conn) Close() error {
	ctx, stop := context.WithTimeout(context.Background(), closeTimeout)
	defer stop()
	var err error
	if c.nc.IsConnected() {
		err = errors.Join(c.settle(ctx), c.flush(ctx))
	}
	c.nc.Close()
	c.cancel()
	return errors.Join(err, c.ended(ctx))
}

// Private

func (c *Conn) options(life context.Context, cfg Config) ([]nats.Option, error) {
	jitter := cfg.ReconnectJitter
	if jitter == 0 {
		jitter = defaultJitter
	}
	opts := []nats.Option{
		nats.Name(cfg.Name),
		nats.Timeout(connectTimeout),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(jitter, jitter),
		nats.IgnoreAuthErrorAbort(), // else two refusals close the connection for good
		nats.ReconnectBufSize(-1),   // a late control message is worse than none
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(pingsLost),
		nats.SetCustomDialer(dialer(func(network, address string) (net.Conn, error) {
			return (&net.Dialer{Timeout: connectTimeout}).DialContext(life, network, address)
		})),
		nats.ErrorHandler(c.onError),
		nats.DisconnectErrHandler(c.onDisconnected),
		nats.ReconnectHandler(c.onConnected),
		nats.ConnectHandler(c.onConnected),
		nats.ReconnectErrHandler(c.onConnectError),
	}
	if cfg.Creds != "" {
		opts = append(opts, nats.UserCredentials(cfg.Creds))
	}
	if cfg.InProcess != nil {
		return append(opts, nats.InProcessServer(cfg.InProcess)), nil // no TLS within one process's memory
	}
	tlsConfig, err := cfg.TLS.Config()
	if err != nil {
		return nil, fmt.Errorf("bus tls: %w", err)
	}
	if tlsConfig != nil {
		opts = append(opts, nats.Secure(tlsConfig)) // a server that offers no TLS is refused
	}
	return opts, nil
}

// dialer adapts a function to the client's interface.
type dialer func(network, address string) (net.Conn, error)

// Dial implements nats.CustomDialer.
func (d dialer) Dial(network, address string) (net.Conn, error) { return d(network, address) }

// flush waits, at most 5 s, until the server has seen everything sent so far.
func (c *Conn) flush(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, closeTimeout)
	defer stop()
	if err := c.nc.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("flush bus: %w", c.typed(err))
	}
	return nil
}

// typed translates the client's errors into this package's.
func (c *Conn) typed(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrNoResponders):
		return ErrNoResponders
	case errors.Is(err, nats.ErrReconnectBufExceeded),
		errors.Is(err, nats.ErrConnectionClosed),
		errors.Is(err, nats.ErrConnectionReconnecting),
		errors.Is(err, nats.ErrHeadersNotSupported) && !c.nc.IsConnected():
		return fmt.Errorf("%w (%w)", ErrNotConnected, err)
	default:
		return err
	}
}
