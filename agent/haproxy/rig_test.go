package haproxy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/agent/haproxy/haproxytest"
	"github.com/serin-rollouts/serin/internal/needtest"
	"github.com/serin-rollouts/serin/internal/porttest"
)

// balancer is what both kinds of HAProxy have in common.
type balancer interface {
	steering
	traffic
	lifecycle
}

type steering interface {
	Ensure(ctx context.Context, services []haproxy.Service) error
	Observe(ctx context.Context) (haproxy.Snapshot, error)
	Attach(ctx context.Context, service, slot string, addr netip.AddrPort) error
	Detach(ctx context.Context, service, slot string, cutSessions bool) error
}

type traffic interface {
	SetWeights(ctx context.Context, service string, weights map[string]int) error
	SetSplit(ctx context.Context, service string, split haproxy.Split) error
	Promote(ctx context.Context, service, bank string) error
	Zero(ctx context.Context, service string) error
	MinStep(service string) int
}

type lifecycle interface {
	Stop(ctx context.Context) error
	Close() error
}

var (
	_ balancer = (*haproxy.Managed)(nil)
	_ balancer = (*haproxy.Existing)(nil)
)

// needHAProxy skips where there is no HAProxy, but not where CI promises one.
func needHAProxy(t *testing.T) {
	t.Helper()
	_, err := exec.LookPath("haproxy")
	needtest.Need(t, "haproxy >= 2.6 in PATH", err)
}

// shortDir is a directory with a path short enough for unix sockets.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hap") //nolint:usetesting // t.TempDir is too long for unix sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func fakeConfig(t *testing.T, h *haproxytest.HAProxy) haproxy.Config {
	t.Helper()
	return haproxy.Config{
		Dir: shortDir(t), Dial: h.Dial, Listen: h.Listen, Launch: h.Launch, Exec: h.Exec, Signal: h.Signal,
		LogAddr: "127.0.0.1:0", Log: zerolog.Nop(),
	}
}

// patience bounds whatever a real process has to do in the end: test machines
// are slow and shared.
const patience = 2 * time.Minute

// openManaged opens a HAProxy that the test's end stops.
func openManaged(t *testing.T, cfg haproxy.Config) *haproxy.Managed {
	t.Helper()
	cfg.Timeout = patience
	m, err := haproxy.OpenManaged(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := m.Stop(ctx); err != nil {
			t.Error(err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// startExisting runs a HAProxy with a backend "shop" as its owner would.
func startExisting(t *testing.T, slots int) (socket, listen string) {
	t.Helper()
	needHAProxy(t)
	dir, listen := shortDir(t), porttest.Address(t)
	socket = filepath.Join(dir, "s")
	text := `global
    stats socket ` + socket + ` mode 600 level admin
defaults
    mode http
    timeout connect 500ms
    timeout check 1s
    timeout client 30s
    timeout server 30s
    retries 3
    option redispatch 1
    retry-on conn-failure empty-response
frontend shop
    bind ` + listen + `
    default_backend shop_be
backend static
    balance static-rr
backend shop_be
    balance roundrobin
    http-request disable-l7-retry unless { method GET HEAD OPTIONS }
    default-server check inter 500ms fastinter 100ms downinter 200ms fall 5 rise 1
    server-template a 1-` + strconv.Itoa(slots) + ` 127.0.0.1:1 disabled
    server-template b 1-` + strconv.Itoa(slots) + ` 127.0.0.1:1 disabled
`
	file := filepath.Join(dir, "c")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("haproxy", "-db", "-f", file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	eventually(t, "HAProxy's admin socket", func() bool {
		c, err := net.Dial("unix", socket)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return socket, listen
}

// eventually polls a real process.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// container is a tiny HTTP server that stands for a container.
type container struct {
	name     string
	addr     netip.AddrPort
	server   *http.Server
	requests atomic.Int64
	checks   atomic.Int64
	slow     atomic.Int64 // slow requests that wait for their answer
	hold     atomic.Bool  // slow requests wait until it is killed
	broken   atomic.Bool  // answers 500
}

func startContainer(t *testing.T, ip, name string) *container {
	t.Helper()
	l, err := net.Listen("tcp", ip+":0")
	if err != nil {
		t.Fatal(err)
	}
	c := &container{name: name, addr: netip.MustParseAddrPort(l.Addr().String())}
	c.server = &http.Server{Handler: c.handler(), ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.server.Serve(l) // ends with ErrServerClosed
	}()
	t.Cleanup(func() {
		c.kill()
		<-done
	})
	return c
}

func (c *container) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		c.checks.Add(1)
		if c.broken.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		c.slow.Add(1)
		defer c.slow.Add(-1)
		answer := time.After(300 * time.Millisecond)
		if c.hold.Load() {
			answer = nil
		}
		select {
		case <-answer:
		case <-r.Context().Done():
		}
		c.answer(w, r)
	})
	mux.HandleFunc("/", c.answer)
	return mux
}

// kill cuts everything, as kill -9 does.
func (c *container) kill() { _ = c.server.Close() }

func (c *container) answer(w http.ResponseWriter, r *http.Request) {
	c.requests.Add(1)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if c.broken.Load() {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_, _ = fmt.Fprintf(w, "%s %d %s", c.name, len(body), strings.Repeat("x", 512))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func observe(t *testing.T, b balancer) haproxy.Snapshot {
	t.Helper()
	snap, err := b.Observe(t.Context())
	must(t, err)
	return snap
}

func slot(t *testing.T, b balancer, name string) haproxy.Slot {
	t.Helper()
	backend := observe(t, b).Backends["web"]
	s, ok := backend.Slot(name)
	if !ok {
		t.Fatalf("no slot web/%s", name)
	}
	return s
}
