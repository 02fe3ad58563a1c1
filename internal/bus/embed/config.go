// Package embed runs a NATS server with JetStream inside the coordinator. It
// is the only importer of the server, and apart from internal/bus so that
// agents do not link it.
//
// One server alone keeps its streams by itself (replicas 1); three or five that
// name each other's cluster addresses form the cluster "serin" and keep three
// copies. Going from one server to several starts with empty streams, since
// a lone server's files are not taken over; the Raft state is not in them.
// The last server of a cluster that was shrunk keeps its streams, see Start.
package embed

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/identity"
)

const (
	clusterName = "serin"

	// maxPayload bounds a message. A spec is at most 64 KiB; the answer that
	// lists 10,000 hosts is the largest message, below 1 MiB.
	maxPayload = 1 << 20
	// maxPending is what a client may lag behind before it is cut off: eight
	// of the largest messages, against the server's default of 64 MiB, which
	// a fleet of stuck agents would multiply. Routes have no such limit.
	maxPending    = 8 << 20
	writeDeadline = 10 * time.Second

	// handshakeTimeout is long, since after an outage a whole fleet comes at once.
	handshakeTimeout = 10 * time.Second
	pingInterval     = 10 * time.Second
	pingsLost        = 2

	// reportEvery thins out "peer not reachable", which comes each second and
	// once per connection of a pool.
	reportEvery = 60
)

// Config says where the server listens and keeps its data.
type Config struct {
	// Name is the replica's id, unique in the cluster.
	Name string
	// Listen is the clients' address, host:port. Port 0 or "-1" picks one.
	Listen string
	// Cluster is where the peers connect to, host:port; used with Routes only.
	Cluster string
	// Routes are the peers' cluster addresses, host:port; one's own among
	// them does no harm. Empty for a server alone.
	Routes []string
	// Dir is where JetStream keeps its files; made if missing.
	Dir string
	// TLS is for clients and routes, who must present certificates too; empty
	// for plain text.
	TLS identity.Files
	// InProcessOnly opens no port at all: connections come from this process.
	InProcessOnly bool
	// Log receives what the server has to say.
	Log zerolog.Logger
}

// Validate names the field that is missing or wrong.
func (c Config) Validate() error {
	var errs []error
	require := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("embedded nats "+format, args...))
		}
	}
	require(c.Name != "", "name: is needed")
	require(c.Dir != "", "dir: is needed")
	if err := c.TLS.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("embedded nats tls: %w", err))
	}
	if c.InProcessOnly {
		require(len(c.Routes) == 0, "routes: not possible with in_process_only")
		return errors.Join(errs...)
	}
	_, _, err := splitAddress(c.Listen)
	require(err == nil, "listen %q: %w", c.Listen, err)
	if len(c.Routes) == 0 {
		return errors.Join(errs...)
	}
	_, _, err = splitAddress(c.Cluster)
	require(err == nil, "cluster %q: %w", c.Cluster, err)
	for _, r := range c.Routes {
		_, _, err := splitAddress(r)
		require(err == nil, "route %q: %w", r, err)
	}
	return errors.Join(errs...)
}

// Private

func (c Config) options() (*server.Options, error) {
	opts := &server.Options{
		ServerName:             c.Name,
		DontListen:             c.InProcessOnly,
		NoSigs:                 true,
		DisableJetStreamBanner: true,
		MaxPayload:             maxPayload,
		MaxPending:             maxPending,
		WriteDeadline:          writeDeadline,
		PingInterval:           pingInterval,
		MaxPingsOut:            pingsLost,
		JetStream:              true,
		StoreDir:               c.Dir,
		SyncAlways:             true, // the default flushes every two minutes
		ConnectErrorReports:    reportEvery,
		ReconnectErrorReports:  reportEvery,
	}
	if c.InProcessOnly {
		return opts, nil
	}
	tlsConfig, err := c.TLS.Config()
	if err != nil {
		return nil, fmt.Errorf("embedded nats tls: %w", err)
	}
	opts.TLSConfig, opts.TLSVerify, opts.TLSTimeout = tlsConfig, tlsConfig != nil, handshakeTimeout.Seconds()
	if opts.Host, opts.Port, err = splitAddress(c.Listen); err != nil {
		return nil, err
	}
	if len(c.Routes) == 0 {
		return opts, nil
	}
	return opts, c.clusterOptions(opts)
}

func (c Config) clusterOptions(opts *server.Options) error {
	host, port, err := splitAddress(c.Cluster)
	if err != nil {
		return err
	}
	opts.Cluster = server.ClusterOpts{
		Name:          clusterName,
		Host:          host,
		Port:          port,
		PingInterval:  pingInterval,
		MaxPingsOut:   pingsLost,
		WriteDeadline: writeDeadline,
	}
	if opts.TLSConfig != nil {
		opts.Cluster.TLSConfig = opts.TLSConfig.Clone()
		opts.Cluster.TLSTimeout = handshakeTimeout.Seconds()
	}
	for _, r := range c.Routes {
		opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats-route", Host: r})
	}
	return nil
}

// splitAddress returns the server's -1 for port 0: any free one.
func splitAddress(address string) (host string, port int, err error) {
	host, digits, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("address must be host:port: %w", err)
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("port of %s: %w", address, err)
	}
	if n == 0 {
		return host, server.RANDOM_PORT, nil
	}
	return host, int(n), nil
}
