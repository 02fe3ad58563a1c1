package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/agent/docker"
	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/bus/bustest"
	"github.com/serin-rollouts/serin/internal/demoimage"
	"github.com/serin-rollouts/serin/internal/needtest"
	"github.com/serin-rollouts/serin/internal/porttest"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// patience bounds whatever real processes have to do in the end: test machines
// are slow and shared.
const patience = 3 * time.Minute

// TestLive takes a real Docker and a real HAProxy through two rollouts, with
// the agent killed in the middle of everything, and counts failed requests.
func TestLive(t *testing.T) {
	v := newLive(t)
	r1, r2, r3 := v.revision("1"), v.revision("2"), v.revision("3")
	v.start()
	v.assign(v.want(5, r1, nil, 0))
	v.settles(5)

	load := v.startLoad()
	v.assign(v.want(6, r1, r2, 1000))
	v.settles(6)
	v.wantVersions(load, "1", "2")

	v.leads(false) // what follows needs no licence
	v.wave(rollout.Wave{Service: shop, Epoch: 7})
	v.until("zero", patience, func(s wire.ServiceHealth) bool { return s.Weight == 0 })
	load.forget()
	v.wantVersions(load, "1")
	v.leads(true)
	v.assign(v.want(7, r1, nil, 0))
	v.settles(7)

	for i, a := range []rollout.Assignment{v.want(8, r1, r3, 2000), v.want(9, r1, r3, rollout.Full), v.want(10, r3, nil, 0)} {
		v.assign(a)
		v.restartMidway(time.Duration(i+1) * 150 * time.Millisecond)
		v.settles(a.Epoch)
	}
	load.forget()
	v.wantVersions(load, "3")
	load.stop()
	if n := load.failed.Load(); n > 0 {
		t.Errorf("I6: %d of %d requests failed: %v", n, load.sent.Load(), load.firstFailure())
	}
	t.Logf("%d requests, none failed", load.sent.Load())
	v.wantContainers(r3.ID)
}

// live is a host of its own on the real Docker and HAProxy.
type live struct {
	*leader

	dir, registry, binary string
	listen, log           string
	bus                   bus.Config
	engine                *docker.Engine
	stop                  func() error
}

func newLive(t *testing.T) *live {
	t.Helper()
	engine := needDocker(t)
	needHAProxy(t)
	host := fmt.Sprintf("live-%d", os.Getpid())
	v := &live{dir: t.TempDir(), registry: serveImages(t), binary: build(t), listen: porttest.Address(t), log: "unix", engine: engine}
	server := bustest.StartEmpty(t)
	v.leader = newLeader(t, host, bustest.Connect(t, server))
	t.Cleanup(v.cleanUp) // before the bus ends
	v.bus = bus.Config{InProcess: server, Log: zerolog.Nop()}
	return v
}

func needDocker(t *testing.T) *docker.Engine {
	t.Helper()
	engine, err := docker.Open(t.Context(), docker.Config{CallTimeout: patience, Log: zerolog.Nop()})
	if err == nil {
		return engine
	}
	needtest.Need(t, "a Docker Engine", err)
	return nil
}

func needHAProxy(t *testing.T) {
	t.Helper()
	_, err := exec.LookPath("haproxy")
	needtest.Need(t, "HAProxy", err)
}

func (v *live) config() Config {
	return Config{
		Host: v.host, DataDir: filepath.Join(v.dir, "d"), Version: "test",
		Bus:     v.bus,
		Docker:  docker.Config{CallTimeout: patience, Log: zerolog.Nop()},
		HAProxy: haproxy.Config{Dir: filepath.Join(v.dir, "h"), LogAddr: v.log, Timeout: patience, Log: zerolog.Nop()},
		Log:     zerolog.New(zerolog.NewTestWriter(v.t)).Level(zerolog.WarnLevel),
	}
}

func (v *live) start() {
	ctx, cancel := context.WithCancel(v.t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, v.config()) }()
	v.stop = sync.OnceValue(func() error { // also the cleanup stops it
		cancel()
		return <-done
	})
}

// restartMidway ends the agent after a while and starts another one.
func (v *live) restartMidway(after time.Duration) {
	v.t.Helper()
	if err := pause(v.t.Context(), after); err != nil {
		v.t.Fatal(err)
	}
	if err := v.stop(); err != nil {
		v.t.Fatalf("agent: %v", err)
	}
	v.start()
}

// settles is settled, in real time.
func (v *live) settles(epoch uint64) {
	v.t.Helper()
	v.until(fmt.Sprintf("settled at %d", epoch), patience, func(s wire.ServiceHealth) bool { return s.Epoch == epoch && s.Settled })
}

func (v *live) cleanUp() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var errs []error
	if v.stop != nil {
		errs = append(errs, v.stop())
	}
	found, err := v.engine.List(ctx, map[string]string{labelHost: v.host})
	errs = append(errs, err)
	for _, c := range found {
		errs = append(errs, v.engine.Remove(ctx, c.ID))
	}
	errs = append(errs, v.engine.RemoveImages(ctx, v.registry+"/serin-live"))
	m, err := haproxy.OpenManaged(ctx, v.config().HAProxy)
	errs = append(errs, err)
	if err == nil {
		errs = append(errs, m.Stop(ctx), m.Close())
	}
	errs = append(errs, v.engine.Close())
	if err := errors.Join(errs...); err != nil {
		v.t.Errorf("clean up: %v", err)
	}
}

func (v *live) revision(version string) *rollout.Revision {
	v.t.Helper()
	return v.delayed(version, 0)
}

func (v *live) want(epoch uint64, stable, canary *rollout.Revision, weight int) rollout.Assignment {
	return rollout.Assignment{
		Service: shop, Epoch: epoch, Rollout: "shop-1", Frontend: rollout.Frontend{Listen: v.listen, Routing: rollout.Sticky},
		Stable: stable, Canary: canary, Weight: weight, OnControlLoss: rollout.RevertOnLoss,
	}
}

func (v *live) wantContainers(rev string) {
	v.t.Helper()
	found, err := v.engine.List(v.t.Context(), map[string]string{labelHost: v.host})
	if err != nil {
		v.t.Fatal(err)
	}
	for _, c := range found {
		if c.Labels[labelRevision] != rev || c.State != docker.StateRunning {
			v.t.Errorf("I8: %s is %s", c.Name, c.State)
		}
	}
	if len(found) != 2 {
		v.t.Errorf("I10: %d containers", len(found))
	}
}

// wantVersions waits until exactly these versions have answered.
func (v *live) wantVersions(l *load, versions ...string) {
	v.t.Helper()
	var got string
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if got = l.versions(); got == strings.Join(versions, " ") && l.count() > 200 {
			return
		}
		if pause(v.t.Context(), 20*time.Millisecond) != nil {
			break
		}
	}
	v.t.Errorf("versions %q answer, want %q", got, versions)
}

// load is a small number of clients that count anything but a full 200.
type load struct {
	url          string
	cancel       context.CancelFunc
	wg           sync.WaitGroup
	sent, failed atomic.Int64

	mu    sync.Mutex
	seen  map[string]int // answers to what was asked since forget, by version
	since int            // how often forget was called
	first error
}

// startLoad has some clients, and one more for each path, ask all the time.
func (v *live) startLoad(more ...string) *load {
	ctx, cancel := context.WithCancel(v.t.Context())
	l := &load{url: "http://" + v.listen, cancel: cancel, seen: map[string]int{}}
	type visitor struct {
		path  string
		fresh bool
	}
	visitors := []visitor{{"/", false}, {"/", true}, {"/slow", false}}
	for _, path := range more {
		visitors = append(visitors, visitor{path: path})
	}
	for _, c := range visitors {
		client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: c.fresh}}
		l.wg.Go(func() {
			defer client.CloseIdleConnections()
			for pause(ctx, 5*time.Millisecond) == nil {
				l.one(client, c.path)
			}
		})
	}
	v.t.Cleanup(l.stop)
	return l
}

func (l *load) one(client *http.Client, path string) {
	l.sent.Add(1)
	since := l.asking()
	version, err := get(client, l.url+path)
	l.mu.Lock()
	defer l.mu.Unlock()
	if since == l.since {
		l.seen[version]++
	}
	if err != nil {
		l.failed.Add(1)
		if l.first == nil {
			l.first = err
		}
	}
}

func get(client *http.Client, url string) (string, error) {
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", url, resp.Status)
	}
	return string(body), nil
}

func (l *load) stop() {
	l.cancel()
	l.wg.Wait()
}

func (l *load) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.seen)
	l.since++
}

// asking returns which forget a request comes after: one that was under way
// before it may be answered by what is taken back.
func (l *load) asking() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.since
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, k := range l.seen {
		n += k
	}
	return n
}

func (l *load) versions() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for _, version := range []string{"", "1", "2", "3"} {
		if l.seen[version] > 0 {
			all = append(all, version)
		}
	}
	return strings.Join(all, " ")
}

func (l *load) firstFailure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first
}

func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	source, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "main")
	if err := os.WriteFile(source, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", binary, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, out)
	}
	return binary
}

func serveImages(t *testing.T) string {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- demoimage.Serve(ctx, ln, "") }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}
