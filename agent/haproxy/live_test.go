package haproxy_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/internal/porttest"
)

// live is a managed HAProxy with a service "web" and one stable container.
type live struct {
	*haproxy.Managed
	cfg     haproxy.Config
	service haproxy.Service
	stable  *container
}

func startLive(t *testing.T, sticky bool) *live {
	t.Helper()
	needHAProxy(t)
	v := &live{cfg: haproxy.Config{Dir: shortDir(t), LogAddr: "unix", Timeout: patience, Log: zerolog.Nop()}}
	// Without a HealthPath: the kernel accepts a check's connection, also while
	// this process, which the containers are part of, stands still for a second.
	v.service = haproxy.Service{Name: "web", Listen: porttest.Address(t), Sticky: sticky}
	v.Managed = openManaged(t, v.cfg)
	must(t, v.Ensure(t.Context(), []haproxy.Service{v.service}))
	v.stable = startContainer(t, "127.0.0.2", "stable")
	must(t, v.Attach(t.Context(), "web", "a1", v.stable.addr))
	must(t, v.SetWeights(t.Context(), "web", map[string]int{"a1": 100}))
	return v
}

// drained waits for two looks without sessions.
func drained(t *testing.T, b balancer, name string) {
	t.Helper()
	idle := 0
	eventually(t, name+" to drain", func() bool {
		if slot(t, b, name).Sessions > 0 {
			idle = 0
		} else {
			idle++
		}
		return idle >= 2
	})
}

// cycle replaces the container in slot old (bank o) by one in slot canary.
func cycle(t *testing.T, b balancer, l *load, old string, before *container, canary string, after *container) {
	t.Helper()
	ctx, bank := t.Context(), canary[:1]
	must(t, b.Attach(ctx, "web", canary, after.addr))
	for _, share := range []int{10, 100, 1000, 5000, 10000} {
		if share < b.MinStep("web") {
			continue
		}
		must(t, b.SetSplit(ctx, "web", haproxy.Split{Share: share, Salt: after.name, Bank: bank, Replicas: 1}))
		l.more(t, 60)
	}
	must(t, b.Promote(ctx, "web", bank))
	drained(t, b, old)
	must(t, b.Detach(ctx, "web", old, false))
	before.kill()
	l.more(t, 60)
	if after.requests.Load() == 0 {
		t.Error("the new container got no request")
	}
}

func TestCycleLosesNoRequest(t *testing.T) {
	t.Parallel()
	for name, sticky := range map[string]bool{"sticky": true, "weights": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := startLive(t, sticky)
			l := startLoad(t, v.service.Listen)
			next, third := startContainer(t, "127.0.0.3", "next"), startContainer(t, "127.0.0.2", "third")
			cycle(t, v, l, "a1", v.stable, "b1", next)
			cycle(t, v, l, "b1", next, "a1", third)
			l.none(t)
		})
	}
}

func TestCycleOfExistingLosesNoRequest(t *testing.T) {
	t.Parallel()
	socket, listen := startExisting(t, 2)
	x, err := haproxy.OpenExisting(t.Context(), haproxy.Config{Socket: socket, Slots: 2, Dir: t.TempDir(), Timeout: patience})
	must(t, err)
	must(t, x.Ensure(t.Context(), []haproxy.Service{{Name: "web", Backend: "shop_be"}}))
	a, b := startContainer(t, "127.0.0.2", "a"), startContainer(t, "127.0.0.3", "b")
	must(t, x.Attach(t.Context(), "web", "a1", a.addr))
	must(t, x.SetWeights(t.Context(), "web", map[string]int{"a1": 100}))
	l := startLoad(t, listen)
	cycle(t, x, l, "a1", a, "b1", b)
	l.none(t)
}

func TestExistingSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	socket, _ := startExisting(t, 2)
	x, err := haproxy.OpenExisting(t.Context(), haproxy.Config{Socket: socket, Slots: 3, Timeout: patience})
	must(t, err)
	err = x.Ensure(t.Context(), []haproxy.Service{{Name: "web", Backend: "shop_be"}})
	var missing *haproxy.MissingError
	if !errors.As(err, &missing) || len(missing.Servers) != 2 || !strings.Contains(err.Error(), "a3, b3") {
		t.Errorf("slots missing: %v", err)
	}
	err = x.Ensure(t.Context(), []haproxy.Service{{Name: "nope"}})
	if !errors.As(err, &missing) || missing.Backend != "nope" {
		t.Errorf("backend missing: %v", err)
	}
	if err := x.Ensure(t.Context(), []haproxy.Service{{Name: "web", Backend: "shop_be", Sticky: true}}); err == nil {
		t.Error("sticky routing accepted")
	}
}

func TestCrashOfTheCanaryFailsNoGet(t *testing.T) {
	t.Parallel()
	v := startLive(t, true)
	l := startLoad(t, v.service.Listen)
	var mu sync.Mutex
	redispatched := 0
	tail(t, v.Managed, func(r haproxy.Record) {
		mu.Lock()
		defer mu.Unlock()
		if r.Want == "b1" && r.Slot == "a1" {
			redispatched++
		}
	})
	canary := startContainer(t, "127.0.0.3", "canary")
	canary.hold.Store(true)
	must(t, v.Attach(t.Context(), "web", "b1", canary.addr))
	must(t, v.SetSplit(t.Context(), "web", haproxy.Split{Share: 5000, Salt: "r", Bank: "b", Replicas: 1}))
	// Under a request: were it idle, a health check could find it dead before any request does.
	eventually(t, "a slow request on the canary", func() bool { return canary.slow.Load() > 0 })
	canary.kill()
	eventually(t, "errors on the canary's slot", func() bool { return slot(t, v, "b1").Errors() > 0 })
	l.more(t, 200)
	must(t, v.Zero(t.Context(), "web"))
	must(t, v.Detach(t.Context(), "web", "b1", true))
	l.more(t, 60)
	l.none(t, http.MethodGet)
	eventually(t, "a log line that names the redispatched canary", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return redispatched > 0
	})
}

// tail reads the log lines until the test's end.
func tail(t *testing.T, m *haproxy.Managed, f func(haproxy.Record)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Tail(ctx, f) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Who says that it is not well gets nothing.
func TestHealthPathIsAsked(t *testing.T) {
	t.Parallel()
	v := startLive(t, false)
	v.service.HealthPath = "/healthz"
	must(t, v.Ensure(t.Context(), []haproxy.Service{v.service}))
	asked := v.stable.checks.Load()
	eventually(t, "checks", func() bool { return v.stable.checks.Load() > asked+2 && slot(t, v, "a1").Up })
	v.stable.broken.Store(true)
	eventually(t, "the slot to be down", func() bool { return !slot(t, v, "a1").Up })
	v.stable.broken.Store(false)
	eventually(t, "the slot to be up again", func() bool { return slot(t, v, "a1").Up })
}

func TestBusyPortChangesNothing(t *testing.T) {
	t.Parallel()
	v := startLive(t, true)
	other := startContainer(t, "127.0.0.4", "somebody else")
	pid := observe(t, v).Pid
	busy := haproxy.Service{Name: "late", Listen: other.addr.String()}
	err := v.Ensure(t.Context(), []haproxy.Service{v.service, busy})
	var port *haproxy.PortError
	if !errors.As(err, &port) || port.Service != "late" || port.Address != busy.Listen {
		t.Fatalf("Ensure with a busy port: %v", err)
	}
	if snap := observe(t, v); snap.Pid != pid || len(snap.Backends) != 1 {
		t.Errorf("changed: %+v", snap)
	}
	must(t, v.Ensure(t.Context(), []haproxy.Service{v.service}))
	if snap := observe(t, v); snap.Pid != pid {
		t.Error("needless reload")
	}
	other.kill()
	must(t, v.Ensure(t.Context(), []haproxy.Service{v.service, busy}))
}

// TestLogLinesTellPaths: as clients write them, whatever they write, cut and
// without the query; a line holds no more than one request.
func TestLogLinesTellPaths(t *testing.T) {
	t.Parallel()
	v := startLive(t, true)
	got := make(chan string, 100)
	tail(t, v.Managed, func(r haproxy.Record) { got <- strconv.Itoa(r.Status) + " " + string(r.Path) })
	long := "/" + strings.Repeat("x", 2000)
	for _, x := range []struct{ target, want string }{
		{"/", "200 /"},
		{"/api/v1?token=secret", "200 /api/v1"},
		{"/a 23 web b1", ""}, // refused, and no request of a service
		{`/a%20b"q]\%0a`, `200 /a%20b"q]\%0a`},
		{long, "200 " + long[:haproxy.MaxPath]},
		{"/\xc3\xa9", ""},
		{"http://x/abs/path?x", "200 /abs/path"},
		{"//two", "307 //two"},
	} {
		ask(t, v.service.Listen, x.target)
		if x.want == "" {
			continue
		}
		var line string
		eventually(t, "the line of "+x.target, func() bool {
			select {
			case line = <-got:
				return true
			default:
				return false
			}
		})
		if line != x.want {
			t.Errorf("%.40q: %.200q, want %.200q", x.target, line, x.want)
		}
	}
}

// ask sends a request as it stands, and reads the answer.
func ask(t *testing.T, addr, target string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	must(t, err)
	defer func() { _ = conn.Close() }() // all was read
	_, err = io.WriteString(conn, "GET "+target+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	must(t, err)
	_, err = io.Copy(io.Discard, conn)
	must(t, err)
}

func TestLogLinesCoverTheRequests(t *testing.T) {
	t.Parallel()
	v := startLive(t, true)
	var mu sync.Mutex
	var slow, all int
	tail(t, v.Managed, func(r haproxy.Record) {
		mu.Lock()
		defer mu.Unlock()
		all++
		if r.Micros >= 300_000 {
			slow++
		}
		if r.Service != "web" || r.Slot != "a1" || r.Status != http.StatusOK || r.Termination != "--" || r.Want != "" {
			t.Errorf("record: %+v", r)
		}
	})
	l := startLoad(t, v.service.Listen)
	l.more(t, 300)
	l.none(t)
	eventually(t, "a line per request", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return all == l.total()
	})
	if got := observe(t, v).Backends["web"]; got.Requests != int64(l.total()) || got.Slots[0].Attempts() < got.Requests {
		t.Errorf("%d requests, HAProxy counts %+v", l.total(), got.Totals)
	}
	mu.Lock()
	defer mu.Unlock()
	if slow == 0 || slow == all {
		t.Errorf("%d of %d lines are slow", slow, all)
	}
}

// The rendered file holds none of the known traps.
func TestRenderedFile(t *testing.T) {
	t.Parallel()
	v := startLive(t, true)
	must(t, v.Ensure(t.Context(), []haproxy.Service{v.service, {Name: "plain", Listen: porttest.Address(t)}}))
	data, err := os.ReadFile(v.cfg.Dir + "/haproxy.cfg")
	must(t, err)
	text := string(data)
	for _, need := range []string{
		"frontend web.in", "backend web\n", "expose-fd listeners", "option redispatch 1",
		"server a1 " + v.stable.addr.String() + " weight 100 check\n",
		"use-server %[var(txn.srv)] if", "server b8 127.0.0.1:1 weight 0 check disabled\n",
	} {
		if !strings.Contains(text, need) {
			t.Errorf("no %q", need)
		}
	}
	_, plain, _ := strings.Cut(text, "frontend plain.in")
	plain, _, _ = strings.Cut(plain, "frontend ")
	for _, trap := range []string{"use-server", "serin_uid", "map_str"} {
		if strings.Contains(plain, trap) {
			t.Errorf("weights mode has %q", trap)
		}
	}
	if strings.Contains(text, "load-server-state") || strings.Contains(text, "slowstart") {
		t.Error("state file or slowstart")
	}
	_, after, _ := strings.Cut(text, "timeout http-keep-alive ")
	value, _, _ := strings.Cut(after, "\n")
	kept, err := time.ParseDuration(value)
	must(t, err)
	if usual := http.DefaultTransport.(*http.Transport).IdleConnTimeout; kept <= usual {
		t.Errorf("idle connections end after %s, under requests of programs that keep them for %s", kept, usual)
	}
	info, err := os.Stat(v.cfg.Dir)
	must(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Errorf("mode of Dir: %v", info.Mode())
	}
}

// A host may have no service (yet, or any more).
func TestNoServices(t *testing.T) {
	t.Parallel()
	needHAProxy(t)
	m := openManaged(t, haproxy.Config{Dir: shortDir(t)})
	must(t, m.Ensure(t.Context(), nil))
	service := haproxy.Service{Name: "web", Listen: porttest.Address(t)}
	must(t, m.Ensure(t.Context(), []haproxy.Service{service}))
	must(t, m.Ensure(t.Context(), nil))
	must(t, m.Ensure(t.Context(), []haproxy.Service{service}))
	if got := observe(t, m).Backends; len(got) != 1 {
		t.Errorf("%+v", got)
	}
}

// The log ring over TCP finds a reader that restarts.
func TestTailOverTCP(t *testing.T) {
	t.Parallel()
	needHAProxy(t)
	m := openManaged(t, haproxy.Config{Dir: shortDir(t), LogAddr: "127.0.0.1:0"})
	service := haproxy.Service{Name: "web", Listen: porttest.Address(t), Sticky: true}
	must(t, m.Ensure(t.Context(), []haproxy.Service{service}))
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		got, done := make(chan haproxy.Record, 10_000), make(chan error, 1)
		go func() { done <- m.Tail(ctx, func(r haproxy.Record) { got <- r }) }()
		// The lines that HAProxy writes into the connection of a reader that has
		// just gone are lost; so ask until one arrives.
		eventually(t, "a log line", func() bool {
			if request(t.Context(), http.DefaultClient, "http://"+service.Listen, http.MethodGet) == nil {
				t.Error("an answer without a server")
			}
			return len(got) > 0
		})
		if r := <-got; r.Status != http.StatusServiceUnavailable || r.Slot != "" || r.Service != "web" {
			t.Errorf("%+v", r)
		}
		cancel()
		must(t, <-done)
	}
}

func BenchmarkZero(b *testing.B) {
	dir, err := os.MkdirTemp("", "hap") //nolint:usetesting // see shortDir
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	m, err := haproxy.OpenManaged(b.Context(), haproxy.Config{Dir: dir})
	if err != nil {
		b.Skip(err)
	}
	defer func() { _ = m.Stop(b.Context()) }()
	if err := m.Ensure(b.Context(), []haproxy.Service{{Name: "web", Listen: "127.0.0.1:28399", Sticky: true}}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := m.Zero(b.Context(), "web"); err != nil {
			b.Fatal(err)
		}
	}
}
