package docker_test

import (
	"context"
	"crypto/rand"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/client"
	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/agent/docker"
	"github.com/serin-rollouts/serin/agent/docker/dockertest"
)

const testLabel = "serin.test"

// patience bounds whatever a real process has to do in the end, and each call of
// Docker: test machines are slow and shared.
const patience = 3 * time.Minute

// world is an Engine under test, and what a test does to it from outside.
type world struct {
	*testing.T
	*docker.Engine

	id   string // unique; the value of testLabel, and in all names
	wire *wire
	raw  *client.Client

	load func(t *testing.T, tag string) (ref, id string) // an image that no registry knows
	sick func(t *testing.T) (ref string)                 // an image whose HEALTHCHECK waits for fall, and fails then
	fall func(t *testing.T, c docker.Container)          // sick
	push func(t *testing.T) (ref, digest string)         // an image that only a registry has
	die  func(t *testing.T, c docker.Container, code int)
	oom  func(t *testing.T, c docker.Container)
	net  func(t *testing.T) string                    // a user-defined network
	uses func(c docker.Container, u dockertest.Usage) // nothing, where a real one uses what it uses
}

// inEachWorld runs one test against the fake and against the real Engine: what
// the fake claims is checked by Docker itself.
func inEachWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	t.Run("fake", func(t *testing.T) { test(fakeWorld(t)) })
	t.Run("docker", func(t *testing.T) { test(realWorld(t)) })
}

func fakeWorld(t *testing.T) *world {
	t.Helper()
	reg := dockertest.NewRegistry()
	var fake *dockertest.Fake
	fake = dockertest.New(dockertest.Config{Registry: reg, OnStart: func(c dockertest.Container) error {
		for _, line := range []string{"line 1", "line 2", envOf(c.Env, "GREETING")} {
			fake.Log(c.ID, line)
		}
		return nil
	}})
	t.Cleanup(func() { _ = fake.Close() })
	w := open(t, &wire{dial: fake.Dial})
	w.load = func(_ *testing.T, tag string) (string, string) {
		ref := "serin-test-" + w.id + ":" + tag
		return ref, fake.AddImage(dockertest.Image{Ref: ref})
	}
	w.sick = func(*testing.T) string {
		ref := "serin-test-" + w.id + ":sick"
		fake.AddImage(dockertest.Image{Ref: ref, Health: true})
		return ref
	}
	w.fall = func(_ *testing.T, c docker.Container) { fake.SetHealth(c.ID, "unhealthy") }
	w.push = func(*testing.T) (string, string) {
		ref := "registry.test/serin-test-" + w.id + ":v1"
		return ref, reg.Push(dockertest.Image{Ref: ref})
	}
	w.die = func(t *testing.T, c docker.Container, code int) {
		t.Helper()
		if !fake.Die(c.ID, code) {
			t.Fatalf("container %s does not run", c.Name)
		}
	}
	w.oom = func(_ *testing.T, c docker.Container) { fake.OOM(c.ID) }
	w.uses = func(c docker.Container, u dockertest.Usage) { fake.SetUsage(c.ID, u) }
	w.net = func(*testing.T) string {
		fake.AddNetwork("serin-test-"+w.id, netip.MustParsePrefix("10.9.8.0/24"))
		return "serin-test-" + w.id
	}
	return w
}

func envOf(env []string, name string) string {
	for _, v := range env {
		if strings.HasPrefix(v, name+"=") {
			return v
		}
	}
	return name + "="
}

// open connects an Engine and a plain client over a wire.
func open(t *testing.T, over *wire) *world {
	t.Helper()
	engine, err := docker.Open(t.Context(), docker.Config{Dial: over.Dial, CallTimeout: patience, Log: logTo(t)})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := client.NewClientWithOpts(client.WithDialContext(over.dial), client.WithVersion("1.41"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
		_ = raw.Close()
	})
	return &world{T: t, Engine: engine, id: strings.ToLower(rand.Text()[:12]), wire: over, raw: raw}
}

func logTo(t *testing.T) zerolog.Logger {
	t.Helper()
	return zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel)
}

// name is the name of a container or network of this test.
func (w *world) name(part string) string { return "serin-test-" + w.id + "-" + part }

func (w *world) labels() map[string]string { return map[string]string{testLabel: w.id} }

// spec is a container of this test.
func (w *world) spec(name, image string) docker.Spec {
	return docker.Spec{Name: w.name(name), Image: image, Labels: map[string]string{testLabel: w.id, testLabel + ".name": name}}
}

func (w *world) create(t *testing.T, spec docker.Spec) string {
	t.Helper()
	id, err := w.Create(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// run creates and starts a container, and describes it.
func (w *world) run(t *testing.T, spec docker.Spec) docker.Container {
	t.Helper()
	id := w.create(t, spec)
	if err := w.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	return w.find(t, id)
}

// find describes a container of this test.
func (w *world) find(t *testing.T, id string) docker.Container {
	t.Helper()
	list, err := w.List(t.Context(), w.labels())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if c.ID == id {
			return c
		}
	}
	t.Fatalf("container %s is not listed", id)
	return docker.Container{}
}

// eventually waits for something that a real process does in its own time.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for !done() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// wire carries connections and can be cut.
type wire struct {
	dial func(ctx context.Context, network, addr string) (net.Conn, error)

	mu     sync.Mutex
	broken bool
	open   []net.Conn
}

func (w *wire) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken {
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.ErrClosed}
	}
	c, err := w.dial(ctx, network, addr)
	if err == nil {
		w.open = append(w.open, c)
	}
	return c, err
}

// cut breaks all connections and refuses new ones until mend.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = true
	for _, c := range w.open {
		_ = c.Close()
	}
	w.open = nil
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = false
}
