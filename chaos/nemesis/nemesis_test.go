package nemesis

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/chaos/fleet"
)

// TestFind: kinds are found by name, and one that there is not is named.
func TestFind(t *testing.T) {
	var names []string
	for _, k := range Kinds() {
		if k.Name == "" || k.Says == "" || slices.Contains(names, k.Name) {
			t.Errorf("%q (%q) has no name of its own, or says nothing", k.Name, k.Says)
		}
		names = append(names, k.Name)
	}
	for text, want := range map[string]int{"agent-kill": 1, "agent-kill,agent-kill,leader-cut": 3, "nats-kill,nats-restart": 2} {
		if got, err := Find(text, false); err != nil || len(got) != want {
			t.Errorf("%s: %d kinds, %v; want %d", text, len(got), err, want)
		}
	}
	all, err := Find("mix", true)
	if err != nil || len(all) != len(names) {
		t.Errorf("mix has %d of %d kinds (%v)", len(all), len(names), err)
	}
	some, err := Find("mix", false)
	if err != nil || slices.ContainsFunc(some, func(k Kind) bool { return k.OwnBus }) {
		t.Errorf("without a NATS server of its own a fleet is broken by %d kinds (%v)", len(some), err)
	}
	var ofTheBus []string
	for _, k := range all {
		if k.OwnBus {
			ofTheBus = append(ofTheBus, k.Name)
		}
	}
	slices.Sort(ofTheBus)
	if got := strings.Join(ofTheBus, ","); got != "nats-kill,nats-restart,nats-stop" || len(some) != len(all)-len(ofTheBus) {
		t.Errorf("%d of %d kinds need no NATS server of the user's own; these do: %s", len(some), len(all), got)
	}
	if _, err := Find("agent-kill,typo", false); err == nil || !strings.Contains(err.Error(), `"typo"`) {
		t.Errorf("a typing error: %v", err)
	}
}

// TestSeed: the same seed chooses the same kinds, in another order each turn, and
// the same victims; all kinds have their turn.
func TestSeed(t *testing.T) {
	f := &fleet.Fleet{}
	for _, name := range []string{"h1", "h2", "h3"} {
		f.Hosts = append(f.Hosts, &fleet.Node{Name: name})
	}
	const turns = 5
	story := func(seed uint64) (all []string) {
		n := &Nemesis{Fleet: f, Chance: rand.New(rand.NewPCG(seed, 0))}
		n.Kinds, _ = Find("agent-kill,dockerd-stop,agent-cut,agent-disk-full", false)
		for i := range turns * len(n.Kinds) {
			act := n.prepare(n.next(i))
			all = append(all, act.kind.Name+" "+act.targets[0]+" "+act.hold.String())
		}
		return all
	}
	first := story(1)
	if !slices.Equal(first, story(1)) || slices.Equal(first, story(2)) {
		t.Error("a seed does not decide what is done")
	}
	for turn := range slices.Chunk(first, len(first)/turns) {
		var kinds []string
		for _, act := range turn {
			kind, _, _ := strings.Cut(act, " ")
			kinds = append(kinds, kind)
		}
		slices.Sort(kinds)
		if got := strings.Join(kinds, ","); got != "agent-cut,agent-disk-full,agent-kill,dockerd-stop" {
			t.Errorf("one turn has %s", got)
		}
	}
}

// TestLongEnough: every other time all replicas are away for so long that it shows
// what hosts do by themselves.
func TestLongEnough(t *testing.T) {
	n := &Nemesis{Fleet: &fleet.Fleet{Config: fleet.Config{Lease: 10 * time.Second}}, Chance: rand.New(rand.NewPCG(1, 0))}
	short := 0
	for i := range 20 {
		if hold := n.quorumKill().hold; hold < 12*time.Second {
			short++
			if i%2 == 0 {
				t.Errorf("all replicas are away for %s at the %d. time", hold, i+1)
			}
		}
	}
	if short == 0 {
		t.Error("all replicas are never away for a moment only")
	}
}
