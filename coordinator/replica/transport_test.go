package replica

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/identity/identitytest"
)

// Strangers who connect and say nothing cost a bounded amount of memory.
func TestConnectionsAreBounded(t *testing.T) {
	s, err := listen(t.Context(), Config{ID: "c1", Listen: "127.0.0.1:0", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if _, err := s.Accept(); err != nil {
				return
			}
		}
	}()
	var last net.Conn
	for range maxConnections + 1 {
		if last, err = net.Dial("tcp", s.Addr().String()); err != nil {
			t.Fatal(err)
		}
		defer last.Close() //nolint:errcheck // the test is over
	}
	if err := last.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := last.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("one connection too many is open: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	<-ended
	if n := s.accepted.Load(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	ca := identitytest.New(t)
	s, err := listen(t.Context(), Config{ID: "c1", Listen: "127.0.0.1:0", TLS: ca.Leaf(t, "c1"), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	all := func() []string { return nil }
	s.hosts.Store(&all)
	network := s.transport(newRaftLogger(zerolog.Nop()))
	defer network.Close() //nolint:errcheck // the test is over
	client, err := ca.Leaf(t, "c2").Config()
	if err != nil {
		t.Fatal(err)
	}
	try := func(patience time.Duration, change func(*tls.Config)) error {
		cfg := client.Clone()
		change(cfg)
		conn, err := tls.Dial("tcp", s.Addr().String(), cfg)
		if err != nil {
			return err
		}
		defer conn.Close() //nolint:errcheck // the test is over
		if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		_, err = conn.Read(make([]byte, 1)) // a refusal comes after the client's handshake
		return err
	}
	if err := try(time.Second, func(*tls.Config) {}); !isTimeout(err) {
		t.Errorf("a good peer was refused: %v", err)
	}
	if err := try(patience, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }); err == nil || isTimeout(err) {
		t.Errorf("TLS 1.2 was accepted: %v", err)
	}
	if err := try(patience, func(c *tls.Config) { c.GetClientCertificate = nil }); err == nil || isTimeout(err) {
		t.Errorf("a peer without a certificate was accepted: %v", err)
	}
	plain, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close() //nolint:errcheck // the test is over
	if _, err := plain.Write([]byte("\x00plain text\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(plain); isTimeout(err) {
		t.Errorf("plain text was accepted: %v", err)
	}
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error) //nolint:errorlint // the outermost error decides
	return ok && ne.Timeout()
}
