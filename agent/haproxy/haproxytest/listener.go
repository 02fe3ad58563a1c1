package haproxytest

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Listen replaces Config.Listen: addresses are this HAProxy's own, so that many
// agents in one process may use the same ones.
func (h *HAProxy) Listen(_ context.Context, network, addr string) (net.Listener, error) {
	h.mu.Lock()
	busy := h.busy[addr]
	h.mu.Unlock()
	h.ringMu.Lock()
	defer h.ringMu.Unlock()
	if busy || h.listeners[addr] != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	}
	l := &listener{addr: addr, conns: make(chan net.Conn, 4), closed: make(chan struct{})}
	l.forget = func() {
		h.ringMu.Lock()
		defer h.ringMu.Unlock()
		delete(h.listeners, addr)
	}
	h.listeners[addr] = l
	return l, nil
}

// writeRing sends log lines to the agent; they are lost if it does not read.
func (h *HAProxy) writeRing(addr, lines string) {
	h.ringMu.Lock()
	defer h.ringMu.Unlock()
	if addr == "" || lines == "" {
		return
	}
	if h.ring == nil {
		l := h.listeners[addr]
		if l == nil || !l.accepts() {
			return
		}
		if h.ring = l.connect(); h.ring == nil {
			return
		}
	}
	if err := h.ring.SetWriteDeadline(time.Now().Add(time.Second)); err == nil {
		if _, err := io.WriteString(h.ring, lines); err == nil {
			return
		}
	}
	_ = h.ring.Close() // the reader has gone
	h.ring = nil
}

// listener is a net.Listener in memory.
type listener struct {
	addr   string
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	forget func()

	mu       sync.Mutex
	accepted bool
}

func (l *listener) accepts() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.accepted
}

// connect hands a connection to Accept; nil if nobody will take it.
func (l *listener) connect() net.Conn {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
	default:
		return nil
	}
	select {
	case <-l.closed: // Close may have emptied conns before
		_ = server.Close()
	default:
	}
	return client
}

// Accept waits for the log ring.
func (l *listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	l.accepted = true
	l.mu.Unlock()
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	case c := <-l.conns:
		return c, nil
	}
}

// Close ends Accept and frees the address. A connection that was not accepted
// is closed: who writes to it has to see that nobody reads.
func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		for len(l.conns) > 0 {
			select {
			case c := <-l.conns:
				_ = c.Close()
			default:
			}
		}
		l.forget()
	})
	return nil
}

// Addr returns the address it was opened with.
func (l *listener) Addr() net.Addr { return address(l.addr) }

type address string

func (address) Network() string  { return "pipe" }
func (a address) String() string { return string(a) }
