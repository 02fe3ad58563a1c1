package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/serin-rollouts/serin/internal/rollout"
)

const replicaCount = 3

// cluster is the replicated log as its users see it: entries are committed one
// after the other, whoever proposes them, and each replica applies them all.
// How Raft comes to that is not simulated (internal/fleettest runs the real
// one); what it may do to a proposal is.
type cluster struct {
	w        *world
	chance   chance
	log      []rollout.Entry
	truth    *rollout.State // after the last entry
	replicas []*replica
	leader   *leader // who leads by the vote; nil: nobody
	// believers are all who believe to lead, the deposed ones, too.
	believers []*leader
	term      uint64
	voting    timer
}

// replica is one copy of the state. It applies what is committed with a lag.
type replica struct {
	c        *cluster
	name     string
	chance   chance
	state    *rollout.State
	snapshot []byte // of an earlier state; nil: none yet
	catching timer
}

func newCluster(w *world) *cluster {
	c := &cluster{w: w, chance: w.chance("cluster"), truth: rollout.NewState()}
	for i := range replicaCount {
		name := fmt.Sprintf("c%d", i+1)
		c.replicas = append(c.replicas, &replica{c: c, name: name, chance: w.chance(name), state: rollout.NewState()})
	}
	return c
}

// commit puts an entry into the log, which was decided on some time before. It
// returns what it came to.
func (c *cluster) commit(e rollout.Entry, decided time.Duration) rollout.Result {
	before := c.truth
	next := before.Clone()
	index := uint64(len(c.log) + 1)
	c.log = append(c.log, e)
	result := next.Apply(index, e)
	c.truth = next
	if c.w.telling {
		c.tellEntry(index, e, result)
	}
	c.w.record.decided = decided
	c.w.checkCommit(before, next, e, result)
	if to, ok := e.Command.(rollout.Advance); ok && result.Refused == nil {
		c.w.people[len(c.w.people)-1].startled(to.Service)
	}
	if l := c.leader; l != nil {
		c.w.set(&l.r.catching, l.r.chance.between(0, 3*time.Millisecond), nil, func() { l.r.catchUp(); l.changed() })
	}
	return result
}

// elect has some replica lead, with everything that was committed before.
func (c *cluster) elect() {
	r := c.replicas[c.chance.below(len(c.replicas))]
	for _, other := range c.replicas {
		if other.chance.strikes(ReplicaRestored) {
			other.restore()
		}
	}
	r.catchUp()
	c.compare(r)
	c.term++
	c.leader = newLeader(c, r, c.term)
	c.believers = append(c.believers, c.leader)
	c.w.tell("%s leads in term %d, from entry %d on", r.name, c.term, r.state.Index)
	c.leader.begin()
}

// topple ends the leader's term. Cut off, it does not know for a while.
func (c *cluster) topple(k Kind) {
	old := c.leader
	if old == nil {
		return
	}
	c.leader = nil
	vacancy := c.chance.between(300*time.Millisecond, 4*time.Second)
	switch k {
	case LeaderCutOff:
		c.w.after(c.chance.between(100*time.Millisecond, 20*time.Second), nil, old.end)
	case QuorumLost:
		vacancy = c.chance.between(10*time.Second, 5*time.Minute)
		old.end()
	default:
		old.end()
	}
	c.w.set(&c.voting, vacancy, nil, c.elect)
}

// drop ends whoever believes to lead.
func (c *cluster) drop(l *leader) {
	if l.leads() {
		c.topple(LeaderKilled)
	}
	l.end()
}

// catchUp applies what has been committed.
func (r *replica) catchUp() {
	for r.state.Index < uint64(len(r.c.log)) {
		index := r.state.Index + 1
		next := r.state.Clone()
		next.Apply(index, r.c.log[index-1])
		r.state = next
		if index%16 == 0 {
			r.snapshot, _ = json.Marshal(r.state) // a state is always encodable: restore would tell
		}
	}
}

// restore has the replica forget everything but its last snapshot.
func (r *replica) restore() {
	r.state = rollout.NewState()
	if r.snapshot == nil {
		return
	}
	if err := json.Unmarshal(r.snapshot, r.state); err != nil {
		r.c.w.violate("I9", "the snapshot of %s cannot be read: %v", r.name, err)
	}
	r.state.Reindex()
}

// Private

// compare holds a replica's state against the one that never restarted.
func (c *cluster) compare(r *replica) {
	mine, err1 := json.Marshal(r.state)
	all, err2 := json.Marshal(c.truth)
	if err1 != nil || err2 != nil || !bytes.Equal(mine, all) {
		c.w.violate("I9", "the state of %s at entry %d is not that of entry %d elsewhere", r.name, r.state.Index, c.truth.Index)
	}
}

func (c *cluster) tellEntry(index uint64, e rollout.Entry, result rollout.Result) {
	text := fmt.Sprintf("%T", e.Command)[len("rollout."):]
	if result.Refused != nil {
		text += ", refused: " + result.Refused.Error()
	}
	c.w.tell("entry %d by %s: %s", index, e.By, text)
	for _, event := range result.Events {
		c.w.tell("      event %d %s %s: %s", event.Seq, event.Kind, event.Rollout, event.Text)
	}
}

// repeatable tells whether a second copy of a command has to be harmless: what
// names an epoch or a key.
func repeatable(c rollout.Command) bool {
	_, release := c.(rollout.Release)
	return !release
}
