package plan_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// world is a small model of one host: a Docker that gives freed addresses to
// the next container at once, and an HAProxy with sixteen slots. It does one
// operation at a time, whole or in part.
type world struct {
	now        time.Duration
	mayRaise   bool
	ceiling    int
	frontend   bool
	oldWorkers bool
	images     map[string]bool
	containers map[string]*plan.Container
	slots      map[string]*plan.Slot
	split      plan.Split
	sticky     map[string]bool // slots with a request that does not end
	unready    map[string]bool // revisions that never get ready
	downSlots  map[string]bool // slots that HAProxy's checks find down
	made       int
}

func newWorld() *world {
	w := &world{
		now: time.Minute, ceiling: rollout.Full,
		images: map[string]bool{}, containers: map[string]*plan.Container{}, slots: map[string]*plan.Slot{},
		sticky: map[string]bool{}, unready: map[string]bool{}, downSlots: map[string]bool{},
	}
	for _, b := range []plan.Bank{plan.BankA, plan.BankB} {
		for k := range 8 {
			name := plan.SlotName(b, k+1)
			w.slots[name] = &plan.Slot{Name: name}
		}
	}
	return w
}

func revision(id string, replicas int) *rollout.Revision {
	return &rollout.Revision{
		ID: id, Name: "shop:" + id, Image: "img-" + id, Replicas: replicas,
		Container: rollout.Container{Port: 80, StopGrace: time.Second, DrainLimit: 10 * time.Second},
	}
}

func (w *world) host() plan.Host {
	h := plan.Host{
		Now: w.now, MayRaise: w.mayRaise, Ceiling: w.ceiling, Frontend: w.frontend,
		Images: slices.Sorted(maps.Keys(w.images)), Split: w.split, MinStep: 1, OldWorkers: w.oldWorkers,
	}
	for _, id := range slices.Sorted(maps.Keys(w.containers)) {
		h.Containers = append(h.Containers, *w.containers[id])
	}
	for _, name := range slices.Sorted(maps.Keys(w.slots)) {
		s := *w.slots[name]
		s.Up = s.Open && !w.downSlots[name]
		s.Idle = !w.sticky[name]
		h.Slots = append(h.Slots, s)
	}
	return h
}

// freeAddr is the lowest address that no running container has.
func (w *world) freeAddr() string {
	for k := 2; ; k++ {
		addr := fmt.Sprintf("10.0.0.%d:80", k)
		used := false
		for _, c := range w.containers {
			used = used || c.Addr == addr
		}
		if !used {
			return addr
		}
	}
}

// live returns the running container behind a slot.
func (w *world) live(slot *plan.Slot) *plan.Container {
	for _, c := range w.containers {
		if c.State == plan.Running && slot.Addr == c.Addr && c.Slot == slot.Name {
			return c
		}
	}
	return nil
}

// capacity counts live slots that take what the split does not.
func (w *world) capacity() int {
	n := 0
	for _, s := range w.slots {
		if s.Open && s.Weight > 0 && w.live(s) != nil {
			n++
		}
	}
	return n
}

// weights is the sum of what the live containers behind open slots weigh.
func (w *world) weights() int {
	sum := 0
	for _, s := range w.slots {
		if s.Open && w.live(s) != nil {
			sum += s.Weight
		}
	}
	return sum
}

// splitLives says that a container takes what the split gives.
func (w *world) splitLives() bool {
	for name, s := range w.slots {
		if plan.BankOf(name) == w.split.Bank && s.Open && w.live(s) != nil {
			return true
		}
	}
	return false
}

func (w *world) die(id string) {
	c := w.containers[id]
	c.State, c.Addr, c.Ready = plan.Stopped, "", false
	c.RetryAt = w.now + 2*time.Second
}

// do carries out the first parts of an operation.
func (w *world) do(op plan.Op, parts int) {
	for i, step := range w.steps(op) {
		if i == parts {
			return
		}
		step()
	}
	w.now += 10 * time.Millisecond
}

func (w *world) steps(op plan.Op) []func() {
	switch op := op.(type) {
	case plan.Pull:
		return []func(){func() { w.images[op.Image] = true }}
	case plan.Create:
		return []func(){func() { w.create(op) }}
	case plan.Start:
		return []func(){func() { w.start(op.ID) }}
	case plan.Prove:
		return []func(){func() { w.prove(op) }}
	case plan.Attach:
		s := w.slots[op.Slot]
		if s.Open && s.Addr != op.Addr {
			panic("slot " + op.Slot + " serves another address")
		}
		return []func(){
			func() { s.Open, s.Addr, s.AttachedAt = false, op.Addr, w.now },
			func() { s.Weight = 0 },
			func() { s.Open = true },
		}
	case plan.Weights:
		var steps []func()
		for _, set := range op.Set {
			steps = append(steps, func() { w.slots[set.Slot].Weight = set.Weight })
		}
		return steps
	case plan.Share:
		return []func(){func() { w.split = op.Split }}
	case plan.Promote:
		return w.promote(op.Bank)
	case plan.Drain:
		return []func(){func() { w.now = max(w.now, min(op.Until, w.now+time.Second)) }}
	case plan.Detach:
		s := w.slots[op.Slot]
		return []func(){func() { s.Open, s.Weight = false, 0; delete(w.sticky, op.Slot) }}
	case plan.Stop:
		return []func(){func() { w.containers[op.ID].State, w.containers[op.ID].Addr = plan.Stopped, "" }}
	case plan.Remove:
		return []func(){func() { delete(w.containers, op.ID) }}
	case plan.EnsureFrontend:
		return []func(){func() { w.frontend = true }}
	case plan.RemoveFrontend:
		return []func(){func() { w.frontend = false }}
	case plan.Wait:
		return []func(){func() { w.now = max(w.now, op.Until) }}
	case plan.Ask, plan.Settled:
	}
	return nil
}

func (w *world) create(op plan.Create) {
	w.made++
	id := fmt.Sprintf("%s-%s-%d", op.Slot, op.Revision.ID, w.made)
	w.containers[id] = &plan.Container{
		ID: id, Revision: op.Revision.ID, Slot: op.Slot, State: plan.Created,
		StopGrace: time.Second, DrainLimit: 10 * time.Second,
	}
}

func (w *world) start(id string) {
	c := w.containers[id]
	c.Restarted = c.State == plan.Stopped
	c.State, c.Addr = plan.Running, w.freeAddr()
}

func (w *world) prove(op plan.Prove) {
	for _, seen := range op.Containers {
		if c := w.containers[seen.ID]; c != nil && c.State == plan.Running && !w.unready[c.Revision] {
			c.Ready = true
			return
		}
	}
	w.now += time.Second
}

func (w *world) promote(bank plan.Bank) []func() {
	var up, down []func()
	for _, name := range slices.Sorted(maps.Keys(w.slots)) {
		s := w.slots[name]
		if plan.BankOf(name) == bank && s.Open {
			up = append(up, func() { s.Weight = plan.FullWeight })
		}
		if plan.BankOf(name) != bank {
			down = append(down, func() { s.Weight, s.QuietSince = 0, w.now })
		}
	}
	return append(append(up, down...), func() { w.split.Share = 0 })
}

// String draws the host for transcripts.
func (w *world) String() string {
	var b strings.Builder
	byName := func(x, y *plan.Container) int { return cmp.Compare(x.ID, y.ID) }
	for _, c := range slices.SortedFunc(maps.Values(w.containers), byName) {
		fmt.Fprintf(&b, "container %s %s", c.ID, c.State)
		if c.Addr != "" {
			fmt.Fprintf(&b, " %s", c.Addr)
		}
		if c.Ready {
			b.WriteString(" ready")
		}
		b.WriteByte('\n')
	}
	for _, name := range slices.Sorted(maps.Keys(w.slots)) {
		if s := w.slots[name]; s.Open {
			fmt.Fprintf(&b, "slot %s -> %s weight %d\n", s.Name, s.Addr, s.Weight)
		}
	}
	if w.split.Share > 0 {
		fmt.Fprintf(&b, "split %s to bank %s\n", rollout.Percent(w.split.Share), w.split.Bank)
	}
	if b.Len() == 0 {
		return "nothing\n"
	}
	return b.String()
}
