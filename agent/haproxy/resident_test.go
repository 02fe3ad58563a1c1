package haproxy_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/agent/haproxy/haproxytest"
	"github.com/serin-rollouts/serin/internal/porttest"
)

// homes is who lives where, as a test has it.
type homes struct {
	asked atomic.Int64

	mu   sync.Mutex
	all  []haproxy.Resident
	err  error
	then func() // called when somebody asks
}

func (h *homes) residents(context.Context) ([]haproxy.Resident, error) {
	h.asked.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.then != nil {
		h.then()
	}
	return h.all, h.err
}

func (h *homes) live(err error, all ...haproxy.Resident) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all, h.err = all, err
}

func resident(service, slot string, addr netip.AddrPort) haproxy.Resident {
	return haproxy.Resident{Service: service, Slot: slot, Addr: addr}
}

var (
	webA = resident("web", "a1", netip.MustParseAddrPort("172.17.0.2:8080"))
	webB = resident("web", "b1", netip.MustParseAddrPort("172.17.0.3:8080"))
	apiA = resident("api", "a1", netip.MustParseAddrPort("172.17.0.4:8080"))
)

// town is a fake HAProxy with two services, each of whose slots is its container's.
type town struct {
	*haproxy.Managed
	hap   *haproxytest.HAProxy
	cfg   haproxy.Config
	homes homes
}

func startTown(t *testing.T) *town {
	t.Helper()
	v := &town{hap: haproxytest.New()}
	v.cfg = fakeConfig(t, v.hap)
	v.cfg.Residents = v.homes.residents
	v.homes.live(nil, webA, webB, apiA)
	v.Managed = openManaged(t, v.cfg)
	must(t, v.ensure(t))
	for _, r := range []haproxy.Resident{webA, webB, apiA} {
		must(t, v.Attach(t.Context(), r.Service, r.Slot, r.Addr))
	}
	must(t, v.SetWeights(t.Context(), "web", map[string]int{"a1": 100}))
	must(t, v.SetWeights(t.Context(), "api", map[string]int{"a1": 100}))
	must(t, v.SetSplit(t.Context(), "web", haproxy.Split{Share: 1000, Salt: "r7", Bank: "b", Replicas: 1}))
	return v
}

func (v *town) ensure(t *testing.T) error {
	t.Helper()
	return v.Ensure(t.Context(), []haproxy.Service{{Name: "web", Listen: ":80", Sticky: true}, {Name: "api", Listen: ":81"}})
}

// open returns the slots that lead somewhere, sorted.
func open(t *testing.T, b balancer) (all []haproxy.Resident) {
	t.Helper()
	for name, back := range observe(t, b).Backends {
		for _, s := range back.Slots {
			if s.Attached() {
				all = append(all, resident(name, s.Name, s.Addr))
			}
		}
	}
	slices.SortFunc(all, func(x, y haproxy.Resident) int { return strings.Compare(fmt.Sprint(x), fmt.Sprint(y)) })
	return all
}

func wantOpen(t *testing.T, when string, b balancer, want ...haproxy.Resident) {
	t.Helper()
	if got := open(t, b); !slices.Equal(got, want) {
		t.Errorf("%s: open slots lead to %v, want %v", when, got, want)
	}
}

// TestLaunchAsksWhoLivesThere: a HAProxy that starts has the slots whose containers
// still have their addresses, as they were, and no others.
func TestLaunchAsksWhoLivesThere(t *testing.T) {
	t.Parallel()
	v := startTown(t)
	v.hap.Crash()
	// The canary is gone, and the other service's container came back at its address.
	moved := resident("api", "a1", webB.Addr)
	v.homes.live(nil, webA, moved)
	must(t, v.ensure(t))
	wantOpen(t, "after a launch", v, webA)
	if s := slot(t, v, "a1"); s.Weight != 100 {
		t.Errorf("the slot that stayed has weight %d", s.Weight)
	}
	if got := v.hap.Serve(haproxytest.Traffic{Service: "web", Requests: 1000}); got.Canary != 0 || got.Stable != 1000 {
		t.Errorf("without its canary web serves %+v", got)
	}
	text, err := os.ReadFile(filepath.Join(v.cfg.Dir, "haproxy.cfg"))
	must(t, err)
	if strings.Contains(string(text), webB.Addr.String()) || strings.Contains(string(text), apiA.Addr.String()) {
		t.Error("the file has addresses that belong to others")
	}
	must(t, v.Attach(t.Context(), "api", "a1", moved.Addr))
	wantOpen(t, "after an attachment", v, moved, webA)
}

// TestLaunchWithoutAWord: as long as nobody says whose the addresses are, nothing
// is launched, and nothing forgotten.
func TestLaunchWithoutAWord(t *testing.T) {
	t.Parallel()
	v := startTown(t)
	v.hap.Crash()
	silent := errors.New("Docker is silent")
	v.homes.live(silent)
	if err := v.ensure(t); !errors.Is(err, silent) || v.hap.Pid() != 0 {
		t.Errorf("launched as %d: %v", v.hap.Pid(), err)
	}
	v.homes.live(nil, webA, webB, apiA)
	must(t, v.ensure(t))
	wantOpen(t, "when it was said", v, apiA, webA, webB)
}

// TestOnlyALaunchAsks: one that runs is right about itself.
func TestOnlyALaunchAsks(t *testing.T) {
	t.Parallel()
	v := startTown(t)
	v.homes.live(errors.New("Docker is silent"))
	before := v.homes.asked.Load()
	must(t, v.ensure(t))
	must(t, v.Ensure(t.Context(), []haproxy.Service{{Name: "web", Listen: ":80", Sticky: true}, {Name: "api", Listen: ":82"}}))
	if v.hap.Reloads() != 1 || v.homes.asked.Load() != before {
		t.Errorf("asked %d times in %d reloads", v.homes.asked.Load()-before, v.hap.Reloads())
	}
	wantOpen(t, "after a reload", v, apiA, webA, webB)
	v.hap.KillMaster() // a new process takes over
	v.homes.live(nil, webA)
	must(t, v.Ensure(t.Context(), []haproxy.Service{{Name: "web", Listen: ":80", Sticky: true}, {Name: "api", Listen: ":82"}}))
	wantOpen(t, "after its master died", v, webA)
}

// TestEvict: a HAProxy that runs loses the slots that lead to others, and no slot
// that gets another address while it is looked at.
func TestEvict(t *testing.T) {
	t.Parallel()
	v := startTown(t)
	evict := func(want ...haproxy.Resident) {
		t.Helper()
		if got, err := v.Evict(t.Context()); err != nil || !slices.Equal(got, want) {
			t.Errorf("evicted %v, %v; want %v", got, err, want)
		}
	}
	evict()
	wantOpen(t, "where all is well", v, apiA, webA, webB)
	v.homes.live(nil, resident("api", "a1", webB.Addr), webA)
	evict(apiA, webB)
	wantOpen(t, "after the others", v, webA)
	next := resident("web", "a1", netip.MustParseAddrPort("172.17.0.9:8080"))
	v.homes.mu.Lock()
	v.homes.all, v.homes.then = nil, func() {
		must(t, v.Detach(t.Context(), "web", "a1", false))
		must(t, v.Attach(t.Context(), "web", "a1", next.Addr))
	}
	v.homes.mu.Unlock()
	evict(webA)
	wantOpen(t, "after one that moved", v, next)
	v.homes.mu.Lock()
	v.homes.then = nil
	v.homes.mu.Unlock()
	silent := errors.New("Docker is silent")
	v.homes.live(silent)
	if got, err := v.Evict(t.Context()); !errors.Is(err, silent) || len(got) > 0 {
		t.Errorf("nobody said whose the addresses are: %v, %v", got, err)
	}
	wantOpen(t, "without a word", v, next)
}

// TestEvictFromExisting: the same for a HAProxy of somebody else's.
func TestEvictFromExisting(t *testing.T) {
	t.Parallel()
	hap := haproxytest.NewExisting(2, "shop_be")
	var h homes
	x, err := haproxy.OpenExisting(t.Context(), haproxy.Config{Socket: "/admin.sock", Slots: 2, Dial: hap.Dial, Residents: h.residents})
	must(t, err)
	must(t, x.Ensure(t.Context(), []haproxy.Service{{Name: "web", Backend: "shop_be"}}))
	must(t, x.Attach(t.Context(), "web", "a1", webA.Addr))
	must(t, x.Attach(t.Context(), "web", "b1", webB.Addr))
	h.live(nil, webB)
	if got, err := x.Evict(t.Context()); err != nil || !slices.Equal(got, []haproxy.Resident{webA}) {
		t.Errorf("evicted %v, %v", got, err)
	}
	wantOpen(t, "after an eviction", x, webB)
}

// TestLaunchServesNoStranger is TestLaunchAsksWhoLivesThere with a real HAProxy and
// users who ask all the time.
func TestLaunchServesNoStranger(t *testing.T) {
	t.Parallel()
	needHAProxy(t)
	ours, other := startContainer(t, "127.0.0.2", "ours"), startContainer(t, "127.0.0.3", "other")
	var h homes
	cfg := haproxy.Config{Dir: shortDir(t), Timeout: patience, Residents: h.residents}
	m := openManaged(t, cfg)
	web, api := haproxy.Service{Name: "web", Listen: porttest.Address(t)}, haproxy.Service{Name: "api", Listen: porttest.Address(t)}
	both := []haproxy.Service{web, api}
	must(t, m.Ensure(t.Context(), both))
	for service, c := range map[string]*container{"web": ours, "api": other} {
		must(t, m.Attach(t.Context(), service, "a1", c.addr))
		must(t, m.SetWeights(t.Context(), service, map[string]int{"a1": 100}))
	}
	worker := observe(t, m).Pid
	must(t, syscall.Kill(worker, syscall.SIGKILL)) // our own; its master ends as well
	eventually(t, "HAProxy's end", func() bool {
		_, err := m.Observe(t.Context())
		return errors.Is(err, haproxy.ErrUnavailable)
	})
	// Each container is now where the other one was.
	h.live(nil, resident("web", "a1", other.addr), resident("api", "a1", ours.addr))
	eventually(t, "a start", func() bool { // its master may take its time to end, too
		return m.Ensure(t.Context(), both) == nil
	})
	ask := func(s haproxy.Service) int {
		t.Helper()
		resp, err := (&http.Client{}).Get("http://" + s.Listen)
		must(t, err)
		must(t, resp.Body.Close())
		return resp.StatusCode
	}
	for _, s := range both {
		if code := ask(s); code != http.StatusServiceUnavailable {
			t.Errorf("%s: %d from a container that is not its own", s.Name, code)
		}
	}
	if n := ours.requests.Load() + other.requests.Load(); n > 0 {
		t.Errorf("%d requests came to containers of others", n)
	}
	must(t, m.Attach(t.Context(), "web", "a1", other.addr))
	must(t, m.SetWeights(t.Context(), "web", map[string]int{"a1": 100}))
	if code := ask(web); code != http.StatusOK {
		t.Errorf("web: %d from its container at the new address", code)
	}
}
