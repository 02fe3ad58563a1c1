package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// docker is a Docker Engine as far as the agent uses it. The address of a
// container that ends goes to the next one that starts, as on the real bridge.
type docker struct {
	h          *host
	chance     chance
	containers []*container
	images     map[string]bool
	away       time.Duration // until when it does not answer
	made       int
	ends       map[edition]int // of containers
}

// edition is a revision of a service.
type edition struct{ service, revision string }

// container is one container, ours or somebody else's (service "").
type container struct {
	id, service, slot string
	revision          rollout.Revision
	state             plan.State
	addr              string
	started           time.Duration // its last start
	readyAt           time.Duration // when its program answers, after that start
	ended             time.Duration // its last end; 0: it never ended
	life              timer
	surprise          bool // it was started by a call that had been given up
}

const foreign = "somebody-else"

func newDocker(h *host) *docker {
	d := &docker{h: h, chance: h.w.chance(h.name + "/docker"), images: map[string]bool{}, ends: map[edition]int{}}
	d.containers = []*container{{id: foreign, state: plan.Running, addr: "10.0.0.2:8080"}}
	return d
}

func (d *docker) find(id string) *container {
	for _, c := range d.containers {
		if c.id == id {
			return c
		}
	}
	return nil
}

// create makes a container, or finds the one that was made by a call whose
// answer was lost.
func (d *docker) create(service string, op plan.Create) {
	for _, c := range d.containers {
		if c.service == service && c.slot == op.Slot && c.revision.ID == op.Revision.ID {
			return
		}
	}
	d.made++
	id := fmt.Sprintf("%s-%s-%s-%d", service, op.Slot, op.Revision.ID, d.made)
	d.containers = append(d.containers, &container{id: id, service: service, slot: op.Slot, revision: op.Revision, state: plan.Created})
}

// start starts a container; late says that nobody waits for it any more.
func (d *docker) start(id string, late bool) {
	c := d.find(id)
	if c == nil || c.state == plan.Running {
		return
	}
	w := d.h.w
	v := w.versions.all[c.revision.Image]
	c.addr = d.freeAddr()
	c.state, c.started, c.readyAt, c.surprise = plan.Running, w.now, w.now+v.boot, late
	c.life.gen++
	if late {
		d.h.hurt(0)
	}
	if v.never {
		c.readyAt = rollout.Never
	}
	if after := v.diesOn(d.h.name); after > 0 {
		w.set(&c.life, after, nil, func() {
			if v.dies > 0 { // it may have been healed
				d.die(c, true)
			}
		})
	}
}

// stop ends a container on somebody's behalf.
func (d *docker) stop(id string) {
	if c := d.find(id); c != nil && c.state == plan.Running {
		d.end(c)
	}
}

func (d *docker) remove(id string) {
	d.containers = slices.DeleteFunc(d.containers, func(c *container) bool { return c.id == id && c.state != plan.Running })
}

// die is the end of a program by itself; it may be told of.
func (d *docker) die(c *container, tell bool) {
	if c.state != plan.Running || c.service == "" {
		return
	}
	w := d.h.w
	w.tally.Deaths++
	w.tell("%s: %s dies", d.h.name, c.id)
	d.end(c)
	if !tell || d.chance.strikes(DockerForgets) {
		d.h.hurt(0)
		return
	}
	if a := d.h.agent; a != nil {
		a.after(d.chance.between(time.Millisecond, 20*time.Millisecond), func() { a.onDeath(c) })
	}
	w.noteDeath(d.h, c)
	w.noteCounted(d.h, c)
}

// killOne has some container of ours die.
func (d *docker) killOne() {
	var running []*container
	for _, c := range d.containers {
		if c.service != "" && c.state == plan.Running {
			running = append(running, c)
		}
	}
	if len(running) > 0 {
		d.die(running[d.chance.below(len(running))], true)
	}
}

// ready tells whether a container's program answers.
func (c *container) ready(now time.Duration) bool { return c.state == plan.Running && now >= c.readyAt }

// Private

func (d *docker) end(c *container) {
	d.h.balancer.flow()
	c.state, c.addr, c.ended = plan.Stopped, "", d.h.w.now
	d.ends[edition{c.service, c.revision.ID}]++
	c.life.gen++
}

func (d *docker) freeAddr() string {
	for k := 2; ; k++ {
		addr := fmt.Sprintf("10.0.0.%d:8080", k)
		if !slices.ContainsFunc(d.containers, func(c *container) bool { return c.addr == addr }) {
			return addr
		}
	}
}
