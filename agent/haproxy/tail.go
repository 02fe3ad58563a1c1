package haproxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"net"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Record is one request, as HAProxy logged it. It holds nothing that a client
// could have written, but for the path.
type Record struct {
	Service     string
	Slot        string // the server that answered, "" if none did
	Status      int
	Micros      int64  // from the request's arrival to the answer's head; -1 if unknown
	Termination string // HAProxy's two letters of how it ended, "--" if well
	Want        string // the canary slot the split chose, "" for stable; not Slot if it was redispatched
	// Path is the beginning of what was asked for, without the query: at most
	// MaxPath bytes, as the client wrote it; nil if it was none. It is valid only
	// during the call that gives it.
	Path []byte
}

// Tail listens for HAProxy's log ring and calls f with every request, from one
// goroutine at a time, until ctx ends (then it returns nil). The strings in a
// Record are interned: keeping them is free. Its Path is not to be kept.
func (m *Managed) Tail(ctx context.Context, f func(Record)) error {
	if m.logAddr == "" {
		return errors.New("tail: no LogAddr configured")
	}
	l, err := m.takeLog(ctx)
	if err != nil {
		return fmt.Errorf("tail: %w", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() { _ = l.Close() }) // ends Accept; its error is told there
	defer stop()
	t := &tailer{emit: f, parser: newParser(), known: m.known}
	g.Go(func() error {
		for {
			conn, err := l.Accept()
			if err != nil {
				return endOf(ctx, err)
			}
			g.Go(func() error { t.serve(ctx, conn); return nil })
		}
	})
	if err := g.Wait(); err != nil {
		return fmt.Errorf("tail: %w", err)
	}
	return nil
}

// Private

// openLog settles the log address and opens its listener already, so that
// a port that was picked stays ours.
func (m *Managed) openLog(ctx context.Context, remembered string) error {
	m.logAddr = m.cfg.LogAddr
	if m.logAddr == "" || m.logAddr == logUnix {
		return nil
	}
	host, port, err := net.SplitHostPort(m.logAddr)
	if err != nil {
		return err
	}
	if port != "0" {
		return nil
	}
	candidates := pickPorts(m.cfg.Dir, host)
	if rhost, _, err := net.SplitHostPort(remembered); err == nil && rhost == host {
		candidates = append([]string{remembered}, candidates...)
	}
	for _, addr := range candidates {
		l, lerr := m.cfg.Listen(ctx, "tcp", addr)
		if lerr == nil {
			m.logAddr, m.logReady = addr, l
			return nil
		}
		err = lerr
	}
	return fmt.Errorf("no free port for the log lines: %w", err)
}

// pickPorts returns addresses below the range that the kernel gives to outgoing
// connections (HAProxy's own among them), starting at one that depends on dir.
func pickPorts(dir, host string) []string {
	const first, count, some = 20000, 12000, 64
	h := fnv.New32a()
	_, _ = io.WriteString(h, dir) // a hash never fails
	start := int(h.Sum32() % count)
	out := make([]string, some)
	for i := range out {
		out[i] = net.JoinHostPort(host, strconv.Itoa(first+(start+i*37)%count))
	}
	return out
}

func (m *Managed) known(service string) bool {
	_, ok := m.view.Load().services[service]
	return ok
}

func (m *Managed) takeLog(ctx context.Context) (net.Listener, error) {
	m.logMu.Lock()
	defer m.logMu.Unlock()
	if l := m.logReady; l != nil {
		m.logReady = nil
		return l, nil
	}
	if m.logAddr != logUnix {
		return m.cfg.Listen(ctx, "tcp", m.logAddr)
	}
	path := m.path("log.sock")
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return m.cfg.Listen(ctx, "unix", path)
}

// endOf turns the end of a listener or connection into nil if ctx asked for it.
func endOf(ctx context.Context, err error) error {
	select {
	case <-ctx.Done():
		return nil
	default:
		return err
	}
}

type tailer struct {
	mu     sync.Mutex // over emit and parser: old and new workers each have a connection
	emit   func(Record)
	known  func(service string) bool // so that nobody on the host makes services up
	parser *parser
}

// serve reads one connection to its end. What cannot be a frame ends it:
// HAProxy connects again.
func (t *tailer) serve(ctx context.Context, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // ends the read below
	defer stop()
	defer func() { _ = conn.Close() }() // closing twice is harmless
	r := bufio.NewReaderSize(conn, 64<<10)
	for {
		frame, err := readFrame(r)
		if err != nil {
			return
		}
		t.line(frame)
		if _, err := r.Discard(len(frame)); err != nil {
			return
		}
	}
}

func (t *tailer) line(frame []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rec, ok := t.parser.parse(frame)
	if ok && t.known(rec.Service) {
		t.emit(rec)
	}
}
