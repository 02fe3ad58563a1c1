package haproxy_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/agent/haproxy/haproxytest"
	"github.com/serin-rollouts/serin/internal/porttest"
)

// subject is one HAProxy under the suite.
type subject struct {
	balancer
	service haproxy.Service
	// addrs are a stable and a canary that accept connections.
	addrs [2]netip.AddrPort
}

// TestSuite holds the fake and the real HAProxy, managed and existing, sticky
// and by weights, to the same behaviour.
func TestSuite(t *testing.T) {
	t.Parallel()
	invented := [2]netip.AddrPort{netip.MustParseAddrPort("172.17.0.2:8080"), netip.MustParseAddrPort("172.17.0.3:8080")}
	genuine := func(t *testing.T) [2]netip.AddrPort {
		t.Helper()
		return [2]netip.AddrPort{startContainer(t, "127.0.0.2", "a").addr, startContainer(t, "127.0.0.3", "b").addr}
	}
	open := map[string]func(t *testing.T) subject{
		"fake/managed/sticky": func(t *testing.T) subject {
			t.Helper()
			m := openManaged(t, fakeConfig(t, haproxytest.New()))
			return subject{m, haproxy.Service{Name: "web", Listen: ":8443", Sticky: true}, invented}
		},
		"fake/managed/weights": func(t *testing.T) subject {
			t.Helper()
			m := openManaged(t, fakeConfig(t, haproxytest.New()))
			return subject{m, haproxy.Service{Name: "web", Listen: ":8443"}, invented}
		},
		"fake/existing": func(t *testing.T) subject {
			t.Helper()
			cfg := fakeConfig(t, haproxytest.NewExisting(8, "shop_be"))
			cfg.Socket = "/run/haproxy/admin.sock"
			x, err := haproxy.OpenExisting(t.Context(), cfg)
			must(t, err)
			return subject{x, haproxy.Service{Name: "web", Backend: "shop_be"}, invented}
		},
		"real/managed/sticky": func(t *testing.T) subject {
			t.Helper()
			needHAProxy(t)
			m := openManaged(t, haproxy.Config{Dir: shortDir(t), LogAddr: "unix"})
			return subject{m, haproxy.Service{Name: "web", Listen: porttest.Address(t), Sticky: true, HealthPath: "/healthz"}, genuine(t)}
		},
		"real/managed/weights": func(t *testing.T) subject {
			t.Helper()
			needHAProxy(t)
			m := openManaged(t, haproxy.Config{Dir: shortDir(t)})
			return subject{m, haproxy.Service{Name: "web", Listen: porttest.Address(t), StrictPost: true, Timeout: time.Second}, genuine(t)}
		},
		"real/existing": func(t *testing.T) subject {
			t.Helper()
			socket, _ := startExisting(t, 4)
			x, err := haproxy.OpenExisting(t.Context(), haproxy.Config{Socket: socket, Slots: 4, Timeout: patience, Log: zerolog.Nop()})
			must(t, err)
			return subject{x, haproxy.Service{Name: "web", Backend: "shop_be"}, genuine(t)}
		},
	}
	for name, f := range open {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := f(t)
			must(t, s.Ensure(t.Context(), []haproxy.Service{s.service}))
			s.empty(t)
			s.attach(t)
			s.split(t)
			s.promote(t)
			s.detach(t)
			s.refuse(t)
		})
	}
}

func (s subject) empty(t *testing.T) {
	t.Helper()
	snap := observe(t, s)
	if snap.Pid == 0 || snap.Version == "" || snap.Started.IsZero() || snap.OldWorkers {
		t.Errorf("snapshot: %+v", snap)
	}
	for _, sl := range snap.Backends["web"].Slots {
		if sl.State != haproxy.Maint || sl.Addr.IsValid() || sl.Attached() || sl.Up {
			t.Errorf("fresh slot: %+v", sl)
		}
	}
	if err := s.SetSplit(t.Context(), "web", haproxy.Split{Share: 100, Bank: "b"}); !errors.Is(err, haproxy.ErrNothingAttached) {
		t.Errorf("split to an empty bank: %v", err)
	}
	if err := s.Promote(t.Context(), "web", "b"); !errors.Is(err, haproxy.ErrNothingAttached) {
		t.Errorf("promote an empty bank: %v", err)
	}
}

func (s subject) attach(t *testing.T) {
	t.Helper()
	must(t, s.Attach(t.Context(), "web", "a1", s.addrs[0]))
	must(t, s.SetWeights(t.Context(), "web", map[string]int{"a1": 100}))
	must(t, s.Attach(t.Context(), "web", "a1", s.addrs[0])) // idempotent: keeps its weight
	must(t, s.Attach(t.Context(), "web", "b1", s.addrs[1]))
	a, b := slot(t, s, "a1"), slot(t, s, "b1")
	if a.Addr != s.addrs[0] || a.Weight != 100 || a.State != haproxy.Ready || !a.Up {
		t.Errorf("a1: %+v", a)
	}
	if b.Addr != s.addrs[1] || b.Weight != 0 || b.State != haproxy.Ready || !b.Up {
		t.Errorf("b1: %+v", b)
	}
	if err := s.Attach(t.Context(), "web", "b1", s.addrs[0]); !errors.Is(err, haproxy.ErrSlotBusy) {
		t.Errorf("attach over a container that serves: %v", err)
	}
}

func (s subject) split(t *testing.T) {
	t.Helper()
	for _, share := range []int{s.MinStep("web"), 100, 1000, 5000, 10000, 1000} {
		want := haproxy.Split{Share: share, Salt: "r7", Bank: "b", Replicas: 1}
		must(t, s.SetSplit(t.Context(), "web", want))
		be := observe(t, s).Backends["web"]
		if diff := cmp.Diff(want, be.Split); diff != "" {
			t.Errorf("split (-want +got):\n%s", diff)
		}
		if be.Effective > share || be.Effective < share-20 {
			t.Errorf("asked for %d, effective %d", share, be.Effective)
		}
	}
	must(t, s.SetSplit(t.Context(), "web", haproxy.Split{Share: 10000, Salt: "r7", Bank: "b", Replicas: 1}))
	must(t, s.Zero(t.Context(), "web"))
	be := observe(t, s).Backends["web"]
	a, _ := be.Slot("a1")
	if be.Split.Share != 0 || be.Effective != 0 || be.Split.Bank != "b" || a.Weight == 0 {
		t.Errorf("after Zero: %+v, a1 %+v", be.Split, a)
	}
	if s.service.Sticky {
		return
	}
	var tooSmall *haproxy.StepError
	err := s.SetSplit(t.Context(), "web", haproxy.Split{Share: s.MinStep("web") - 1, Bank: "b"})
	if !errors.As(err, &tooSmall) || tooSmall.Min != s.MinStep("web") {
		t.Errorf("share below the smallest step: %v", err)
	}
}

func (s subject) promote(t *testing.T) {
	t.Helper()
	must(t, s.SetSplit(t.Context(), "web", haproxy.Split{Share: 5000, Salt: "r7", Bank: "b", Replicas: 1}))
	must(t, s.Promote(t.Context(), "web", "b"))
	must(t, s.Promote(t.Context(), "web", "b"))
	be := observe(t, s).Backends["web"]
	a, _ := be.Slot("a1")
	b, _ := be.Slot("b1")
	if a.Weight != 0 || !a.Attached() || b.Weight != 100 || be.Split.Share != 0 || be.Effective != 0 {
		t.Errorf("after Promote: a1 %+v, b1 %+v, split %+v", a, b, be.Split)
	}
}

func (s subject) detach(t *testing.T) {
	t.Helper()
	must(t, s.Detach(t.Context(), "web", "a1", true))
	must(t, s.Detach(t.Context(), "web", "a1", false))
	if a := slot(t, s, "a1"); a.Attached() || a.Addr.IsValid() || a.State != haproxy.Maint {
		t.Errorf("after Detach: %+v", a)
	}
	must(t, s.Attach(t.Context(), "web", "a1", s.addrs[0])) // the slot is free again
}

func (s subject) refuse(t *testing.T) {
	t.Helper()
	ctx, before := t.Context(), observe(t, s).Backends["web"].Slots
	for name, err := range map[string]error{
		"unknown service":    s.Zero(ctx, "nope"),
		"unknown slot":       s.Attach(ctx, "web", "c1", s.addrs[0]),
		"no slot at all":     s.Detach(ctx, "web", "", false),
		"injection, slot":    s.Attach(ctx, "web", "a1;set map x y z", s.addrs[0]),
		"invalid address":    s.Attach(ctx, "web", "a2", netip.AddrPort{}),
		"weight":             s.SetWeights(ctx, "web", map[string]int{"a1": 257}),
		"share":              s.SetSplit(ctx, "web", haproxy.Split{Share: 10001, Bank: "b"}),
		"injection, salt":    s.SetSplit(ctx, "web", haproxy.Split{Salt: "x;y", Bank: "b"}),
		"injection, newline": s.SetSplit(ctx, "web", haproxy.Split{Salt: "x\ny", Bank: "b"}),
		"bank":               s.Promote(ctx, "web", "c"),
		"service name":       s.Ensure(ctx, []haproxy.Service{{Name: "a b", Listen: ":1"}}),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if diff := cmp.Diff(before, observe(t, s).Backends["web"].Slots, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("a refusal changed something:\n%s", diff)
	}
}
