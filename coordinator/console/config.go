package console

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"

	"github.com/serin-rollouts/serin/internal/trace"
)

// Config says who may see the console, and who may use it.
type Config struct {
	// Replica and Version are shown.
	Replica, Version string
	// Listen is the address that the replica's HTTP server has. The console is
	// served on a loopback address, or with Tokens.
	Listen string
	// Tokens is a file with a line for each person: name, role and the SHA-256 of
	// the token; see docs/console.md. Empty: there is no login.
	Tokens string
	// Operate lets everybody give commands who reaches a console without Tokens.
	Operate bool
	// Peers are the consoles of the other replicas as browsers reach them
	// ("http://10.0.0.2:7310"), where a page goes on when this replica is away.
	Peers []string
	// Traces takes a span of each command; nil: none are made.
	Traces *trace.Exporter
}

// Validate names the key that is wrong.
func (c Config) Validate() error {
	switch {
	case c.Operate && c.Tokens != "":
		return errors.New("console.operate: is for a console without tokens; give the role operator in the file of console.tokens")
	case c.Operate && c.Listen != "" && !loopback(c.Listen):
		return fmt.Errorf("console.operate: http.listen is %s, which others reach, too; set console.tokens", c.Listen)
	}
	for _, peer := range c.Peers {
		if err := validPeer(peer); err != nil {
			return err
		}
	}
	if c.Tokens == "" {
		return nil
	}
	keys := keyring{file: c.Tokens}
	if _, err := keys.read(); err != nil {
		return fmt.Errorf("console.tokens: %w", err)
	}
	return nil
}

// Private

func validPeer(peer string) error {
	u, err := url.Parse(peer)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Scheme+"://"+u.Host != peer {
		return fmt.Errorf("console.peers: %q is no origin; write http://host:port", peer)
	}
	return nil
}

// loopback reports whether only this machine reaches an address.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
