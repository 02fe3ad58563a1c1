package fleettest

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/bus/embed"
)

// startTimeout is virtual.
const startTimeout = time.Minute

// errCut is what a dial meets that does not get through.
var errCut = errors.New("no route to the bus")

// StopBus ends the NATS server, and with it all connections. What JetStream
// holds stays on disk.
func (f *Fleet) StopBus() {
	f.t.Helper()
	s := f.server.swap(nil)
	if s == nil {
		return
	}
	f.server.hangUp()
	if err := s.Shutdown(); err != nil {
		f.t.Errorf("stop bus: %v", err)
	}
}

// StartBus starts it (again).
func (f *Fleet) StartBus() {
	f.t.Helper()
	ctx, stop := context.WithTimeout(f.ctx, startTimeout)
	defer stop()
	s, err := embed.Start(ctx, embed.Config{Name: "bus", Dir: f.server.dir, InProcessOnly: true, Log: zerolog.Nop()})
	if err != nil {
		f.t.Fatalf("start bus: %v", err)
	}
	f.server.swap(s)
	if err := s.Ready(ctx); err != nil {
		f.t.Fatalf("start bus: %v", err)
	}
}

// Private

// server is the place of the NATS server.
type server struct {
	dir string

	mu      sync.Mutex
	running *embed.Server // nil while there is none
	conns   map[*linkConn]struct{}
}

// hangUp ends all connections, and waits until the server has done what it was
// asked for. It sleeps with locks held while it shuts down; whoever waits for
// one of these would keep virtual time from passing.
func (s *server) hangUp() {
	s.mu.Lock()
	conns := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	for _, c := range conns {
		_ = c.Close() // a pipe's never fails
	}
	time.Sleep(time.Second)
}

func (s *server) swap(next *embed.Server) *embed.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.running
	s.running = next
	return last
}

func (s *server) connect(l *link) (*linkConn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		return nil, errCut
	}
	conn, err := s.running.InProcessConn()
	if err != nil {
		return nil, err
	}
	c := &linkConn{Conn: conn, link: l, closed: make(chan struct{})}
	s.conns[c] = struct{}{}
	return c, nil
}

func (s *server) forget(c *linkConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// link is one process's way to the bus, as bus.Config.InProcess.
type link struct {
	server *server

	mu    sync.Mutex
	cut   bool
	conns map[*linkConn]struct{}
}

func newLink(s *server) *link { return &link{server: s, conns: map[*linkConn]struct{}{}} }

// InProcessConn makes a connection, unless the link is cut.
func (l *link) InProcessConn() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return nil, errCut
	}
	c, err := l.server.connect(l)
	if err != nil {
		return nil, err
	}
	l.conns[c] = struct{}{}
	return c, nil
}

// sever breaks the link as a network does: nothing arrives any more, at either
// end, and nobody is told.
func (l *link) sever() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for c := range l.conns {
		c.mute.Store(true)
	}
}

// mend opens the link again. What was connected learns that it is no more.
func (l *link) mend() {
	l.mu.Lock()
	l.cut = false
	l.mu.Unlock()
	l.reset(func(c *linkConn) bool { return c.mute.Load() })
}

// die ends all connections at once, and takes no new ones: the process has been
// killed.
func (l *link) die() {
	l.mu.Lock()
	l.cut = true
	l.mu.Unlock()
	l.reset(func(*linkConn) bool { return true })
}

func (l *link) reset(which func(*linkConn) bool) {
	l.mu.Lock()
	var found []*linkConn
	for c := range l.conns {
		if which(c) {
			found = append(found, c)
		}
	}
	l.mu.Unlock()
	for _, c := range found {
		_ = c.Close() // a pipe's never fails
	}
}

// linkConn is a client's end of a connection.
type linkConn struct {
	net.Conn

	link   *link
	mute   atomic.Bool // the link is severed
	once   sync.Once
	closed chan struct{}
}

// Read reads, or waits while the link is severed.
func (c *linkConn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if !c.mute.Load() {
			return n, err
		}
		if err != nil {
			<-c.closed
			return 0, net.ErrClosed
		}
	}
}

// Write writes, into nothing while the link is severed.
func (c *linkConn) Write(b []byte) (int, error) {
	if c.mute.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// Close closes both ends.
func (c *linkConn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.link.server.forget(c)
		c.link.mu.Lock()
		defer c.link.mu.Unlock()
		delete(c.link.conns, c)
	})
	return c.Conn.Close()
}
