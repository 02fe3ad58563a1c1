// Package identity turns the three files that name a serin process to its
// peers (authority, certificate, key) into a TLS configuration.
//
// There is one kind of identity for every link: clients to the bus, routes
// between bus servers, and Raft between replicas. Both ends always present a
// certificate of the same authority; TLS 1.3 is the floor.
package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
)

// ErrIncomplete means that some, but not all, of the files are named.
var ErrIncomplete = errors.New("tls needs ca, cert and key together")

// Files names the PEM files of one identity. All three or none.
type Files struct {
	// CA holds the authorities that a peer's certificate must come from.
	CA string `json:"ca,omitempty" yaml:"ca,omitempty"`
	// Cert holds the process's own certificate, followed by intermediates.
	Cert string `json:"cert,omitempty" yaml:"cert,omitempty"`
	// Key holds the private key of Cert.
	Key string `json:"key,omitempty" yaml:"key,omitempty"`
}

// Empty reports whether no file is named: the link is then plain text.
func (f Files) Empty() bool { return f == Files{} }

// Validate returns ErrIncomplete, with the missing names, unless all of the
// files are named or none is. It does not open them.
func (f Files) Validate() error {
	if f.Empty() {
		return nil
	}
	var missing []string
	for _, field := range []struct{ name, path string }{{"ca", f.CA}, {"cert", f.Cert}, {"key", f.Key}} {
		if field.path == "" {
			missing = append(missing, field.name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: missing %s", ErrIncomplete, strings.Join(missing, " and "))
	}
	return nil
}

// Config returns one configuration for both sides of a link: a server asks
// for a client certificate and verifies it, a client presents its own and
// verifies the server's name. It returns nil, nil for Empty files.
//
// Certificate and key are read again when they change on disk, so that a
// rotated certificate is served from the next handshake on; a half-written
// pair keeps the old one. The authorities are read once.
func (f Files) Config() (*tls.Config, error) {
	if err := f.Validate(); err != nil {
		return nil, err
	}
	if f.Empty() {
		return nil, nil //nolint:nilnil // no files is a valid choice: plain text
	}
	pool, err := f.authorities()
	if err != nil {
		return nil, err
	}
	pair, err := newKeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		RootCAs:    pool,
		ClientCAs:  pool,
		ClientAuth: tls.RequireAndVerifyClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return pair.current(), nil
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return pair.current(), nil
		},
	}, nil
}

// Private

func (f Files) authorities() (*x509.CertPool, error) {
	pem, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("read tls ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read tls ca %s: no certificate in it", f.CA)
	}
	return pool, nil
}
