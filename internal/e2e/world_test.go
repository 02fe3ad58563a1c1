package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/agent/docker"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/event"
	"github.com/serin-rollouts/serin/internal/identity"
	"github.com/serin-rollouts/serin/internal/localfleet"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const (
	service = "demo"
	// patience bounds whatever has to happen in the end.
	patience = 3 * time.Minute
	rate     = 120 // requests per second

	gates = "{errors: {max_increase: 20%, min_requests: 20}}"
)

// world is a fleet with a connection to it.
type world struct {
	*localfleet.Fleet

	t      *testing.T
	conn   *bus.Conn
	engine *docker.Engine
}

// newFleet makes a fleet that has not been started.
func newFleet(t *testing.T, cfg localfleet.Config) *localfleet.Fleet {
	t.Helper()
	needMachine(t)
	cfg.Bin, cfg.Err = bin, t.Output()
	f, err := localfleet.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// up starts a fleet, which ends with the test.
func up(t *testing.T, f *localfleet.Fleet) *world {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the fleet's logs complain:\n%s", f.Trouble())
			saveLogs(t, f)
		}
		if err := f.End(); err != nil {
			t.Errorf("end the fleet: %v", err)
		}
		if _, err := os.Stat(f.Dir); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", f.Dir, err)
		}
	})
	if err := f.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := f.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	engine, err := docker.Open(t.Context(), docker.Config{CallTimeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	return &world{Fleet: f, t: t, conn: conn, engine: engine}
}

// saveLogs copies a failed fleet's logs to the directory that SERIN_TEST_LOGS
// names, if it does.
func saveLogs(t *testing.T, f *localfleet.Fleet) {
	t.Helper()
	dir := os.Getenv("SERIN_TEST_LOGS")
	if dir == "" {
		return
	}
	logs, _ := filepath.Glob(filepath.Join(f.Dir, "*.log"))
	for _, log := range logs {
		data, err := os.ReadFile(log)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, f.Name+"-"+filepath.Base(log)), data, 0o600)
		}
		if err != nil {
			t.Log(err)
		}
	}
}

// in is the same world in a subtest.
func (w *world) in(t *testing.T) *world {
	t.Helper()
	other := *w
	other.t = t
	return &other
}

// file is a rollout file that is decided by few requests.
func (w *world) file(version, steps string) string {
	return fmt.Sprintf(`service: %s
image: %s
hosts: {labels: {fleet: demo}}
listen: ":%s"
container: {port: %d, stop_grace: 5s, health: {path: %s}}
steps: %s
gates: %s
deadline: 10m
`, service, w.Image(version), w.Port, localfleet.AppPort, localfleet.HealthPath, steps, gates)
}

// ungated is such a file for a rollout that waits for no evidence.
func (w *world) ungated(version, steps string) string {
	return strings.Replace(w.file(version, steps), gates, "{errors: off}", 1)
}

const twoSteps = "[{weight: 20%}, {weight: 100%, hold: 1s}]"

// publish fires a trigger and forgets it.
func (w *world) publish(id, file string) {
	w.t.Helper()
	trigger, err := localfleet.Trigger(id, file, "test")
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.conn.Publish(bus.TriggerSubject(service), trigger); err != nil {
		w.t.Fatal(err)
	}
}

// request sends a trigger or a command and returns the answer.
func (w *world) request(subject string, data []byte) api.Reply {
	w.t.Helper()
	var reply api.Reply
	eventually(w.t, "an answer on "+subject, func() error {
		ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
		defer cancel()
		m, err := w.conn.Request(ctx, subject, data)
		if err != nil {
			return err
		}
		return json.Unmarshal(m.Data, &reply)
	})
	return reply
}

// follow waits for the end of the rollout that a trigger began.
func (w *world) follow(id string, saw func(rollout.Event)) []rollout.Event {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*patience)
	defer cancel()
	began := time.Now()
	stop := w.watchWaiting(began)
	defer stop()
	events, err := localfleet.Follow(ctx, w.conn, service, id, func(e rollout.Event) {
		w.t.Logf("%6.2fs %s", time.Since(began).Seconds(), e.Text)
		if saw != nil {
			saw(e)
		}
	})
	if err != nil {
		w.t.Fatalf("rollout of %s: %v", id, err)
	}
	return events
}

// watchWaiting logs what the rollout waits for, whenever that changes.
func (w *world) watchWaiting(began time.Time) (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		last := ""
		ticker := time.NewTicker(500 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			patience, stop := context.WithTimeout(ctx, 2*time.Second)
			s, err := localfleet.Ask[api.ServiceStatus](patience, w.conn, api.GetService, service)
			stop()
			if err != nil || s.Rollout == nil || s.Rollout.Waiting == last {
				continue
			}
			last = s.Rollout.Waiting
			w.t.Logf("%6.2fs ... %s", time.Since(began).Seconds(), last)
		}
	}()
	return func() { cancel(); <-ended }
}

// trigger has a rollout begin. It asks for it: what is published and forgotten
// while somebody is elected, which may be at any time on a busy machine, is heard
// by nobody.
func (w *world) trigger(id, file string) {
	w.t.Helper()
	trigger, err := localfleet.Trigger(id, file, "test")
	if err != nil {
		w.t.Fatal(err)
	}
	eventually(w.t, "a decision on "+id, func() error {
		switch reply := w.request(bus.TriggerSubject(service), trigger); {
		case reply.OK:
			return nil
		case reply.Code == rollout.CodeBusy: // it may be repeated
			return errors.New(reply.Message)
		default:
			w.t.Fatalf("trigger %s: %+v", id, reply)
			return nil
		}
	})
}

// rollOut triggers, follows to the end, and wants the outcome.
func (w *world) rollOut(id, file string, want rollout.Phase, saw func(rollout.Event)) []rollout.Event {
	w.t.Helper()
	w.trigger(id, file)
	eventually(w.t, "the events can be read", func() error {
		ctx, stop := context.WithTimeout(w.t.Context(), 5*time.Second)
		defer stop()
		_, err := w.conn.LastEvent(ctx)
		return err
	})
	events := w.follow(id, saw)
	if last := events[len(events)-1]; last.Phase != want {
		w.t.Fatalf("%s ended %s (%s), want %s", id, last.Phase, last.Text, want)
	}
	return events
}

// users asks the frontends until the test or stop ends it.
func (w *world) users(urls ...string) (load *localfleet.Load, stop func()) {
	w.t.Helper()
	load = localfleet.NewLoad(urls, rate)
	stop = sync.OnceFunc(load.Start(w.t.Context()))
	w.t.Cleanup(stop)
	return load, stop
}

// load is users for whom everything has to go well; the returned function stops
// them and fails the test if a request failed.
func (w *world) load(urls ...string) (check func()) {
	w.t.Helper()
	load, stop := w.users(urls...)
	return func() {
		w.t.Helper()
		stop()
		s := load.Stats()
		if s.Failed > 0 || s.AppErrors > 0 || s.Requests == 0 {
			w.t.Errorf("I6: of %d requests %d failed, %d were answered with an error: %v", s.Requests, s.Failed, s.AppErrors, s.Examples)
		}
		w.t.Logf("%d requests, by version %v", s.Requests, s.Versions)
	}
}

// serving returns the frontends of the managed hosts.
func (w *world) serving() []string {
	var urls []string
	for _, h := range w.managed() {
		urls = append(urls, h.URL(w.Port))
	}
	return urls
}

func (w *world) managed() []*localfleet.Host {
	return slices.DeleteFunc(slices.Clone(w.Hosts), func(h *localfleet.Host) bool {
		return h.Later || strings.Contains(h.HAProxy, "existing")
	})
}

func ask[T any](w *world, what, id string) T {
	w.t.Helper()
	var answer T
	eventually(w.t, "get "+what, func() error {
		ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Second)
		defer cancel()
		var err error
		answer, err = localfleet.Ask[T](ctx, w.conn, what, id)
		return err
	})
	return answer
}

// wantEventsComplete reads all events: none may be missing or there twice.
func (w *world) wantEventsComplete() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	next := uint64(1)
	err := w.conn.Events(ctx, bus.Filter{}, func(m bus.EventMsg) error {
		e, err := event.Decode(m.Data)
		if err != nil {
			return err
		}
		if e.Seq != next {
			w.t.Errorf("I11: event %d where %d was due: %s", e.Seq, next, e.Text)
		}
		next = e.Seq + 1
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if next == 1 {
		w.t.Error("there are no events")
	}
}

// wantTidy waits until the hosts hold what the state names, and nothing else:
// one container of the stable revision, and no slot without a live container.
func (w *world) wantTidy(version string) {
	w.t.Helper()
	status := ask[api.ServiceStatus](w, api.GetService, service)
	if status.Stable == nil || status.Stable.Version != version {
		w.t.Fatalf("stable is %+v, want %s", status.Stable, version)
	}
	for _, h := range w.managed() {
		eventually(w.t, "I8: "+h.Name+" is tidy", func() error { return w.tidy(h, status.Stable.ID) })
	}
}

func (w *world) tidy(h *localfleet.Host, revision string) error {
	found, err := w.engine.List(w.t.Context(), map[string]string{localfleet.HostLabel: h.Name})
	if err != nil {
		return err
	}
	if len(found) != 1 {
		return fmt.Errorf("%d containers: %+v", len(found), found)
	}
	c := found[0]
	if got := c.Labels["serin.revision"]; got != revision || c.State != docker.StateRunning {
		return fmt.Errorf("container of %s is %s, want %s running", got, c.State, revision)
	}
	open, err := openSlots(w.t.Context(), filepath.Join(w.Dir, h.Name, "haproxy"))
	if err != nil {
		return err
	}
	if len(open) != 1 || open[0] != c.IP.String() {
		return fmt.Errorf("open slots lead to %v, the only container is at %s", open, c.IP)
	}
	return nil
}

// exitNoLeader is the exit code of a command that nobody has decided on.
const exitNoLeader = 8

// serin runs the command-line client and wants that exit code.
func (w *world) serin(wantCode int, args ...string) string {
	w.t.Helper()
	code, out := w.try(args...)
	if code != wantCode {
		w.t.Fatalf("serin %s: exit code %d, want %d\n%s", strings.Join(args, " "), code, wantCode, out)
	}
	return out
}

// cluster is serin for a command that changes the group. It is repeated while
// nobody decides on it, since somebody else may be elected just then; remove of
// what is gone, then, has been done.
func (w *world) cluster(wantCode int, verb string, args ...string) string {
	w.t.Helper()
	var out string
	asked := 0
	eventually(w.t, "a decision on cluster "+verb, func() error {
		var code int
		code, out = w.try(append([]string{"cluster", verb}, args...)...)
		asked++
		switch {
		case code == exitNoLeader:
			return errors.New(out)
		case code != wantCode && (verb != "remove" || asked == 1):
			w.t.Fatalf("serin cluster %s %v: exit code %d, want %d\n%s", verb, args, code, wantCode, out)
		}
		return nil
	})
	return out
}

// try runs the command-line client.
func (w *world) try(args ...string) (code int, said string) {
	w.t.Helper()
	command := w.command(args...)
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	_ = command.Run() // the code says it all
	return command.ProcessState.ExitCode(), out.String()
}

// command is a command of the command-line client, which can reach the fleet.
func (w *world) command(args ...string) *exec.Cmd {
	command := exec.CommandContext(w.t.Context(), filepath.Join(bin, "serin"), args...)
	files := identity.Files{}
	if w.TLS != nil {
		files = w.TLS(localfleet.Operator)
	}
	command.Env = append(os.Environ(), "SERIN_SERVER="+strings.Join(w.URLs(), ","),
		"SERIN_CA="+files.CA, "SERIN_CERT="+files.Cert, "SERIN_KEY="+files.Key)
	return command
}
