// Package porttest hands out addresses on which the servers of a test can listen
// later, and again after they were down for a while.
package porttest

import (
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
)

// given are the addresses that were handed out.
var given sync.Map //nolint:gochecknoglobals // Ports are the whole process's.

// Host returns the loopback address that is this process's own: whatever other
// processes listen on, and from whichever port connections go out (they come from
// 127.0.0.1), they take none of its ports.
func Host() string {
	const byTwo, mask = 8, 0xff
	pid := os.Getpid()
	// Far from those that tests use by hand.
	return fmt.Sprintf("127.%d.%d.%d", 64+pid>>(2*byTwo)&0x3f, pid>>byTwo&mask, pid&mask)
}

// Address returns host:port that nobody listens on, and that is handed out once.
func Address(tb testing.TB) string {
	tb.Helper()
	for {
		l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", net.JoinHostPort(Host(), "0"))
		if err != nil {
			tb.Fatal(err)
		}
		address := l.Addr().String()
		if err := l.Close(); err != nil {
			tb.Fatal(err)
		}
		if _, twice := given.LoadOrStore(address, true); !twice {
			return address
		}
	}
}
