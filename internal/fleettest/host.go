package fleettest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/agent"
	"github.com/serin-rollouts/serin/agent/docker"
	"github.com/serin-rollouts/serin/agent/docker/dockertest"
	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/agent/haproxy/haproxytest"
	"github.com/serin-rollouts/serin/internal/bus"
)

// Labels by which the checks know a fleet's containers.
const (
	labelService  = "serin.service"
	labelRevision = "serin.revision"
)

// slots of each bank in HAProxy: as many replicas as a service can have here.
const slots = 4

// Host is one Docker host with its agent.
type Host struct {
	fleet   *Fleet
	name    string
	dir     string
	docker  *dockertest.Fake
	haproxy *haproxytest.HAProxy
	link    *link
	cancel  context.CancelFunc
	done    <-chan struct{} // nil while no agent runs

	odd *apps // programs that behave otherwise here

	mu      sync.Mutex
	killed  map[string]bool      // ids of containers that the test has killed
	started map[string]time.Time // by id
	broken  []string             // promises that were seen broken
	served  Traffic
	serving bool // it has answered a request
}

// AddHost adds a host with an agent and returns its index: a late joiner, if
// the fleet runs already.
func (f *Fleet) AddHost() int {
	f.t.Helper()
	f.bench.Lock()
	i := len(f.hosts)
	h := newHost(f, i)
	f.hosts = append(f.hosts, h)
	f.bench.Unlock()
	h.addBystander()
	f.StartAgent(i)
	return i
}

// StartAgent starts the agent of a host.
func (f *Fleet) StartAgent(i int) {
	f.t.Helper()
	h := f.hosts[i]
	h.end()
	h.link = newLink(f.server)
	var ctx context.Context
	ctx, h.cancel = context.WithCancel(f.ctx)
	done := make(chan struct{})
	h.done = done
	cfg := h.config()
	f.running.Go(func() {
		defer close(done)
		if err := agent.Run(ctx, cfg); err != nil && ctx.Err() == nil {
			f.t.Errorf("agent of %s ended: %v", h.name, err)
		}
	})
}

// KillAgent ends the agent in the middle of what it does. It says no goodbye;
// containers and HAProxy run on.
func (f *Fleet) KillAgent(i int) {
	f.hosts[i].link.die()
	f.hosts[i].end()
}

// CutHost cuts a host's agent off from the bus, without anybody being told.
func (f *Fleet) CutHost(i int) { f.hosts[i].link.sever() }

// HealHost takes CutHost back.
func (f *Fleet) HealHost(i int) { f.hosts[i].link.mend() }

// KillContainer ends the program in one running container of a version on a
// host. It fails the test if there is none.
func (f *Fleet) KillContainer(i int, version string) {
	f.t.Helper()
	h := f.hosts[i]
	revision := f.revision(version)
	for _, c := range h.docker.Containers() {
		if c.Labels[labelRevision] == revision && c.State == "running" {
			h.kill(c.ID)
			return
		}
	}
	f.t.Fatalf("no container of %s runs on %s", version, h.name)
}

// Private

func newHost(f *Fleet, i int) *Host {
	h := &Host{
		fleet: f, name: name(i), dir: filepath.Join(f.dir, name(i)),
		haproxy: haproxytest.New(), odd: newApps(), killed: map[string]bool{}, started: map[string]time.Time{},
	}
	h.docker = dockertest.New(dockertest.Config{
		Subnet:   netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1 + byte(i>>8), byte(i), 0}), 24),
		Registry: f.registry, OnStart: h.onStart, OnStop: h.onStop, Usage: h.usage,
	})
	return h
}

func (h *Host) config() agent.Config {
	logs := ""
	if h.fleet.opts.Logs {
		logs = "unix"
	}
	return agent.Config{
		Host: h.name, Labels: map[string]string{"role": "web"}, DataDir: filepath.Join(h.dir, "agent"), Version: "test",
		Bus:    bus.Config{InProcess: h.link, Log: zerolog.Nop()},
		Docker: docker.Config{Host: "unix:///docker.sock", Dial: h.docker.Dial, Log: zerolog.Nop()},
		HAProxy: haproxy.Config{
			Dir: filepath.Join(h.dir, "haproxy"), Slots: slots, LogAddr: logs, Dial: h.haproxy.Dial, Listen: h.haproxy.Listen,
			Launch: h.haproxy.Launch, Exec: h.haproxy.Exec, Signal: h.haproxy.Signal, Log: zerolog.Nop(),
		},
		Dial: h.dialContainer, Log: h.fleet.log, Trace: h.fleet.traces(),
	}
}

// end waits until no agent runs.
func (h *Host) end() {
	if h.done != nil {
		h.cancel()
		<-h.done
		h.done = nil
	}
}

// onStart gives a container that starts its program's behaviour.
func (h *Host) onStart(c dockertest.Container) error {
	app, at := h.app(c.Image), netip.AddrPortFrom(c.IP, port)
	behaviour := haproxytest.App{Errors: app.Errors}
	if h.fleet.opts.Logs {
		behaviour.Took = app.took(h.fleet.chance())
	}
	h.haproxy.Behave(at, behaviour)
	h.mu.Lock()
	h.started[c.ID] = time.Now()
	h.mu.Unlock()
	h.haproxy.Refuse(at, app.NotReady)
	if app.DiesAfter > 0 {
		time.AfterFunc(app.DiesAfter, func() { h.kill(c.ID) })
	}
	return nil
}

// usage is what Docker tells of a container.
func (h *Host) usage(c dockertest.Container) dockertest.Usage {
	h.mu.Lock()
	born := h.started[c.ID]
	h.mu.Unlock()
	return h.app(c.Image).usage(time.Since(born))
}

// onStop is where capacity goes, so here it is checked.
func (h *Host) onStop(c dockertest.Container) {
	h.haproxy.Refuse(netip.AddrPortFrom(c.IP, port), true)
	svc := h.fleet.State().Services[Service]
	if c.Labels[labelService] != Service || svc == nil || svc.Stable == nil {
		return
	}
	sets := map[string]int{}
	for _, other := range h.docker.Containers() {
		if other.State == "running" && other.ID != c.ID {
			sets[other.Labels[labelRevision]]++
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.killed[c.ID] {
		return
	}
	for revision, n := range sets {
		if revision != "" && n >= svc.Spec.Replicas {
			return
		}
	}
	h.broken = append(h.broken, fmt.Sprintf("I7: at %s the agent stopped %s; what is left: %v", time.Now().Format(time.TimeOnly), c.Name, sets))
}

// kill ends a program that serin does not end.
func (h *Host) kill(id string) {
	h.mu.Lock()
	h.killed[id] = true
	h.mu.Unlock()
	h.docker.Die(id, 1)
}

// dialContainer reaches the program in a container: it answers every request.
func (h *Host) dialContainer(_ context.Context, _, addr string) (net.Conn, error) {
	for _, c := range h.docker.Containers() {
		if c.State != "running" || !strings.HasPrefix(addr, c.IP.String()+":") || h.app(c.Image).NotReady {
			continue
		}
		page := h.app(c.Image).Metrics
		ours, theirs := net.Pipe()
		h.fleet.running.Go(func() { answer(theirs, page) })
		return ours, nil
	}
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
}

func answer(conn net.Conn, page string) {
	defer func() { _ = conn.Close() }() // the client has its answer
	if _, err := conn.Read(make([]byte, 4096)); err == nil {
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(page), page)
	}
}
