package replica

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
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
)

// stream carries Raft over TCP, in TLS if there is a configuration for it.
type stream struct {
	net.Listener
	advertise address
	tls       *tls.Config // nil: plain text
	// hosts tells whose certificates may connect; none: any of the authority.
	hosts atomic.Pointer[func() []string]
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
		return nil, fmt.Errorf("listen for raft: %w", err)
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
	conn, err := s.Listener.Accept()
	if err != nil || s.tls == nil {
		return conn, err
	}
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return nil, errors.Join(err, conn.Close())
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

// Dial connects to a peer, whose certificate must be valid for its host.
func (s *stream) Dial(peer raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if s.tls == nil {
		return new(net.Dialer).DialContext(ctx, "tcp", string(peer))
	}
	return (&tls.Dialer{Config: s.tls}).DialContext(ctx, "tcp", string(peer))
}

// Private

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
