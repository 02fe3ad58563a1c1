package docker_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-rollouts/serin/agent/docker"
	"github.com/serin-rollouts/serin/agent/docker/dockertest"
)

// watchOf records the events of a Fake; inside a bubble synctest.Wait stands
// for waiting.
func watchOf(t *testing.T, e *docker.Engine) (r *recorder, end func()) {
	t.Helper()
	r = &recorder{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Watch(ctx, map[string]string{testLabel: "x"}, time.Time{}, r.add) }()
	synctest.Wait()
	return r, func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch returned %v", err)
		}
	}
}

// A crash of the daemon loses its memory of events: the resync that follows
// makes the owner look for himself.
func TestWatchOutlivesDaemon(t *testing.T) {
	for _, live := range []bool{false, true} {
		t.Run(fmt.Sprintf("live-restore=%v", live), func(t *testing.T) {
			bubble(t, dockertest.Config{LiveRestore: live}, func(b bubbled) {
				t, f, e := b.T, b.fake, b.engine
				r, end := watchOf(t, e)
				defer end()
				id := runOn(t, e, "a")
				synctest.Wait()
				f.Down()
				time.Sleep(time.Hour)
				if err := e.Start(t.Context(), id); !errors.Is(err, docker.ErrUnavailable) {
					t.Errorf("start while it is down: %v", err)
				}
				f.Up()
				time.Sleep(time.Minute)
				want := "resync create start resync"
				if got := strings.Join(r.said(id), " "); !strings.HasPrefix(got, want) {
					t.Errorf("got %s", got)
				}
				list, err := e.List(t.Context(), map[string]string{testLabel: "x"})
				if err != nil || len(list) != 1 || (list[0].State == docker.StateRunning) != live {
					t.Errorf("after it is up: %+v, %v", list, err)
				}
			})
		})
	}
}

// Once for each outage, the owner is told that he is not told any more.
func TestWatchTellsThatItIsLost(t *testing.T) {
	bubble(t, dockertest.Config{LiveRestore: true}, func(b bubbled) {
		t, f, e := b.T, b.fake, b.engine
		r, end := watchOf(t, e)
		defer end()
		for range 2 {
			f.Down()
			time.Sleep(time.Hour)
			f.Up()
			time.Sleep(time.Minute)
		}
		var got []string
		for _, event := range r.all() {
			got = append(got, event.Action)
		}
		if want := "resync lost resync lost resync"; strings.Join(got, " ") != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// A daemon that is stopped and goes on loses nothing.
func TestWatchOutlivesFreeze(t *testing.T) {
	bubble(t, dockertest.Config{}, func(b bubbled) {
		t, f, e := b.T, b.fake, b.engine
		r, end := watchOf(t, e)
		defer end()
		id := runOn(t, e, "a")
		f.Freeze()
		f.OOM("a")
		time.Sleep(time.Hour)
		f.Thaw()
		time.Sleep(time.Minute)
		if got := strings.Join(r.said(id), " "); got != "resync create start oom die" {
			t.Errorf("got %s", got)
		}
	})
}

// A daemon that comes back frozen is waited for, with deadlines.
func TestWatchConnectsToFrozenDaemon(t *testing.T) {
	bubble(t, dockertest.Config{}, func(b bubbled) {
		t, f, e := b.T, b.fake, b.engine
		r, end := watchOf(t, e)
		defer end()
		f.Freeze()
		f.Cut()
		time.Sleep(time.Hour)
		f.Thaw()
		id := runOn(t, e, "a")
		time.Sleep(time.Minute)
		if got := strings.Join(r.said(id), " "); got != "resync resync create start" {
			t.Errorf("got %s", got)
		}
	})
}

// The subscription itself may hang where the ping before it did not.
func TestWatchSubscriptionHangs(t *testing.T) {
	bubble(t, dockertest.Config{}, func(b bubbled) {
		t, f, e := b.T, b.fake, b.engine
		f.Inject(dockertest.Fault{Path: "/events", Hang: true, Times: 2})
		r, end := watchOf(t, e)
		defer end()
		if n := r.count("", docker.ActionResync); n != 0 {
			t.Errorf("%d resyncs of a stream that is not there", n)
		}
		time.Sleep(time.Minute)
		if n := r.count("", docker.ActionResync); n != 1 {
			t.Errorf("%d resyncs", n)
		}
	})
}

// A refused subscription is tried again. It may count as a stream that broke at
// once: Docker's client says that it has subscribed a moment before it says why
// not.
func TestWatchSubscriptionRefused(t *testing.T) {
	bubble(t, dockertest.Config{}, func(b bubbled) {
		t, f, e := b.T, b.fake, b.engine
		f.Inject(dockertest.Fault{Path: "/events", Status: 500, Message: "not now"})
		r, end := watchOf(t, e)
		defer end()
		time.Sleep(time.Minute)
		if n := r.count("", docker.ActionResync); n < 1 || n > 2 {
			t.Errorf("%d resyncs", n)
		}
		id := runOn(t, e, "a")
		time.Sleep(time.Minute)
		if got := strings.Join(r.said(id), " "); !strings.HasSuffix(got, "resync create start") {
			t.Errorf("got %s", got)
		}
	})
}

// Docker may be upgraded under a running agent, to one that refuses the API
// version that was agreed on.
func TestUpgradedDaemon(t *testing.T) {
	bubble(t, dockertest.Config{LiveRestore: true}, func(b bubbled) {
		t, f, e := b.T, b.fake, b.engine
		r, end := watchOf(t, e)
		defer end()
		f.Upgrade("1.48")
		time.Sleep(time.Minute)
		if r.count("", docker.ActionResync) != 2 {
			t.Errorf("got %s", r.said(""))
		}
		info, err := e.Info(t.Context())
		if err != nil || info.APIVersion != "1.48" {
			t.Errorf("got %+v, %v", info, err)
		}
	})
}

// More events than are remembered, and many breaks among them: each arrives
// once.
func TestWatchManyEventsAndBreaks(t *testing.T) {
	bubble(t, dockertest.Config{}, func(b bubbled) {
		t, f, e := b.T, b.fake, b.engine
		r, end := watchOf(t, e)
		defer end()
		id := runOn(t, e, "a")
		const rounds = 400
		for i := range rounds {
			f.Die("a", 1)
			if i%7 == 0 {
				f.Cut()
			}
			if err := e.Start(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		if died, started := r.count(id, "die"), r.count(id, "start"); died != rounds || started != rounds+1 {
			t.Errorf("%d deaths and %d starts told, want %d and %d", died, started, rounds, rounds+1)
		}
	})
}

// A container that vanishes while it is looked at is not an error of the list.
func TestListWhileContainersVanish(t *testing.T) {
	bubble(t, dockertest.Config{}, func(b bubbled) {
		t, f, e := b.T, b.fake, b.engine
		runOn(t, e, "a")
		gone := runOn(t, e, "b")
		f.Inject(dockertest.Fault{Path: gone + "/json", Status: 404, Message: "No such container: " + gone})
		list, err := e.List(t.Context(), map[string]string{testLabel: "x"})
		if err != nil || len(list) != 1 || list[0].Name != "a" {
			t.Errorf("got %+v, %v", list, err)
		}
	})
}

// Fifty hosts in one process: each has its own Engine, addresses and events.
func TestFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := dockertest.NewRegistry()
		digest := reg.Push(dockertest.Image{Ref: "registry.test/app:v1"})
		seen := map[netip.Addr]bool{}
		for i := range 50 {
			f := dockertest.New(dockertest.Config{Registry: reg, Subnet: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 0}), 24)})
			defer func() { _ = f.Close() }()
			e, err := docker.Open(t.Context(), docker.Config{Dial: f.Dial})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = e.Close() }()
			_, end := watchOf(t, e)
			defer end()
			s := spec("a")
			s.Image = "registry.test/app@" + digest
			if err := e.Pull(t.Context(), s.Image); err != nil {
				t.Fatal(err)
			}
			id, err := e.Create(t.Context(), s)
			if err == nil {
				err = e.Start(t.Context(), id)
			}
			list, listErr := e.List(t.Context(), s.Labels)
			if err != nil || listErr != nil || len(list) != 1 || seen[list[0].IP] {
				t.Fatalf("host %d: %+v, %v, %v", i, list, err, listErr)
			}
			seen[list[0].IP] = true
		}
	})
}

// The first call after a restart of the daemon finds that its idle connection
// is closed, and goes over a new one.
func TestCallsAfterBreaks(t *testing.T) {
	bubble(t, dockertest.Config{}, func(b bubbled) {
		t, f, e := b.T, b.fake, b.engine
		for i := range 300 {
			s := spec("a")
			id, err := e.Create(t.Context(), s)
			f.Cut()
			if err == nil {
				err = e.Start(t.Context(), id)
			}
			f.Cut()
			if err == nil {
				err = e.Stop(t.Context(), id, time.Second)
			}
			f.Cut()
			if err == nil {
				err = e.Remove(t.Context(), id)
			}
			f.Cut()
			if err != nil {
				t.Fatalf("round %d: %v", i, err)
			}
		}
	})
}
