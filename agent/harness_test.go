package agent

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
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
	"github.com/serin-rollouts/serin/internal/rollout"
)

const (
	host = "web-1"
	shop = "shop"
)

// bench is a host with an agent, in a bubble: a Docker and an HAProxy that
// speak their protocols, a bus, and a leader that the test plays.
type bench struct {
	*leader

	dir     string
	docker  *dockertest.Fake
	haproxy *haproxytest.HAProxy
	bus     bus.Config
	images  map[string]string // name -> pinned

	stop func() error // ends the agent

	http string // where it serves, "" for nowhere
	web  *web

	born     func(dockertest.Container) // hears of each container that starts; guarded by leader.mu
	launched func()                     // hears of each launch of HAProxy; guarded by leader.mu

	write    func(path string, data []byte) error // the disk; nil: the real one
	existing bool                                 // the HAProxy is the user's own
	sick     map[string]bool                      // revisions that never get ready; guarded by leader.mu
	// program is what a container answers to a path, "" for nothing at all; nil:
	// 200 to everything. Guarded by leader.mu.
	program func(c dockertest.Container, path string) string
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
	return newBenchWith(t, dir, haproxytest.New())
}

func newBenchWith(t *testing.T, dir string, proxy *haproxytest.HAProxy) *bench {
	t.Helper()
	server := bustest.StartEmpty(t)
	b := &bench{
		web: &web{conns: make(chan net.Conn)}, dir: dir, images: map[string]string{}, sick: map[string]bool{},
		haproxy: proxy, existing: proxy.Pid() != 0,
	}
	b.docker = dockertest.New(dockertest.Config{OnStop: func(c dockertest.Container) { b.haproxy.Refuse(b.at(c.IP), true) }, OnStart: func(c dockertest.Container) error {
		b.haproxy.Refuse(b.at(c.IP), false)
		b.mu.Lock()
		born := b.born
		b.mu.Unlock()
		if born != nil {
			born(c)
		}
		return nil
	}})
	t.Cleanup(func() {
		if err := b.docker.Close(); err != nil {
			t.Error(err)
		}
	})
	b.leader = newLeader(t, host, bustest.Connect(t, server))
	b.bus = bus.Config{InProcess: server, Log: zerolog.Nop()}
	b.start()
	return b
}

func (b *bench) at(ip netip.Addr) netip.AddrPort { return netip.AddrPortFrom(ip, 8080) }

// config is what start gives to Run.
func (b *bench) config() Config {
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		return b.docker.Dial(ctx, network, addr)
	}
	mode := Managed
	if b.existing {
		mode = Existing
	}
	return Config{
		Mode: mode, Host: host, Labels: map[string]string{"role": "web"}, DataDir: b.dir + "/d", Version: "test",
		Bus:    b.bus,
		Docker: docker.Config{Host: "unix:///docker.sock", Dial: dial, Log: zerolog.Nop()},
		HAProxy: haproxy.Config{
			Dir: b.dir + "/h", Socket: "/admin.sock", Dial: b.haproxy.Dial, Listen: b.haproxy.Listen, Launch: b.launch,
			Exec: b.haproxy.Exec, Signal: b.haproxy.Signal, LogAddr: "127.0.0.1:0", Log: zerolog.Nop(),
		},
		HTTP: b.http, Listen: b.web.open,
		Write: b.write, Dial: b.dialContainer, Log: zerolog.New(zerolog.NewTestWriter(b.t)).Level(zerolog.WarnLevel),
	}
}

// launch starts HAProxy, and says so.
func (b *bench) launch(ctx context.Context, bin string, args []string) (int, error) {
	pid, err := b.haproxy.Launch(ctx, bin, args)
	b.mu.Lock()
	launched := b.launched
	b.mu.Unlock()
	if launched != nil {
		launched()
	}
	return pid, err
}

// dialContainer reaches the program in a container: it answers every request.
func (b *bench) dialContainer(_ context.Context, _, addr string) (net.Conn, error) {
	for _, c := range b.docker.Containers() {
		if c.State != "running" || !strings.HasPrefix(addr, c.IP.String()+":") {
			continue
		}
		b.mu.Lock()
		sick, program := b.sick[c.Labels[labelRevision]], b.program
		b.mu.Unlock()
		if sick {
			break
		}
		ours, theirs := net.Pipe()
		go func() {
			defer func() { _ = theirs.Close() }()
			buf := make([]byte, 4096)
			n, err := theirs.Read(buf)
			if err != nil {
				return
			}
			answer := ok("")
			if f := strings.Fields(string(buf[:n])); program != nil && len(f) > 1 {
				answer = program(c, f[1])
			}
			if _, err = io.WriteString(theirs, answer); err == nil && answer == "" {
				_, _ = theirs.Read(buf) // until the other side gives up
			}
		}()
		return ours, nil
	}
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
}

// ok is an answer with a body.
func ok(body string) string {
	return "HTTP/1.1 200 OK\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\nConnection: close\r\n\r\n" + body
}

// start runs the agent; stop ends it, as SIGTERM does.
func (b *bench) start() {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() {
		err := Run(ctx, b.config())
		for err != nil && ctx.Err() == nil { // as a supervisor does
			if err = pause(ctx, time.Second); err == nil {
				err = Run(ctx, b.config())
			}
		}
		done <- ended(err)
	}()
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

// containerOf is the one of a revision with one replica.
func (b *bench) containerOf(rev *rollout.Revision) dockertest.Container {
	b.t.Helper()
	for _, c := range b.docker.Containers() {
		if c.Labels[labelRevision] == rev.ID {
			return c
		}
	}
	b.t.Fatalf("no container of %s", rev.ID)
	return dockertest.Container{}
}

// names lists the containers, by slot and state.
func (b *bench) names() map[string]string {
	all := map[string]string{}
	for _, c := range b.docker.Containers() {
		all[c.Labels[labelSlot]+" "+c.Labels[labelRevision]] = c.State
	}
	return all
}
