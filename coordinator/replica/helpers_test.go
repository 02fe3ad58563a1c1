package replica

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/porttest"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/statefile"
)

// patience bounds every wait for real replicas on a busy machine.
const patience = 2 * time.Minute

// group is a group of real replicas: bbolt on disk, TCP on the loopback.
type group struct {
	t       *testing.T
	configs map[string]Config
	running map[string]*Replica
}

// newGroup makes the configurations of n replicas c1, c2, ...
func newGroup(t *testing.T, n int) *group {
	t.Helper()
	g := &group{t: t, configs: map[string]Config{}, running: map[string]*Replica{}}
	var peers []Peer
	for i := range n {
		peers = append(peers, Peer{ID: fmt.Sprintf("c%d", i+1), Address: porttest.Address(t)})
	}
	for _, p := range peers {
		g.configs[p.ID] = g.config(p, peers)
	}
	t.Cleanup(func() {
		for _, r := range g.running {
			g.crash(r.cfg.ID)
		}
	})
	return g
}

func (g *group) config(p Peer, peers []Peer) Config {
	return Config{
		ID: p.ID, Listen: p.Address, Dir: filepath.Join(g.t.TempDir(), p.ID), Peers: peers,
		Log: zerolog.New(zerolog.NewTestWriter(g.t)).Level(zerolog.WarnLevel),
	}
}

func (g *group) start(ids ...string) {
	g.t.Helper()
	for _, id := range ids {
		r, err := Open(g.t.Context(), g.configs[id])
		if err != nil {
			g.t.Fatal(err)
		}
		g.running[id] = r
	}
}

func (g *group) startAll() {
	g.t.Helper()
	g.start(slices.Sorted(maps.Keys(g.configs))...)
}

// crash ends a replica without handing anything over.
func (g *group) crash(id string) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r := g.running[id]
	delete(g.running, id)
	if err := r.end(ctx); err != nil {
		g.t.Errorf("stop %s: %v", id, err)
	}
}

// leader waits for a running replica that leads.
func (g *group) leader() *Replica {
	g.t.Helper()
	var found *Replica
	eventually(g.t, "a leader", func() bool {
		for _, r := range g.running {
			if r.Verify(g.t.Context()) == nil {
				found = r
				return true
			}
		}
		return false
	})
	return found
}

func (g *group) follower() *Replica {
	g.t.Helper()
	return g.other(g.leader())
}

// other returns a running replica that is not this one.
func (g *group) other(r *Replica) *Replica {
	g.t.Helper()
	for _, id := range slices.Sorted(maps.Keys(g.running)) {
		if g.running[id] != r {
			return g.running[id]
		}
	}
	g.t.Fatal("there is no other")
	return nil
}

// lead has whoever leads do something, again if he did not lead all the while: on
// a busy machine another one may be elected at any time.
func (g *group) lead(what string, do func(leader *Replica) error) {
	g.t.Helper()
	eventually(g.t, what, func() bool {
		leader := g.leader()
		term, _ := leader.leads()
		err := do(leader)
		if now, leads := leader.leads(); err != nil && leads && now == term && !errors.Is(err, ErrNotLeader) {
			g.t.Fatalf("%s: %v", what, err)
		}
		return err == nil
	})
}

// propose retries through whoever leads until the entry is applied.
func (g *group) propose(e rollout.Entry) rollout.Result {
	g.t.Helper()
	var result rollout.Result
	eventually(g.t, "an entry to be applied", func() bool {
		var err error
		if result, err = g.leader().Propose(g.t.Context(), e); err == nil {
			return true
		}
		if !errors.Is(err, ErrNotLeader) && !errors.Is(err, ErrUnknown) {
			g.t.Fatal(err)
		}
		return false
	})
	return result
}

// settled waits until all running replicas have the same state, and returns it.
func (g *group) settled() string {
	g.t.Helper()
	var state string
	eventually(g.t, "equal states", func() bool {
		seen := map[string]bool{}
		for _, r := range g.running {
			state = stateBytes(g.t, r.State())
			seen[state] = true
		}
		return len(seen) == 1
	})
	return state
}

func stateBytes(t *testing.T, s *rollout.State) string {
	t.Helper()
	data, err := statefile.Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// eventually polls, for what happens outside of this process's control.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func sampleSpec(service string) rollout.Spec {
	spec := rollout.Spec{Service: service, Image: "registry.example.com/" + service + ":1.0.0"}
	spec.Frontend.Listen = ":8080"
	spec.Container.Port = 8080
	spec.Gates.Errors = &rollout.ErrorsGate{MaxIncrease: 50}
	return spec.WithDefaults().At(rollout.LevelFirst)
}

func submit(service, key string) rollout.Entry {
	spec := sampleSpec(service)
	return rollout.Entry{
		Stamp: rollout.Stamp{At: time.Second, Wall: 1_790_000_000_000, By: "c1"},
		Command: rollout.Submit{
			Key: key, Spec: spec, Hosts: []string{"web-1", "web-2"}, By: "ci",
			To: rollout.NewRevision(spec, "registry.example.com/"+service+"@sha256:"+key),
		},
	}
}

// advance takes the next step of the service s1.
func advance(s *rollout.State) rollout.Entry {
	svc := s.Services["s1"]
	return rollout.Entry{
		Stamp:   rollout.Stamp{At: s.Clock + time.Second, Wall: 1_790_000_001_000, By: "c1"},
		Command: rollout.Advance{Target: rollout.Target{Service: svc.Name, Rollout: svc.Active.ID, Epoch: svc.Epoch}},
	}
}
