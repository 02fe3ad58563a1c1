package porttest_test

import (
	"net"
	"testing"

	"github.com/serin-rollouts/serin/internal/porttest"
)

// TestAddress: addresses differ, can be listened on, and connections to them come
// from elsewhere, so that none takes the port of another.
func TestAddress(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		address := porttest.Address(t)
		host, _, err := net.SplitHostPort(address)
		if err != nil || host != porttest.Host() || !net.ParseIP(host).IsLoopback() || seen[address] {
			t.Fatalf("%s: %v", address, err)
		}
		seen[address] = true
	}
	for address := range seen {
		server, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = server.Close() }()
		client, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = client.Close() }()
		if from := client.LocalAddr().(*net.TCPAddr).IP.String(); from != "127.0.0.1" {
			t.Fatalf("connections come from %s", from)
		}
	}
}
