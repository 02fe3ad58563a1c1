package agent

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/agent/docker"
	"github.com/serin-rollouts/serin/agent/docker/dockertest"
	"github.com/serin-rollouts/serin/agent/haproxy/haproxytest"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

const cafe = "cafe"

// TestNoServiceAnswersForAnother: whatever ends and comes back, and in which order, no
// slot of any service is open at an address when another container begins to live there.
func TestNoServiceAnswersForAnother(t *testing.T) {
	for name, c := range map[string]func(*bench){
		"the host reboots": func(b *bench) {
			b.end()
			b.haproxy.Crash()
			b.docker.Down()
			b.docker.Up()
			b.start()
		},
		"Docker restarts": func(b *bench) {
			b.docker.Down()
			b.docker.Up()
		},
		"all die while the agent is away": func(b *bench) {
			b.end()
			b.dieAll()
			b.start()
		},
		"all die unheard of": func(b *bench) {
			b.docker.LoseEvents(true)
			b.dieAll()
			time.Sleep(time.Minute)
			b.docker.LoseEvents(false)
		},
		"HAProxy dies too": func(b *bench) {
			b.docker.LoseEvents(true)
			b.haproxy.Crash()
			b.dieAll()
			b.docker.LoseEvents(false)
		},
		"strangers come first": func(b *bench) {
			b.end()
			b.haproxy.Crash()
			b.docker.Down()
			b.docker.Up()
			b.strangers(3)
			b.start()
		},
	} {
		t.Run(name, func(t *testing.T) { inBubble(t, func(b *bench) { b.crossings(c) }) })
	}
}

// crossings has two services run, and watches who gets which address from then on.
func (b *bench) crossings(trouble func(*bench)) {
	r1 := b.revision("1", 2)
	b.assign(b.want(5, r1, nil, 0))
	b.settled(5)
	b.assign(b.cafe(6, r1))
	b.until("cafe is settled", time.Minute, func(wire.ServiceHealth) bool { return b.settledAt(cafe, 6) })
	b.mu.Lock()
	b.born = func(c dockertest.Container) {
		if open := b.haproxy.Leading(c.IP); len(open) > 0 {
			b.t.Errorf("%s begins to live at %s, where %v lead", c.Name, c.IP, open)
		}
	}
	b.launched = func() {
		for _, c := range b.docker.Containers() {
			for _, slot := range b.haproxy.Leading(c.IP) {
				if own := c.Labels[labelService] + "/" + c.Labels[labelSlot]; c.State == "running" && slot != own {
					b.t.Errorf("HAProxy starts with %s at %s, where %s lives", slot, c.IP, c.Name)
				}
			}
		}
	}
	b.mu.Unlock()
	trouble(b)
	b.until("both are back", time.Minute, func(s wire.ServiceHealth) bool {
		served := b.haproxy.Serve(haproxytest.Traffic{Service: cafe, Requests: 20}).Stable + b.serve(20).Stable
		return served == 40 && s.StableReady == 2 && b.settledAt(shop, 5) && b.settledAt(cafe, 6)
	})
}

func (b *bench) cafe(epoch uint64, stable *rollout.Revision) rollout.Assignment {
	a := b.want(epoch, stable, nil, 0)
	a.Service, a.Frontend.Listen = cafe, ":8081"
	return a
}

// dieAll ends the programs in all containers, those that started last first.
func (b *bench) dieAll() {
	all := b.docker.Containers()
	slices.SortFunc(all, func(x, y dockertest.Container) int { return y.IP.Compare(x.IP) })
	for _, c := range all {
		b.docker.Die(c.Name, 137)
	}
}

// strangers starts containers that are not serin's.
func (b *bench) strangers(n int) {
	b.t.Helper()
	engine, err := docker.Open(b.t.Context(), docker.Config{Host: "unix:///docker.sock", Dial: b.docker.Dial, Log: zerolog.Nop()})
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = engine.Close() }()
	for i := range n {
		spec := docker.Spec{Name: fmt.Sprintf("stranger-%d", i), Image: b.images["1"], Labels: map[string]string{"app": "theirs"}}
		id, err := engine.Create(b.t.Context(), spec)
		if err == nil {
			err = engine.Start(b.t.Context(), id)
		}
		if err != nil {
			b.t.Fatal(err)
		}
	}
}
