package haproxy_test

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/agent/haproxy/haproxytest"
)

// faked is a managed HAProxy on the fake with a stable and a canary attached.
type faked struct {
	*haproxy.Managed
	hap     *haproxytest.HAProxy
	cfg     haproxy.Config
	service haproxy.Service
}

var (
	stableAddr = netip.MustParseAddrPort("172.17.0.2:8080")
	canaryAddr = netip.MustParseAddrPort("172.17.0.3:8080")
)

func startFake(t *testing.T, sticky bool) *faked {
	t.Helper()
	f := &faked{hap: haproxytest.New(), service: haproxy.Service{Name: "web", Listen: ":80", Sticky: sticky}}
	f.cfg = fakeConfig(t, f.hap)
	f.Managed = openManaged(t, f.cfg)
	must(t, f.Ensure(t.Context(), []haproxy.Service{f.service}))
	must(t, f.Attach(t.Context(), "web", "a1", stableAddr))
	must(t, f.SetWeights(t.Context(), "web", map[string]int{"a1": 100}))
	must(t, f.Attach(t.Context(), "web", "b1", canaryAddr))
	return f
}

func (f *faked) share(t *testing.T, share int) {
	t.Helper()
	must(t, f.SetSplit(t.Context(), "web", haproxy.Split{Share: share, Salt: "r7", Bank: "b", Replicas: 1}))
}

func TestFakeTrafficFollowsTheSplit(t *testing.T) {
	t.Parallel()
	for _, sticky := range []bool{true, false} {
		f := startFake(t, sticky)
		for _, share := range []int{0, 1000, 5000, 10000} {
			f.share(t, share)
			got := f.hap.Serve(haproxytest.Traffic{Service: "web", Requests: 10000, CanaryErrors: 7, CanaryBank: "b"})
			if diff := got.Canary - share; diff > 0 || diff < -100 || got.Canary+got.Stable != 10000 || got.Failed != min(7, got.Canary) {
				t.Errorf("sticky %v, share %d: %+v", sticky, share, got)
			}
		}
		be := observe(t, f).Backends["web"]
		b, _ := be.Slot("b1")
		if be.Requests != 40000 || be.Errors5xx != 21 || b.Errors() != 21 {
			t.Errorf("sticky %v: totals %+v, b1 %+v", sticky, be.Totals, b)
		}
	}
}

func TestFakeCanaryThatRefuses(t *testing.T) {
	t.Parallel()
	f := startFake(t, true)
	f.share(t, 1000)
	f.hap.Refuse(canaryAddr, true)
	got := f.hap.Serve(haproxytest.Traffic{Service: "web", Requests: 1000})
	b := slot(t, f, "b1")
	if got.Failed != 0 || got.Redispatched == 0 || b.Redispatches != int64(got.Redispatched) || b.State != haproxy.Down || b.Up {
		t.Errorf("%+v, b1 %+v", got, b)
	}
}

func TestRestartComesBackFromTheFiles(t *testing.T) {
	t.Parallel()
	f := startFake(t, true)
	f.share(t, 1234)
	before := observe(t, f)
	must(t, f.hap.Restart())
	after := observe(t, f)
	be := after.Backends["web"]
	a, _ := be.Slot("a1")
	b, _ := be.Slot("b1")
	if after.Pid == before.Pid || be.Split.Share != 1234 || a.Weight != 100 || b.Addr != canaryAddr || b.Weight != 0 {
		t.Errorf("%+v", after)
	}
	f.hap.Crash()
	if _, err := f.Observe(t.Context()); !errors.Is(err, haproxy.ErrUnavailable) {
		t.Errorf("observe a dead HAProxy: %v", err)
	}
	// What was decided while it was dead is refused, and not written either.
	if err := f.Zero(t.Context(), "web"); !errors.Is(err, haproxy.ErrUnavailable) {
		t.Errorf("zero on a dead HAProxy: %v", err)
	}
	must(t, f.Ensure(t.Context(), []haproxy.Service{f.service}))
	if got := observe(t, f).Backends["web"].Split.Share; got != 1234 {
		t.Errorf("share %d", got)
	}
}

// An adopted HAProxy is right, the files follow it: here the agent died between
// the command and the file.
func TestAdoptionBelievesHAProxy(t *testing.T) {
	t.Parallel()
	f := startFake(t, true)
	f.share(t, 1000)
	mapFile := filepath.Join(f.cfg.Dir, "maps", "split.map")
	old, err := os.ReadFile(mapFile)
	must(t, err)
	must(t, f.Zero(t.Context(), "web"))
	must(t, f.Close())
	must(t, os.WriteFile(mapFile, old, 0o600))
	second := openManaged(t, f.cfg)
	must(t, second.Ensure(t.Context(), []haproxy.Service{f.service}))
	if got := observe(t, second).Backends["web"].Split.Share; got != 0 || f.hap.Reloads() != 0 {
		t.Errorf("share %d after %d reloads", got, f.hap.Reloads())
	}
	if now, err := os.ReadFile(mapFile); err != nil || !strings.HasPrefix(string(now), "web 0:") {
		t.Errorf("split.map: %q, %v", now, err)
	}
}

func TestOrphanIsReplaced(t *testing.T) {
	t.Parallel()
	f := startFake(t, true)
	f.share(t, 1000)
	pid := f.hap.Pid()
	f.hap.KillMaster()
	if !observe(t, f).OldWorkers {
		t.Error("without a master nobody knows about old workers")
	}
	must(t, f.Ensure(t.Context(), []haproxy.Service{f.service}))
	if snap := observe(t, f); snap.Pid == pid || snap.Backends["web"].Split.Share != 1000 || snap.OldWorkers {
		t.Errorf("%+v", snap)
	}
}

// A worker that was alone under its master is alone without it, too.
func TestOrphanThatWasSeenAlone(t *testing.T) {
	t.Parallel()
	f := startFake(t, true)
	before := observe(t, f)
	f.hap.KillMaster()
	if snap := observe(t, f); snap.Pid != before.Pid || before.OldWorkers || snap.OldWorkers {
		t.Errorf("before %+v, after %+v", before, snap)
	}
}

func TestOldWorkersAreReported(t *testing.T) {
	t.Parallel()
	f := startFake(t, true)
	if observe(t, f).OldWorkers {
		t.Error("a worker is older than the first")
	}
	f.hap.LingerAfterReload(true)
	must(t, f.Ensure(t.Context(), []haproxy.Service{f.service, {Name: "api", Listen: ":81"}}))
	if !observe(t, f).OldWorkers || f.hap.Reloads() != 1 {
		t.Errorf("old workers are not seen after %d reloads", f.hap.Reloads())
	}
	f.hap.LingerAfterReload(false)
	if observe(t, f).OldWorkers {
		t.Error("old workers are still seen")
	}
}

func TestBadConfigurationChangesNothing(t *testing.T) {
	t.Parallel()
	f := startFake(t, true)
	pid := f.hap.Pid()
	before, err := os.ReadFile(f.cfg.Dir + "/haproxy.cfg")
	must(t, err)
	both := []haproxy.Service{f.service, {Name: "api", Listen: ":81"}}

	f.hap.RejectConfig(errors.New("[ALERT] parsing: no"))
	if err := f.Ensure(t.Context(), both); !errors.Is(err, haproxy.ErrInvalidConfig) {
		t.Errorf("refused file: %v", err)
	}
	f.hap.RejectConfig(nil)
	f.hap.Occupy(":81", true)
	var port *haproxy.PortError
	if err := f.Ensure(t.Context(), both); !errors.As(err, &port) || port.Service != "api" {
		t.Errorf("busy port: %v", err)
	}
	both[1].Listen = ":80"
	if err := f.Ensure(t.Context(), both); !errors.As(err, &port) {
		t.Errorf("two services on one port: %v", err)
	}
	after, err := os.ReadFile(f.cfg.Dir + "/haproxy.cfg")
	must(t, err)
	if f.hap.Pid() != pid || string(before) != string(after) {
		t.Error("something changed")
	}
	f.share(t, 100) // and the service still takes commands
}

func TestBrokenAnswersAreErrors(t *testing.T) {
	t.Parallel()
	f := startFake(t, true)
	f.hap.FailNext(1)
	if _, err := f.Observe(t.Context()); !errors.Is(err, haproxy.ErrUnavailable) {
		t.Errorf("no answer: %v", err)
	}
	f.hap.CutNext(1)
	if _, err := f.Observe(t.Context()); !errors.Is(err, haproxy.ErrUnavailable) {
		t.Errorf("half an answer: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	f.hap.HangNext(1)
	if _, err := f.Observe(ctx); !errors.Is(err, haproxy.ErrUnavailable) {
		t.Errorf("hangs: %v", err)
	}
	must(t, f.Zero(t.Context(), "web"))
}

// The first thing that Zero sends is the zero itself.
func TestZeroIsOneCommand(t *testing.T) {
	t.Parallel()
	for _, sticky := range []bool{true, false} {
		f := startFake(t, sticky)
		f.share(t, 5000)
		n := len(f.hap.Changes())
		f.hap.HangNext(0)
		must(t, f.Zero(t.Context(), "web"))
		first := f.hap.Changes()[n]
		if want := map[bool]string{true: "set map ", false: "set server web/b1 weight 0"}[sticky]; !strings.HasPrefix(first, want) {
			t.Errorf("first command %q", first)
		}
	}
}

func TestHandMadeDamageIsMended(t *testing.T) {
	t.Parallel()
	f := startFake(t, true)
	path := f.cfg.Dir + "/maps/split.map"
	admin(t, f, "del map "+path+" web")
	f.share(t, 100)
	f.share(t, 200)
	if got := admin(t, f, "show map "+path); strings.Count(got, " web ") != 1 || !strings.Contains(got, "200:r7:b:1") {
		t.Errorf("after the key was missing: %q", got)
	}
	admin(t, f, "set server web/b1 state drain")
	must(t, f.Attach(t.Context(), "web", "b1", canaryAddr))
	if s := slot(t, f, "b1"); s.State != haproxy.Ready {
		t.Errorf("b1: %+v", s)
	}
}

// admin sends a command as an operator would.
func admin(t *testing.T, f *faked, command string) string {
	t.Helper()
	c, err := f.cfg.Dial(t.Context(), "unix", f.cfg.Dir+"/admin.sock")
	must(t, err)
	defer func() { _ = c.Close() }()
	_, err = io.WriteString(c, command+"\n")
	must(t, err)
	data, err := io.ReadAll(c)
	must(t, err)
	return string(data)
}

func TestTailInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := startFake(t, true)
		f.share(t, 2000)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		var all, canary, bad int
		go func() {
			done <- f.Tail(ctx, func(r haproxy.Record) {
				all++
				if r.Want == "b1" {
					canary++
				}
				if r.Status != 200 {
					bad++
				}
			})
		}()
		synctest.Wait()
		f.hap.Serve(haproxytest.Traffic{Service: "web", Requests: 100, CanaryErrors: 3, CanaryMicros: 5000})
		synctest.Wait()
		if all != 100 || canary != 20 || bad != 3 {
			t.Errorf("%d lines, canary %d, bad %d", all, canary, bad)
		}
		time.Sleep(time.Hour)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestLogPortIsRemembered(t *testing.T) {
	t.Parallel()
	f := startFake(t, true)
	before, err := os.ReadFile(f.cfg.Dir + "/haproxy.cfg")
	must(t, err)
	must(t, f.Close())
	second := openManaged(t, f.cfg)
	must(t, second.Ensure(t.Context(), []haproxy.Service{f.service}))
	after, err := os.ReadFile(f.cfg.Dir + "/haproxy.cfg")
	must(t, err)
	if string(before) != string(after) || f.hap.Reloads() != 0 {
		t.Error("another port after a restart")
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	h := haproxytest.New()
	h.SetVersion("2.4.22")
	if _, err := haproxy.OpenManaged(t.Context(), fakeConfig(t, h)); !errors.Is(err, haproxy.ErrVersion) {
		t.Errorf("old HAProxy: %v", err)
	}
	old := haproxytest.NewExisting(8, "web")
	old.SetVersion("2.5.1")
	cfg := fakeConfig(t, old)
	cfg.Socket = "/run/admin.sock"
	if _, err := haproxy.OpenExisting(t.Context(), cfg); !errors.Is(err, haproxy.ErrVersion) {
		t.Errorf("old HAProxy: %v", err)
	}
	cfg = fakeConfig(t, haproxytest.New())
	must(t, os.WriteFile(cfg.Dir+"/haproxy.cfg", []byte("global\n    daemon\n"), 0o600))
	if _, err := haproxy.OpenManaged(t.Context(), cfg); !errors.Is(err, haproxy.ErrForeignFile) {
		t.Errorf("somebody's own file: %v", err)
	}
	for name, change := range map[string]func(*haproxy.Config){
		"relative":   func(c *haproxy.Config) { c.Dir = "state" },
		"separator":  func(c *haproxy.Config) { c.Dir = "/tmp/a;b" },
		"too long":   func(c *haproxy.Config) { c.Dir = "/tmp/" + strings.Repeat("x", 90) },
		"slots":      func(c *haproxy.Config) { c.Slots = 65 },
		"log":        func(c *haproxy.Config) { c.LogAddr = "nowhere" },
		"no haproxy": func(c *haproxy.Config) { c.Exec, c.Binary = nil, "/nonexistent/haproxy" },
	} {
		cfg := fakeConfig(t, haproxytest.New())
		change(&cfg)
		if _, err := haproxy.OpenManaged(t.Context(), cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := haproxytest.New().Signal(1, syscall.SIGTERM); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("signal to a stranger: %v", err)
	}
}

func TestFakeContainersBehave(t *testing.T) {
	t.Parallel()
	f := startFake(t, true)
	f.share(t, 1000)
	f.hap.Behave(canaryAddr, haproxytest.App{Errors: 2000, Micros: 7000})
	if got := f.hap.Serve(haproxytest.Traffic{Service: "web", Requests: 1000}); got.Canary != 100 || got.Failed != 20 {
		t.Errorf("%+v", got)
	}
}

// The splits asked for outlive an agent, though an existing HAProxy has no place
// for them.
func TestExistingRemembersItsSplits(t *testing.T) {
	t.Parallel()
	h := haproxytest.NewExisting(8, "web")
	cfg := fakeConfig(t, h)
	cfg.Socket = "/run/admin.sock"
	want := haproxy.Split{Share: 8000, Salt: "r7", Bank: "b", Replicas: 1}
	for range 2 {
		x, err := haproxy.OpenExisting(t.Context(), cfg)
		must(t, err)
		must(t, x.Ensure(t.Context(), []haproxy.Service{{Name: "web"}}))
		if slot(t, x, "a1").Attached() {
			if got := observe(t, x).Backends["web"]; got.Split != want || got.Effective != 8000 {
				t.Errorf("after a restart: %+v, effective %d", got.Split, got.Effective)
			}
			must(t, h.Restart()) // its owner's restart forgets everything
			if got := observe(t, x).Backends["web"]; got.Slots[0].Attached() || got.Effective != 0 {
				t.Errorf("after its owner's restart: %+v", got)
			}
			return
		}
		must(t, x.Attach(t.Context(), "web", "a1", stableAddr))
		must(t, x.Attach(t.Context(), "web", "b1", canaryAddr))
		must(t, x.SetSplit(t.Context(), "web", want))
	}
	t.Error("the slots were not attached")
}
