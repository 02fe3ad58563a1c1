package docker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/agent/docker"
)

// recorder collects what Watch delivers.
type recorder struct {
	mu     sync.Mutex
	events []docker.Event
}

func (r *recorder) add(e docker.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recorder) all() []docker.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// said is the actions in their order, those of one container only if id is
// not empty.
func (r *recorder) said(id string) []string {
	var actions []string
	for _, e := range r.all() {
		if id == "" || e.ID == id || e.Action == docker.ActionResync {
			actions = append(actions, e.Action)
		}
	}
	return actions
}

func (r *recorder) count(id, action string) int {
	n := 0
	for _, a := range r.said(id) {
		if a == action {
			n++
		}
	}
	return n
}

func (r *recorder) await(t *testing.T, id, action string, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d %s", n, action), func() bool { return r.count(id, action) >= n })
}

// watch records events until the test ends, and returns when the first stream
// is there.
func (w *world) watch(t *testing.T) *recorder {
	t.Helper()
	r := &recorder{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Watch(ctx, w.labels(), time.Time{}, r.add) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch returned %v", err)
		}
	})
	r.await(t, "", docker.ActionResync, 1)
	return r
}

func TestWatchTellsDeath(t *testing.T) {
	inEachWorld(t, func(w *world) {
		t := w.T
		ref, _ := w.load(t, "v1")
		r := w.watch(t)
		c := w.run(t, w.spec("a", ref))
		w.die(t, c, 7)
		r.await(t, c.ID, "die", 1)
		if err := w.Remove(t.Context(), c.ID); err != nil {
			t.Fatal(err)
		}
		r.await(t, c.ID, "destroy", 1)
		if got := strings.Join(r.said(""), " "); got != "resync create start die destroy" {
			t.Errorf("got %s", got)
		}
		for _, e := range r.all()[1:] {
			if e.Name != c.Name || e.Labels[testLabel] != w.id || e.Labels[testLabel+".name"] != "a" || e.At.IsZero() ||
				e.Labels["name"] != "" || e.Labels["exitCode"] != "" {
				t.Errorf("event %+v", e)
			}
			if e.Action == "die" && e.ExitCode != 7 {
				t.Errorf("exit code %d", e.ExitCode)
			}
		}
	})
}

func TestWatchTellsOOM(t *testing.T) {
	inEachWorld(t, func(w *world) {
		t := w.T
		ref, _ := w.load(t, "v1")
		r := w.watch(t)
		spec := w.spec("a", ref)
		spec.Memory = 32 << 20
		c := w.run(t, spec)
		w.oom(t, c)
		r.await(t, c.ID, "die", 1)
		r.await(t, c.ID, "oom", 1)
		if now := w.find(t, c.ID); !now.OOMKilled || now.ExitCode != 137 || now.State != docker.StateExited {
			t.Errorf("after the kill: %+v", now)
		}
	})
}

// A stream that breaks is resumed: nothing that happened meanwhile is lost,
// nothing is told twice, and the owner is told to list again first.
func TestWatchResumes(t *testing.T) {
	inEachWorld(t, func(w *world) {
		t := w.T
		ref, _ := w.load(t, "v1")
		r := w.watch(t)
		a, b := w.run(t, w.spec("a", ref)), w.run(t, w.spec("b", ref))
		r.await(t, b.ID, "start", 1)

		w.wire.cut()
		w.die(t, a, 3)
		w.die(t, b, 4)
		w.wire.mend()
		r.await(t, a.ID, "die", 1)
		r.await(t, b.ID, "die", 1)

		w.wire.cut()
		w.wire.mend()
		r.await(t, "", docker.ActionResync, 3)
		if err := w.Start(t.Context(), a.ID); err != nil {
			t.Fatal(err)
		}
		r.await(t, a.ID, "start", 2)
		if got := strings.Join(r.said(a.ID), " "); got != "resync create start resync die resync start" {
			t.Errorf("a: %s", got)
		}
		if got := strings.Join(r.said(b.ID), " "); got != "resync create start resync die resync" {
			t.Errorf("b: %s", got)
		}
	})
}

// A Watch that begins in the past gets what the daemon still has.
func TestWatchSince(t *testing.T) {
	inEachWorld(t, func(w *world) {
		t := w.T
		began := time.Now()
		ref, _ := w.load(t, "v1")
		c := w.run(t, w.spec("a", ref))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r := &recorder{}
		err := w.Watch(ctx, w.labels(), began, func(e docker.Event) {
			r.add(e)
			if e.Action == "start" {
				cancel()
			}
		})
		if !errors.Is(err, context.Canceled) || strings.Join(r.said(c.ID), " ") != "resync create start" {
			t.Errorf("%v, %s", err, r.said(c.ID))
		}
	})
}

func TestWatchOfStrangers(t *testing.T) {
	inEachWorld(t, func(w *world) {
		t := w.T
		if err := w.Watch(t.Context(), nil, time.Time{}, func(docker.Event) {}); err == nil {
			t.Error("events of all containers are watched")
		}
		ref, _ := w.load(t, "v1")
		r := w.watch(t)
		other := w.spec("other", ref)
		other.Labels[testLabel] = w.id + "-other"
		other.Labels[testLabel+".of"] = w.id
		id := w.create(t, other)
		defer func() { // the sweep does not see it
			if err := w.Remove(context.WithoutCancel(t.Context()), id); err != nil {
				t.Error(err)
			}
		}()
		c := w.run(t, w.spec("a", ref))
		r.await(t, c.ID, "start", 1)
		if got := strings.Join(r.said(""), " "); got != "resync create start" {
			t.Errorf("got %s", got)
		}
	})
}

// The word of the image's HEALTHCHECK arrives as an event and in the list; the
// runs of the check do not.
func TestHealth(t *testing.T) {
	inEachWorld(t, func(w *world) {
		t := w.T
		ref := w.sick(t)
		r := w.watch(t)
		c := w.run(t, w.spec("a", ref))
		if c.Health != "starting" {
			t.Errorf("health %q", c.Health)
		}
		w.fall(t, c)
		r.await(t, c.ID, "health_status: unhealthy", 1)
		if now := w.find(t, c.ID); now.Health != "unhealthy" {
			t.Errorf("health %q", now.Health)
		}
		if got := strings.Join(r.said(""), " "); got != "resync create start health_status: unhealthy" {
			t.Errorf("got %s", got)
		}
	})
}
