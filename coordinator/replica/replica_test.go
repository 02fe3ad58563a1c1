package replica

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/identity"
	"github.com/serin-rollouts/serin/internal/identity/identitytest"
	"github.com/serin-rollouts/serin/internal/porttest"
)

func TestGroupSurvivesItsLeader(t *testing.T) {
	g := newGroup(t, 3)
	g.startAll()
	if result := g.propose(submit("checkout", "k1")); result.Rollout != "checkout-1" || result.Refused != nil {
		t.Fatalf("result = %+v", result)
	}
	eventually(t, "one term for a command", func() bool {
		leader := g.leader()
		term, leads := leader.settle(t.Context(), leader.barrier) // a term begins with entries of its own
		entries := leader.Entries()
		if result := g.propose(submit("checkout", "k1")); !result.Repeat {
			t.Fatalf("a repeated trigger was not recognised: %+v", result)
		}
		got := leader.Entries()
		if now, still := leader.leads(); !leads || !still || now != term {
			return false // whoever led later has entries of its own
		}
		if got != entries+1 {
			t.Errorf("one command made %d entries", got-entries)
		}
		return true
	})
	g.settled()
	eventually(t, "a follower that names the leader", func() bool {
		follower := g.follower()
		_, err := follower.Propose(t.Context(), submit("checkout", "k1"))
		verified := follower.Verify(t.Context())
		if _, leads := follower.leads(); leads || g.leader() == follower {
			return false
		}
		if !errors.Is(err, ErrNotLeader) || !errors.Is(verified, ErrNotLeader) {
			t.Fatalf("a follower answers %v, and %v", err, verified)
		}
		refused, ok := errors.AsType[*NotLeaderError](err)
		return ok && refused.ID == g.leader().cfg.ID
	})

	first := g.leader()
	g.crash(first.cfg.ID)
	if second := g.leader(); second == first {
		t.Fatal("the crashed replica leads")
	}
	g.propose(submit("search", "k3"))
	g.start(first.cfg.ID)
	g.propose(submit("cart", "k4"))
	g.settled()
	if n := len(g.running[first.cfg.ID].State().Services); n != 3 {
		t.Errorf("the restarted replica has %d services, want 3", n)
	}
	if _, err := first.Propose(t.Context(), submit("late", "k5")); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed replica's answer = %v", err)
	}
}

func TestEverythingIsThereAfterARestart(t *testing.T) {
	g := newGroup(t, 3)
	g.startAll()
	for i := range 20 {
		g.propose(submit(fmt.Sprintf("s%d", i), fmt.Sprintf("k%d", i)))
	}
	before := g.settled()
	if err := g.leader().raft.Snapshot().Error(); err != nil {
		t.Fatal(err)
	}
	for id := range g.configs {
		g.crash(id)
	}
	g.startAll()
	g.leader()
	if after := g.settled(); after != before {
		t.Errorf("the state is another one after a restart:\n%s\n%s", before, after)
	}
}

func TestLateJoinerCatchesUpFromASnapshot(t *testing.T) {
	g := newGroup(t, 1)
	g.startAll()
	leader := g.leader()
	for i := range 40 {
		g.propose(submit(fmt.Sprintf("s%d", i), fmt.Sprintf("k%d", i)))
	}
	reload := leader.raft.ReloadableConfig()
	reload.TrailingLogs = 1
	if err := leader.raft.ReloadConfig(reload); err != nil {
		t.Fatal(err)
	}
	if err := leader.raft.Snapshot().Error(); err != nil {
		t.Fatal(err)
	}
	if first, err := leader.stores.logs.FirstIndex(); err != nil || first < 30 {
		t.Fatalf("the log begins at %d (%v): it was not cut", first, err)
	}
	for _, id := range []string{"c2", "c3"} {
		joiner := g.config(Peer{ID: id, Address: porttest.Address(t)}, nil)
		joiner.Join = true
		g.configs[id] = joiner
		g.start(id)
		g.lead("add "+id, func(leader *Replica) error { return leader.Add(t.Context(), id, joiner.Listen) })
	}
	g.settled()
	g.lead("describe the group", func(leader *Replica) error {
		c, err := leader.Cluster()
		if _, leads := leader.leads(); !leads {
			return ErrNotLeader
		}
		if err != nil || len(c.Members) != 3 || !c.Members[1].Voter || !c.Members[2].Voter || c.Role != "leader" || c.Leader != leader.cfg.ID {
			t.Errorf("cluster = %+v, %v", c, err)
		}
		return nil
	})
	g.crash("c1") // two of three go on
	g.propose(submit("after", "k-after"))
	g.crash("c2") // a joiner opens its directory again by itself
	g.start("c2", "c1")
	g.propose(submit("again", "k-again"))
	g.settled()
}

func TestMemberThatDoesNotAnswerGetsNoVote(t *testing.T) {
	g := newGroup(t, 1)
	g.startAll()
	leader := g.leader()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	added := make(chan error, 1)
	go func() { added <- leader.Add(ctx, "c2", porttest.Address(t)) }()
	eventually(t, "a second member", func() bool { return len(leader.members()) == 2 })
	time.AfterFunc(3*catchUpPoll, cancel)
	if err := <-added; err == nil {
		t.Fatal("a replica that is not there was added")
	}
	if c, err := leader.Cluster(); err != nil || len(c.Members) != 2 || c.Members[1].Voter {
		t.Fatalf("cluster = %+v, %v", c, err)
	}
	g.propose(submit("checkout", "k1")) // the group of one goes on
	if err := leader.Remove(t.Context(), "c2"); err != nil {
		t.Fatal(err)
	}
	if err := leader.Remove(t.Context(), "c1"); err == nil {
		t.Error("the last voter was removed")
	}
	if err := leader.Remove(t.Context(), "c9"); err == nil {
		t.Error("a stranger was removed")
	}
}

// A voter that is moved to where it does not run would be lost to the group.
func TestMemberIsMovedOnlyToWhereItAnswers(t *testing.T) {
	g := newGroup(t, 3)
	g.startAll()
	before := g.leader().members()
	for _, want := range []string{"start it there first", "runs there", "transfer the leadership"} {
		g.lead(want, func(leader *Replica) error {
			id, address := g.other(leader).cfg.ID, porttest.Address(t)
			switch want {
			case "runs there":
				address = leader.cfg.Listen
			case "transfer the leadership":
				id = leader.cfg.ID
			}
			err := leader.Add(t.Context(), id, address)
			if errors.Is(err, ErrNotLeader) {
				return err
			}
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s to %s: %v", id, address, err)
			}
			return nil
		})
	}
	if now := g.leader().members(); !slices.Equal(now, before) {
		t.Errorf("members: %+v, were %+v", now, before)
	}
	moved := g.follower().cfg
	moved.Listen = porttest.Address(t)
	g.crash(moved.ID)
	g.configs[moved.ID] = moved
	g.start(moved.ID)
	eventually(t, "a move to where it answers", func() bool {
		leader := g.leader()
		if leader.cfg.ID == moved.ID {
			_ = leader.Transfer(t.Context(), "") // it can be elected: it reaches the others
			return false
		}
		err := leader.Add(t.Context(), moved.ID, moved.Listen)
		if err != nil && !errors.Is(err, ErrNotLeader) {
			t.Error(err)
		}
		return err == nil || t.Failed()
	})
	g.propose(submit("checkout", "k1"))
	g.settled()
}

func TestTransferAndRemove(t *testing.T) {
	g := newGroup(t, 3)
	g.startAll()
	target := g.follower()
	takeOver := func() {
		g.lead("hand over", func(leader *Replica) error {
			if leader == target {
				return nil
			}
			if err := leader.Transfer(t.Context(), target.cfg.ID); err != nil {
				t.Log(err) // it may have to be tried again
			}
			return ErrNotLeader
		})
	}
	takeOver()
	if err := target.Transfer(t.Context(), "c9"); err == nil {
		t.Error("leadership was handed to a stranger")
	}
	if err := g.other(target).Remove(t.Context(), target.cfg.ID); !errors.Is(err, ErrNotLeader) {
		t.Errorf("a follower removed somebody: %v", err)
	}
	g.lead("remove the leader", func(leader *Replica) error {
		if leader != target {
			takeOver()
			return ErrNotLeader
		}
		return leader.Remove(t.Context(), target.cfg.ID)
	})
	<-target.Done()
	if err := target.Err(); !errors.Is(err, ErrRemoved) {
		t.Errorf("the removed leader stopped with %v", err)
	}
	g.crash(target.cfg.ID)
	g.propose(submit("checkout", "k1"))
	if c, err := g.leader().Cluster(); err != nil || len(c.Members) != 2 {
		t.Errorf("cluster = %+v, %v", c, err)
	}
}

func TestCloseHandsLeadershipOver(t *testing.T) {
	g := newGroup(t, 3)
	g.startAll()
	leader := g.leader()
	follower := g.follower()
	g.propose(submit("checkout", "k1"))
	g.settled()
	if err := leader.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := leader.Close(t.Context()); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	delete(g.running, leader.cfg.ID)
	eventually(t, "another leader", func() bool { id, _ := follower.Leader(); return id != "" && id != leader.cfg.ID })
}

func TestLinksAreMutuallyAuthenticated(t *testing.T) {
	ours, theirs := identitytest.New(t), identitytest.New(t)
	g := newGroup(t, 3)
	secure := func(id string, files identity.Files) {
		cfg := g.configs[id]
		cfg.TLS = files
		g.configs[id] = cfg
	}
	secure("c1", ours.Leaf(t, "c1"))
	secure("c2", ours.Leaf(t, "c2"))
	secure("c3", theirs.Leaf(t, "c3"))
	for id, cfg := range g.configs { // refused handshakes are logged, as they should
		cfg.Log = zerolog.Nop()
		g.configs[id] = cfg
	}
	g.startAll()
	g.propose(submit("checkout", "k1"))
	if n := len(g.running["c3"].State().Services); n != 0 {
		t.Errorf("a replica of another authority has %d services", n)
	}
	if leader, _ := g.running["c3"].Leader(); leader != "" {
		t.Errorf("a replica of another authority follows %s", leader)
	}
	// Of the right authority, but an agent's: valid for no member's host.
	g.crash("c3")
	secure("c3", ours.Leaf(t, "web-1", "web-1.example.com"))
	g.start("c3")
	g.propose(submit("search", "k2"))
	if n := len(g.running["c3"].State().Services); n != 0 {
		t.Errorf("a replica with an agent's certificate has %d services", n)
	}
	g.crash("c3")
	secure("c3", ours.Leaf(t, "c3"))
	g.start("c3")
	g.settled()
	if n := len(g.running["c3"].State().Services); n != 2 {
		t.Errorf("the replica has %d services, want 2", n)
	}
}

func TestConfigRefusals(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "c1")
	good := Config{ID: "c1", Listen: "127.0.0.1:0", Dir: dir, Peers: []Peer{{ID: "c1", Address: "127.0.0.1:1"}}, Log: zerolog.Nop()}
	for want, change := range map[string]func(*Config){
		"replica id is missing":      func(c *Config) { c.ID = "" },
		"directory is missing":       func(c *Config) { c.Dir = "" },
		"listen address is missing":  func(c *Config) { c.Listen = "" },
		"leave one of them out":      func(c *Config) { c.Join = true },
		"not among the peers":        func(c *Config) { c.ID = "c9" },
		"not host:port":              func(c *Config) { c.Peers = append(c.Peers, Peer{ID: "c2", Address: "nowhere"}) },
		"only once":                  func(c *Config) { c.Peers = append(c.Peers, Peer{ID: "c2", Address: "127.0.0.1:1"}) },
		"list the voters":            func(c *Config) { c.Peers = nil },
		"missing cert and key":       func(c *Config) { c.TLS.CA = "ca.pem" },
		"name the address that they": func(c *Config) { c.Peers, c.Join, c.Listen = nil, true, "0.0.0.0:0" },
		"three stores":               func(c *Config) { c.Logs = checkedLogs{} },
		"LeaderLeaseTimeout":         func(c *Config) { c.Lease = 2 * DefaultHeartbeat },
	} {
		cfg := good
		change(&cfg)
		r, err := Open(t.Context(), cfg)
		wantError(t, err, want)
		if err == nil {
			t.Error(r.end(t.Context()))
		}
	}
}
