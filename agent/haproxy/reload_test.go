package haproxy_test

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/internal/porttest"
)

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
		services = append(services, haproxy.Service{Name: name, Listen: porttest.Address(t)})
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
		eventually(t, "a start", func() bool { // its master may take its time to end, too
			err := v.Ensure(t.Context(), []haproxy.Service{v.service})
			if err != nil && !errors.Is(err, haproxy.ErrUnavailable) {
				t.Fatal(err)
			}
			return err == nil
		})
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
	must(t, v.Ensure(t.Context(), []haproxy.Service{v.service, {Name: "two", Listen: porttest.Address(t)}}))
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

// A rollback that meets a reload is not lost, whichever comes first.
func TestZeroDuringReload(t *testing.T) {
	t.Parallel()
	v := startLive(t, true)
	canary := startContainer(t, "127.0.0.3", "canary")
	must(t, v.Attach(t.Context(), "web", "b1", canary.addr))
	services := []haproxy.Service{v.service}
	for _, name := range []string{"two", "three", "four"} {
		must(t, v.SetSplit(t.Context(), "web", haproxy.Split{Share: 5000, Salt: "r7", Bank: "b", Replicas: 1}))
		services = append(services, haproxy.Service{Name: name, Listen: porttest.Address(t)})
		reloaded := make(chan error, 1)
		go func() { reloaded <- v.Ensure(t.Context(), services) }()
		must(t, v.Zero(t.Context(), "web"))
		must(t, <-reloaded)
		if share := observe(t, v).Backends["web"].Split.Share; share != 0 {
			t.Errorf("share %d after Zero", share)
		}
		data, err := os.ReadFile(v.cfg.Dir + "/maps/split.map")
		must(t, err)
		if !strings.Contains(string(data), "web 0:r7:b:1\n") {
			t.Errorf("split.map: %q", data)
		}
	}
}
