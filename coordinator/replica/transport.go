package replica

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

const (
	// peerTimeout bounds a dial and every read and write to a peer. It is also
	// how long a connection to a peer that vanished without a word is held.
	peerTimeout      = 2 * time.Second
	handshakeTimeout = 10 * time.Second
	peerConnections  = 3
	// maxConnections bounds the connections from peers, each of which costs a
	// buffer of 256 KiB before it has proved who it is.
	maxConnections = 64
)

// stream carries Raft over TCP, in TLS if there is a configuration for it.
type stream struct {
	net.Listener
	advertise address
	tls       *tls.Config // nil: plain text
	// hosts tells whose certificates may connect; none: any of the authority.
	hosts atomic.Pointer[func() []string]

	// open holds every connection: Raft's transport leaves those that peers have
	// opened, and nobody would answer on them after the end.
	open     sync.Map // *link to nothing
	accepted atomic.Int32
	closed   atomic.Bool
}

// link is a connection that the stream can close.
type link struct {
	net.Conn
	once   sync.Once
	forget func(*link)
}

// Close closes the connection.
func (l *link) Close() error {
	l.once.Do(func() { l.forget(l) })
	return l.Conn.Close()
}

// address is a host and port that peers resolve, so that a name stays a name.
type address string

// Network names the protocol.
func (address) Network() string { return "tcp" }

// String returns host:port.
func (a address) String() string { return string(a) }

func listen(ctx context.Context, cfg Config) (*stream, error) {
	secure, err := cfg.TLS.Config()
	if err != nil {
		return nil, fmt.Errorf("secure raft: %w", err)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("raft.listen: %w; choose another address, or end the process that has it", err)
	}
	s := &stream{Listener: l, tls: secure}
	if s.advertise, err = advertised(cfg, l.Addr()); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return s, nil
}

// advertised chooses the address by which peers reach this replica.
func advertised(cfg Config, bound net.Addr) (address, error) {
	if cfg.Advertise != "" {
		return address(cfg.Advertise), nil
	}
	for _, p := range cfg.Peers {
		if p.ID == cfg.ID {
			return address(p.Address), nil
		}
	}
	host, _, err := net.SplitHostPort(bound.String())
	if err != nil {
		return "", fmt.Errorf("choose the address for peers: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		return "", fmt.Errorf("peers cannot reach this replica at %s: name the address that they can (advertise)", bound)
	}
	return address(bound.String()), nil
}

func (s *stream) transport(logger hclog.Logger) *raft.NetworkTransport {
	return raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: s, MaxPool: peerConnections, Timeout: peerTimeout, Logger: logger,
	})
}

// Addr returns the advertised address.
func (s *stream) Addr() net.Addr { return s.advertise }

// Accept returns the next connection from a peer. Its handshake is done by the
// first read, so a slow peer holds up nobody else.
func (s *stream) Accept() (net.Conn, error) {
	for {
		conn, err := s.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if s.accepted.Add(1) <= maxConnections {
			return s.secure(s.keep(conn, func() { s.accepted.Add(-1) }))
		}
		s.accepted.Add(-1)
		_ = conn.Close() // nothing was said on it
	}
}

// Dial connects to a peer, whose certificate must be valid for its host.
func (s *stream) Dial(peer raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var conn net.Conn
	var err error
	if s.tls == nil {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", string(peer))
	} else {
		conn, err = (&tls.Dialer{Config: s.tls}).DialContext(ctx, "tcp", string(peer))
	}
	if err != nil {
		return nil, err
	}
	return s.keep(conn, func() {}), nil
}

// Close ends the listener and every connection.
func (s *stream) Close() error {
	s.closed.Store(true)
	err := s.Listener.Close()
	s.open.Range(func(conn, _ any) bool {
		_ = conn.(*link).Close() // the peer sees it closed either way
		return true
	})
	return err
}

// Private

// keep remembers a connection until it is closed.
func (s *stream) keep(conn net.Conn, gone func()) *link {
	l := &link{Conn: conn, forget: func(l *link) {
		s.open.Delete(l)
		gone()
	}}
	s.open.Store(l, nil)
	if s.closed.Load() {
		_ = l.Close() // whoever got it sees it closed
	}
	return l
}

// secure makes a peer prove who it is, in bounded time.
func (s *stream) secure(conn *link) (net.Conn, error) {
	if s.tls == nil {
		return conn, nil
	}
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		_ = conn.Close()
		return conn, nil //nolint:nilerr // the connection is broken, not the listener: reading it says so
	}
	secure := s.tls.Clone()
	secure.VerifyConnection = func(state tls.ConnectionState) error {
		if err := s.admit(state.PeerCertificates[0]); err != nil {
			return err
		}
		return conn.SetDeadline(time.Time{})
	}
	return tls.Server(conn, secure), nil
}

// admit accepts the certificate of a member's host.
func (s *stream) admit(cert *x509.Certificate) error {
	f := s.hosts.Load()
	if f == nil {
		return errors.New("not ready for peers yet")
	}
	hosts := (*f)()
	if len(hosts) == 0 {
		return nil
	}
	for _, h := range hosts {
		if cert.VerifyHostname(h) == nil {
			return nil
		}
	}
	return fmt.Errorf("the certificate of %q is valid for no member of the group", cert.Subject.CommonName)
}

// hostsOf returns the hosts of addresses.
func hostsOf(addresses []string) []string {
	var hosts []string
	for _, a := range addresses {
		if host, _, err := net.SplitHostPort(a); err == nil {
			hosts = append(hosts, host)
		}
	}
	return hosts
}
