package consoletest_test

import (
	"context"
	"net"
	"sync"
	"testing"

	"github.com/serin-rollouts/serin/internal/browsertest"
)

// door is the way to a replica's HTTP server. Shut, it resets every connection at
// once, as the kernel does for a process that was killed.
type door struct {
	origin string
	to     string

	mu    sync.Mutex
	shut  bool
	conns map[net.Conn]bool
}

// newDoor makes an open door to an address, until the test ends.
func newDoor(t *testing.T, to string) *door {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{origin: "http://" + l.Addr().String(), to: to, conns: map[net.Conn]bool{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { d.pass(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close() // it listens for the test alone
		d.slam()
		running.Wait()
	})
	return d
}

// slam shuts it, on those who are inside as well.
func (d *door) slam() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = true
	for c := range d.conns {
		reset(c)
	}
}

// open takes slam back.
func (d *door) open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = false
}

// Private

func (d *door) enter(c net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.shut {
		d.conns[c] = true
	}
	return !d.shut
}

func (d *door) leave(c net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, c)
}

// pass copies both ways.
func (d *door) pass(inner net.Conn) {
	if !d.enter(inner) {
		reset(inner)
		return
	}
	defer d.leave(inner)
	outer, err := new(net.Dialer).DialContext(context.Background(), "tcp", d.to)
	if err != nil {
		reset(inner) // nobody is there
		return
	}
	browsertest.Join(inner, outer)
}

func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // it may have gone already
	}
	_ = c.Close()
}
