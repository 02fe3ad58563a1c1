package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/agent/docker"
	"github.com/serin-rollouts/serin/agent/docker/dockertest"
	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/agent/haproxy/haproxytest"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/bus/bustest"
	"github.com/serin-rollouts/serin/internal/bus/embed"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

const (
	host = "web-1"
	shop = "shop"
)

// bench is a host with an agent, in a bubble: a Docker and an HAProxy that
// speak their protocols, a bus, and a leader that the test plays.
type bench struct {
	t       *testing.T
	dir     string
	docker  *dockertest.Fake
	haproxy *haproxytest.HAProxy
	server  *embed.Server
	conn    *bus.Conn
	images  map[string]string // name -> pinned

	stop func() error // ends the agent
	late sync.WaitGroup

	mu       sync.Mutex
	last     wire.Health
	heard    int
	answers  bool // the leader grants licences
	lag      time.Duration
	assigned map[string]rollout.Assignment
	sick     map[string]bool // images that never get ready
}

// inBubble runs a test on a bench.
func inBubble(t *testing.T, f func(*bench)) {
	t.Helper()
	bustest.Hold(t)
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, dir)
		t.Cleanup(func() {
			b.end()
			b.late.Wait()
		})
		f(b)
	})
}

func newBench(t *testing.T, dir string) *bench {
	t.Helper()
	b := &bench{
		t: t, dir: dir, images: map[string]string{}, assigned: map[string]rollout.Assignment{}, sick: map[string]bool{}, answers: true,
		haproxy: haproxytest.New(), server: bustest.StartEmpty(t),
	}
	b.docker = dockertest.New(dockertest.Config{OnStop: func(c dockertest.Container) { b.haproxy.Refuse(b.at(c.IP), true) }, OnStart: func(c dockertest.Container) error {
		b.haproxy.Refuse(b.at(c.IP), false)
		return nil
	}})
	t.Cleanup(func() {
		if err := b.docker.Close(); err != nil {
			t.Error(err)
		}
	})
	b.conn = bustest.Connect(t, b.server)
	b.subscribe(bus.HealthSubject(host), b.onHealth)
	b.start()
	return b
}

func (b *bench) at(ip netip.Addr) netip.AddrPort { return netip.AddrPortFrom(ip, 8080) }

func (b *bench) subscribe(subject string, f func(bus.Msg)) {
	b.t.Helper()
	if _, err := b.conn.Subscribe(subject, f); err != nil {
		b.t.Fatal(err)
	}
}

// config is what start gives to Run.
func (b *bench) config() Config {
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		return b.docker.Dial(ctx, network, addr)
	}
	return Config{
		Host: host, Labels: map[string]string{"role": "web"}, DataDir: b.dir + "/d", Version: "test",
		Bus:    bus.Config{InProcess: b.server, Log: zerolog.Nop()},
		Docker: docker.Config{Host: "unix:///docker.sock", Dial: dial, Log: zerolog.Nop()},
		HAProxy: haproxy.Config{
			Dir: b.dir + "/h", Dial: b.haproxy.Dial, Listen: b.haproxy.Listen, Launch: b.haproxy.Launch,
			Exec: b.haproxy.Exec, Signal: b.haproxy.Signal, Log: zerolog.Nop(),
		},
		Dial: b.dialContainer, Log: zerolog.New(zerolog.NewTestWriter(b.t)).Level(zerolog.WarnLevel),
	}
}

// dialContainer reaches the program in a container: it answers every request.
func (b *bench) dialContainer(_ context.Context, _, addr string) (net.Conn, error) {
	for _, c := range b.docker.Containers() {
		if c.State != "running" || !strings.HasPrefix(addr, c.IP.String()+":") {
			continue
		}
		b.mu.Lock()
		sick := b.sick[c.Labels[labelRevision]]
		b.mu.Unlock()
		if sick {
			break
		}
		ours, theirs := net.Pipe()
		go func() {
			defer func() { _ = theirs.Close() }()
			buf := make([]byte, 4096)
			if _, err := theirs.Read(buf); err == nil {
				_, _ = io.WriteString(theirs, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			}
		}()
		return ours, nil
	}
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
}

// start runs the agent; stop ends it, as SIGTERM does.
func (b *bench) start() {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, b.config()) }()
	b.stop = func() error {
		cancel()
		return <-done
	}
}

func (b *bench) end() {
	b.t.Helper()
	if b.stop == nil {
		return
	}
	if err := b.stop(); err != nil {
		b.t.Errorf("agent: %v", err)
	}
	b.stop = nil
}

// onHealth is the leader: it answers each report with all assignments.
func (b *bench) onHealth(m bus.Msg) {
	h, err := wire.DecodeHealth(m.Data)
	if err != nil {
		b.t.Errorf("health: %v", err)
		return
	}
	b.mu.Lock()
	b.last, b.heard = h, b.heard+1
	answers, lag := b.answers, b.lag
	b.mu.Unlock()
	if !answers {
		return
	}
	if lag > 0 {
		b.late.Go(func() {
			time.Sleep(lag) // in the bubble
			b.send(h.Nonce)
		})
		return
	}
	b.send(h.Nonce)
}

func (b *bench) send(nonce uint64) {
	m := wire.Assign{Host: host, Nonce: nonce, Leader: "c1", Term: 1, Interval: time.Second, Lease: 10 * time.Second}
	b.mu.Lock()
	for _, a := range b.assigned {
		m.Assignments = append(m.Assignments, a)
	}
	b.mu.Unlock()
	data, err := wire.EncodeAssign(m)
	if err == nil {
		err = b.conn.Publish(bus.AssignSubject(host), data)
	}
	if err != nil && b.t.Context().Err() == nil {
		b.t.Errorf("assign: %v", err)
	}
}

// assign has the leader want this from now on, and say so at once.
func (b *bench) assign(a rollout.Assignment) {
	b.mu.Lock()
	b.assigned[a.Service] = a
	answers := b.answers
	b.mu.Unlock()
	if answers {
		b.send(0)
	}
}

func (b *bench) wave(w rollout.Wave) {
	b.t.Helper()
	data, err := wire.EncodeWave(w)
	if err == nil {
		err = b.conn.Publish(bus.StepSubject(w.Service), data)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) leads(yes bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answers = yes
}

// service is the last report's part about the shop.
func (b *bench) service() wire.ServiceHealth {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.last.Services {
		if s.Service == shop {
			return s
		}
	}
	return wire.ServiceHealth{}
}

// until waits, in the bubble's time, for what a report shall say.
func (b *bench) until(what string, limit time.Duration, ok func(wire.ServiceHealth) bool) wire.ServiceHealth {
	b.t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if s := b.service(); ok(s) {
			return s
		}
	}
	b.t.Fatalf("%s: not within %s; last report: %+v\ncontainers: %+v", what, limit, b.service(), b.docker.Containers())
	return wire.ServiceHealth{}
}

func (b *bench) settled(epoch uint64) wire.ServiceHealth {
	b.t.Helper()
	return b.until(fmt.Sprintf("settled at %d", epoch), time.Minute, func(s wire.ServiceHealth) bool { return s.Epoch == epoch && s.Settled })
}

// revision makes an image on the host and a revision of it.
func (b *bench) revision(name string, replicas int) *rollout.Revision {
	if b.images[name] == "" {
		b.images[name] = b.docker.AddImage(dockertest.Image{Ref: "shop:" + name, Content: name})
	}
	spec := rollout.Spec{
		Service: shop, Image: "shop:" + name, Replicas: replicas,
		Container: rollout.Container{Port: 8080, Health: rollout.Health{Kind: rollout.HTTPHealth, Path: "/healthz", Timeout: 5 * time.Second}},
	}.WithDefaults()
	rev := rollout.NewRevision(spec, b.images[name])
	return &rev
}

func (b *bench) want(epoch uint64, stable, canary *rollout.Revision, weight int) rollout.Assignment {
	a := rollout.Assignment{
		Service: shop, Epoch: epoch, Frontend: rollout.Frontend{Listen: ":8080", Routing: rollout.Sticky},
		Stable: stable, Canary: canary, Weight: weight, OnControlLoss: rollout.RevertOnLoss,
	}
	if canary != nil {
		a.Rollout = "shop-1"
	}
	return a
}

// serve sends requests through HAProxy and wants each one answered.
func (b *bench) serve(n int) haproxytest.Served {
	b.t.Helper()
	return b.haproxy.Serve(haproxytest.Traffic{Service: shop, Requests: n})
}

// names lists the containers, by slot and state.
func (b *bench) names() map[string]string {
	all := map[string]string{}
	for _, c := range b.docker.Containers() {
		all[c.Labels[labelSlot]+" "+c.Labels[labelRevision]] = c.State
	}
	return all
}
