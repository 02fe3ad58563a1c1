package haproxy_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/agent/haproxy"
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
	v := &live{cfg: haproxy.Config{Dir: shortDir(t), LogAddr: "unix", Log: zerolog.Nop()}}
	v.service = haproxy.Service{Name: "web", Listen: freeAddr(t), Sticky: sticky, HealthPath: "/healthz"}
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
	x, err := haproxy.OpenExisting(t.Context(), haproxy.Config{Socket: socket, Slots: 2, Dir: t.TempDir()})
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
	x, err := haproxy.OpenExisting(t.Context(), haproxy.Config{Socket: socket, Slots: 3})
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
	must(t, v.Attach(t.Context(), "web", "b1", canary.addr))
	must(t, v.SetSplit(t.Context(), "web", haproxy.Split{Share: 1000, Salt: "r", Bank: "b", Replicas: 1}))
	l.more(t, 200)
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

func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	v := startLive(t, true)
	canary := startContainer(t, "127.0.0.3", "canary")
	must(t, v.Attach(t.Context(), "web", "b1", canary.addr))
	want := haproxy.Split{Share: 2500, Salt: "r7", Bank: "b", Replicas: 1}
	must(t, v.SetSplit(t.Context(), "web", want))
	l := startLoad(t, v.service.Listen)
	l.more(t, 50)
	services := []haproxy.Service{v.service}
	pid := observe(t, v).Pid
	for _, name := range []string{"two", "three", "four"} {
		services = append(services, haproxy.Service{Name: name, Listen: freeAddr(t)})
		must(t, v.Ensure(t.Context(), services))
		snap := observe(t, v)
		be := snap.Backends["web"]
		a, _ := be.Slot("a1")
		b, _ := be.Slot("b1")
		if a.Addr != v.stable.addr || a.Weight != 100 || b.Addr != canary.addr || !b.Up || be.Split != want {
			t.Errorf("after a reload: a1 %+v, b1 %+v, split %+v", a, b, be.Split)
		}
		if len(snap.Backends) != len(services) || snap.Pid == pid {
			t.Errorf("%d backends, worker %d", len(snap.Backends), snap.Pid)
		}
		pid = snap.Pid
		l.more(t, 60)
	}
	must(t, v.Ensure(t.Context(), services[:1])) // and away with them again
	l.more(t, 60)
	l.none(t)
}

func TestAgentRestartAdopts(t *testing.T) {
	t.Parallel()
	v := startLive(t, true)
	l := startLoad(t, v.service.Listen)
	canary := startContainer(t, "127.0.0.3", "canary")
	must(t, v.Attach(t.Context(), "web", "b1", canary.addr))
	want := haproxy.Split{Share: 1500, Salt: "r7", Bank: "b", Replicas: 1}
	must(t, v.SetSplit(t.Context(), "web", want))
	before := observe(t, v)
	must(t, v.Close())

	second, err := haproxy.OpenManaged(t.Context(), v.cfg)
	must(t, err)
	must(t, second.Ensure(t.Context(), []haproxy.Service{v.service}))
	after := observe(t, second)
	if after.Pid != before.Pid || after.OldWorkers || after.Backends["web"].Split != want {
		t.Errorf("before %+v\nafter  %+v", before, after)
	}
	must(t, second.Zero(t.Context(), "web")) // it steers it, too
	l.more(t, 60)
	l.none(t)
}

// A HAProxy that died comes back with what it last served.
func TestDeadHAProxyComesBack(t *testing.T) {
	t.Parallel()
	v := startLive(t, true)
	canary := startContainer(t, "127.0.0.3", "canary")
	must(t, v.Attach(t.Context(), "web", "b1", canary.addr))
	want := haproxy.Split{Share: 1500, Salt: "r7", Bank: "b", Replicas: 1}
	must(t, v.SetSplit(t.Context(), "web", want))
	for range 2 {
		worker := observe(t, v).Pid
		must(t, syscall.Kill(worker, syscall.SIGKILL)) // our own; its master ends as well
		eventually(t, "HAProxy's end", func() bool {
			_, err := v.Observe(t.Context())
			return errors.Is(err, haproxy.ErrUnavailable)
		})
		must(t, v.Ensure(t.Context(), []haproxy.Service{v.service}))
		snap := observe(t, v)
		be := snap.Backends["web"]
		b, _ := be.Slot("b1")
		if snap.Pid == worker || be.Split != want || b.Addr != canary.addr || !b.Up {
			t.Errorf("after a crash: %+v", snap)
		}
		if err := request(t.Context(), http.DefaultClient, "http://"+v.service.Listen, http.MethodGet); err != nil {
			t.Error(err)
		}
	}
}

// The master dies: whether its worker follows it or not, Ensure makes it whole.
func TestDeadMasterIsReplaced(t *testing.T) {
	t.Parallel()
	v := startLive(t, true)
	must(t, v.Ensure(t.Context(), []haproxy.Service{v.service}))
	master := readPid(t, v.cfg.Dir)
	must(t, syscall.Kill(master, syscall.SIGKILL))
	eventually(t, "Ensure to succeed", func() bool {
		return v.Ensure(t.Context(), []haproxy.Service{v.service}) == nil && readPid(t, v.cfg.Dir) != master
	})
	if snap := observe(t, v); snap.Backends["web"].Slots[0].Addr != v.stable.addr {
		t.Errorf("%+v", snap)
	}
	if err := request(t.Context(), http.DefaultClient, "http://"+v.service.Listen, http.MethodGet); err != nil {
		t.Error(err)
	}
}

func readPid(t *testing.T, dir string) int {
	t.Helper()
	data, err := os.ReadFile(dir + "/haproxy.pid")
	must(t, err)
	n := 0
	for _, c := range strings.TrimSpace(string(data)) {
		n = 10*n + int(c-'0')
	}
	return n
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
	eventually(t, "a line per request", func() bool { return v.Coverage().Lines["web"] == int64(l.total()) })
	if got := observe(t, v).Backends["web"]; got.Requests != int64(l.total()) || got.Slots[0].Attempts() < got.Requests {
		t.Errorf("%d requests, HAProxy counts %+v", l.total(), got.Totals)
	}
	mu.Lock()
	defer mu.Unlock()
	if slow == 0 || slow == all {
		t.Errorf("%d of %d lines are slow", slow, all)
	}
	if g := v.Coverage().Garbage; g != 0 {
		t.Errorf("%d pieces of garbage", g)
	}
}

// The rendered file holds none of the known traps.
func TestRenderedFile(t *testing.T) {
	t.Parallel()
	v := startLive(t, true)
	must(t, v.Ensure(t.Context(), []haproxy.Service{v.service, {Name: "plain", Listen: freeAddr(t)}}))
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
	info, err := os.Stat(v.cfg.Dir)
	must(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Errorf("mode of Dir: %v", info.Mode())
	}
}

// A client's idle connection survives a reload in the old worker; what is
// decided after the reload holds for its next request, too.
func TestOldWorkerIsTold(t *testing.T) {
	t.Parallel()
	v := startLive(t, true)
	canary := startContainer(t, "127.0.0.3", "canary")
	must(t, v.Attach(t.Context(), "web", "b1", canary.addr))
	must(t, v.SetSplit(t.Context(), "web", haproxy.Split{Share: 10000, Salt: "r7", Bank: "b", Replicas: 1}))
	c := &http.Client{Transport: &http.Transport{}}
	defer c.CloseIdleConnections()
	must(t, request(t.Context(), c, "http://"+v.service.Listen, http.MethodPost))
	if n := canary.requests.Load(); n != 1 {
		t.Fatalf("the canary got %d requests", n)
	}
	must(t, v.Ensure(t.Context(), []haproxy.Service{v.service, {Name: "two", Listen: freeAddr(t)}}))
	if !observe(t, v).OldWorkers {
		t.Fatal("no old worker holds the idle connection")
	}
	must(t, v.Zero(t.Context(), "web"))
	must(t, request(t.Context(), c, "http://"+v.service.Listen, http.MethodPost))
	if n := canary.requests.Load(); n != 1 {
		t.Errorf("the old worker sent a request to the canary after Zero")
	}
	eventually(t, "the old worker's end", func() bool { return !observe(t, v).OldWorkers })
}
