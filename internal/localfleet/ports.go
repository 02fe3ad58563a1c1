package localfleet

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Ports of a fleet are below those that the kernel hands out to outgoing
// connections (32768 and up), so that a part which is down for a while finds its
// port free again.
const firstPort, portRange = 15000, 17000

// reserved keeps ports from other processes until this one ends.
var reserved struct { //nolint:gochecknoglobals // ports are the whole process's
	sync.Mutex
	ports []io.Closer
}

// FreePorts finds ports that nobody listens on, on any address. Until this process
// ends no other call of it, in whatever process, returns one of them.
func FreePorts(ctx context.Context, n int) ([]string, error) {
	var ports []string
	for tries := 0; len(ports) < n; tries++ {
		port := strconv.Itoa(firstPort + rand.IntN(portRange)) //nolint:gosec // any will do
		err := reserve(ctx, port)
		switch {
		case err == nil:
			ports = append(ports, port)
		case tries > portRange:
			return nil, fmt.Errorf("find a free port: %w", err)
		}
	}
	return ports, nil
}

// Private

// reserve fails if somebody listens on the port, or has reserved it. To look whether
// anybody listens is to listen for a moment, which would be in the way of whoever has
// found the port free a moment ago. So a name that stands for the port is taken first,
// which the kernel gives to one process of a network at a time.
func reserve(ctx context.Context, port string) error {
	name, err := new(net.ListenConfig).Listen(ctx, "unix", portName(port))
	if err != nil {
		return fmt.Errorf("reserve port %s: %w", port, err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", ":"+port)
	if err == nil {
		err = listener.Close()
	}
	if err != nil {
		_ = name.Close()
		return fmt.Errorf("port %s: %w", port, err)
	}
	reserved.Lock()
	defer reserved.Unlock()
	reserved.ports = append(reserved.ports, name)
	return nil
}

// portName is an abstract address: a name without a file, which goes with its owner.
func portName(port string) string { return "@serin-port-" + port }
