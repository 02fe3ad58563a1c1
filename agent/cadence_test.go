package agent

import (
	"io"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/agent/docker"
	"github.com/serin-rollouts/serin/agent/docker/dockertest"
	"github.com/serin-rollouts/serin/agent/haproxy/haproxytest"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// slack is what the agent's own work takes, beside the time to notice.
const slack = 500 * time.Millisecond

// atRest settles a host in the middle of a rollout, or with none, and lets it
// come to rest.
func (b *bench) atRest(moving bool) (stable *rollout.Revision) {
	b.t.Helper()
	stable = b.revision("1", 1)
	b.assign(b.want(5, stable, nil, 0))
	b.settled(5)
	if moving {
		b.assign(b.want(6, stable, b.revision("2", 1), 1000))
		b.settled(6)
	}
	time.Sleep(stirring + time.Minute)
	return stable
}

// container returns the id of a revision's running container, "" for none.
func (b *bench) container(rev string) string {
	for _, c := range b.docker.Containers() {
		if c.Labels[labelRevision] == rev && c.State == "running" {
			return c.ID
		}
	}
	return ""
}

// removeByHand does what a person does with docker rm -f.
func (b *bench) removeByHand(id string) {
	b.t.Helper()
	e, err := docker.Open(b.t.Context(), docker.Config{Host: "unix:///docker.sock", Dial: b.docker.Dial, Log: zerolog.Nop()})
	if err == nil {
		err = e.Stop(b.t.Context(), id, time.Second)
	}
	if err == nil {
		err = e.Remove(b.t.Context(), id)
	}
	if err == nil {
		err = e.Close()
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// within waits for what has to come, and fails the test if it takes longer.
func (b *bench) within(what string, limit time.Duration, ok func() bool) {
	b.t.Helper()
	for began := time.Now(); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > limit {
			b.t.Errorf("%s: not within %s", what, limit)
			return
		}
	}
}

// TestSettledHostIsLeftAlone: while nothing happens Docker is asked at each
// resync, and not more often.
func TestSettledHostIsLeftAlone(t *testing.T) {
	for name, moving := range map[string]bool{"idle": false, "moving": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				b.atRest(moving)
				before := b.docker.Requests("GET", "/containers/json")
				time.Sleep(10 * resync)
				if n := b.docker.Requests("GET", "/containers/json") - before; n < 9 || n > 11 {
					t.Errorf("containers were listed %d times in %s", n, 10*resync)
				}
			})
		})
	}
}

// TestChangeByHandIsNoticed: a container that somebody removes comes back,
// whether Docker's events tell of it or not.
func TestChangeByHandIsNoticed(t *testing.T) {
	deafen := func(b *bench) {
		b.docker.Inject(dockertest.Fault{Path: "/events", Status: 500, Message: "not now", Times: -1})
		b.docker.Cut()
		time.Sleep(stirring + time.Minute)
	}
	for name, c := range map[string]struct {
		moving bool
		fail   func(*bench)
		limit  time.Duration
	}{
		"by the event":                {fail: func(*bench) {}},
		"event is lost while idle":    {fail: func(b *bench) { b.docker.LoseEvents(true) }, limit: 10 * time.Second},
		"event is lost while moving":  {moving: true, fail: func(b *bench) { b.docker.LoseEvents(true) }, limit: 10 * time.Second},
		"stream is down while idle":   {fail: deafen, limit: 5 * time.Second},
		"stream is down while moving": {moving: true, fail: deafen, limit: time.Second},
		"stream is down and back":     {fail: (*bench).deafenFor5s, limit: 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				stable := b.atRest(c.moving)
				c.fail(b)
				was := b.container(stable.ID)
				b.removeByHand(was)
				b.within("another container", c.limit+slack, func() bool {
					is := b.container(stable.ID)
					return is != "" && is != was
				})
			})
		})
	}
}

// deafenFor5s lets the stream of events break and come back, and the daemon
// forget what happened meanwhile.
func (b *bench) deafenFor5s() {
	b.docker.LoseEvents(true)
	mend := b.docker.Inject(dockertest.Fault{Path: "/events", Status: 500, Message: "not now", Times: -1})
	b.docker.Cut()
	time.AfterFunc(5*time.Second, func() {
		mend()
		b.docker.LoseEvents(false)
	})
}

// TestHAProxyChangedByHand: what somebody does to HAProxy is undone after the
// next poll, though Docker has nothing to tell.
func TestHAProxyChangedByHand(t *testing.T) {
	for name, c := range map[string]struct {
		moving bool
		limit  time.Duration
	}{"idle": {limit: 2 * time.Second}, "moving": {moving: true, limit: 500 * time.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				b.atRest(c.moving)
				conn, err := b.haproxy.Dial(t.Context(), "unix", "/admin.sock")
				if err == nil {
					_, err = io.WriteString(conn, "set server shop/a1 state maint\n")
				}
				if err == nil {
					_, err = io.ReadAll(conn)
				}
				if err != nil {
					t.Fatal(err)
				}
				if err := conn.Close(); err != nil {
					t.Fatal(err)
				}
				b.within("back", c.limit+slack, func() bool {
					got := b.haproxy.Serve(haproxytest.Traffic{Service: shop, Requests: 10})
					return got.Stable+got.Canary == 10
				})
			})
		})
	}
}
