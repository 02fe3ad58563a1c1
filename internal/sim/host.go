package sim

import (
	"fmt"
	"time"

	"github.com/serin-rollouts/serin/agent/fence"
)

// host is one machine: its Docker, its HAProxy, its disk, its agent and the
// users who send it requests.
type host struct {
	w        *world
	name     string
	chance   chance
	link     *link
	docker   *docker
	balancer *balancer
	disk     map[string]fence.Page // what the agent has written through
	agent    *agent                // nil while none runs
	runs     int                   // of the agent
	gone     bool                  // for good
	pace     float64               // of its monotonic clock
	// quietFrom is since when nothing has gone wrong here: no message late, no
	// operation failed, no agent dead.
	quietFrom time.Duration
	soundFrom time.Duration            // the same, but for messages
	heardOf   time.Duration            // when a report last reached a leader
	hears     time.Duration            // when a leader's message last reached the agent
	zeroed    map[string]time.Duration // when the canary's share last became 0, by service
	served    map[string]*tracks       // what users got, by service
	performed map[string]uint64        // highest epoch of an operation, by service
}

const (
	agentReturns = 20 * time.Second // at most, after its death
	longAway     = 3 * time.Hour
)

func hostName(i int) string { return fmt.Sprintf("h%d", i+1) }

// addHost brings a new host into the fleet: with nothing on it.
func (w *world) addHost() {
	name := hostName(len(w.hosts))
	h := &host{
		w: w, name: name, chance: w.chance(name), disk: map[string]fence.Page{},
		served: map[string]*tracks{}, performed: map[string]uint64{}, zeroed: map[string]time.Duration{},
	}
	h.link = &link{host: h, chance: w.chance(name + "/link"), stallChance: w.chance(name + "/stall")}
	h.docker = newDocker(h)
	h.balancer = newBalancer(h)
	h.pace = 0.99 + 0.02*h.chance.float()
	w.hosts = append(w.hosts, h)
	w.after(h.chance.between(0, 2*time.Second), nil, h.startAgent)
	w.after(h.chance.between(5*time.Second, 10*time.Second), nil, h.weather)
}

func (w *world) host(name string) *host {
	for _, h := range w.hosts {
		if h.name == name {
			return h
		}
	}
	panic("no host " + name)
}

// wall is a wall clock: each machine's own, and off by up to a day.
func (w *world) wall(who string) int64 {
	c := w.chance("wall/" + who)
	return w.now.Milliseconds() + int64(c.between(-24*time.Hour, 24*time.Hour)/time.Millisecond) + w.walls
}

// troubled notes that something goes wrong with its messages, for so long.
func (h *host) troubled(d time.Duration) { h.quietFrom = max(h.quietFrom, h.w.now+d) }

// hurt notes that something goes wrong on the host itself, for so long.
func (h *host) hurt(d time.Duration) {
	h.troubled(d)
	h.soundFrom = max(h.soundFrom, h.w.now+d)
}

// startAgent starts the agent, which finds its disk, Docker and HAProxy.
func (h *host) startAgent() {
	if h.agent != nil || h.gone {
		return
	}
	h.runs++
	h.w.tell("%s: the agent starts", h.name)
	h.hurt(0)
	h.agent = newAgent(h)
	h.agent.begin()
}

// killAgent is kill -9; somebody starts it again.
func (h *host) killAgent() {
	if h.agent == nil {
		return
	}
	h.agent.alive = false
	h.agent = nil
	h.hurt(0)
	h.w.after(h.chance.between(100*time.Millisecond, agentReturns), nil, h.startAgent)
}

// weather is what may happen to a host at any time.
func (h *host) weather() {
	w := h.w
	if w.healed || h.gone {
		return
	}
	w.after(h.chance.between(5*time.Second, 10*time.Second), nil, h.weather)
	if h.chance.strikes(HostLeaves) {
		h.link.cut = w.now + h.chance.between(time.Second, pick(&h.chance, 10*time.Second, 2*time.Minute, longAway))
		h.troubled(h.link.cut - w.now)
	}
	if h.link.stallChance.strikes(LinkStalls) {
		h.link.stall(h.link.stallChance.between(time.Second, pick(&h.link.stallChance, 10*time.Second, time.Minute)))
	}
	if h.chance.strikes(ContainerDies) {
		h.docker.killOne()
	}
	if h.chance.strikes(DockerAway) {
		h.docker.away = w.now + h.chance.between(time.Second, time.Minute)
		h.hurt(h.docker.away - w.now)
	}
	if h.chance.strikes(BalancerDies) {
		h.balancer.die()
	}
	if h.chance.strikes(HostReboots) {
		h.reboot()
	}
	if h != w.hosts[0] && h.chance.strikes(HostGone) {
		h.gone = true
		h.reboot()
	}
}

// reboot ends everything that runs here.
func (h *host) reboot() {
	h.killAgent()
	h.balancer.die()
	for _, c := range h.docker.containers {
		h.docker.die(c, false)
	}
}

// heal ends what is wrong here.
func (h *host) heal() {
	h.link.cut, h.docker.away = 0, 0
	for _, c := range h.docker.containers {
		c.readyAt = min(c.readyAt, h.w.now+time.Second)
	}
	h.startAgent()
}

// nemesis is what may happen to the fleet as a whole.
func (w *world) nemesis() {
	if w.healed {
		return
	}
	c := &w.cluster.chance
	w.after(c.between(3*time.Second, 8*time.Second), nil, w.nemesis)
	for _, k := range []Kind{LeaderKilled, LeaderCutOff, QuorumLost} {
		if w.cluster.leader != nil && c.strikes(k) {
			w.cluster.topple(k)
		}
	}
	if c.strikes(BusAway) {
		w.busAway = w.now + c.between(time.Second, pick(c, 10*time.Second, 2*time.Minute, 30*time.Minute))
		for _, h := range w.hosts {
			h.troubled(w.busAway - w.now)
		}
	}
	if len(w.hosts) < 2*w.mix.hosts && c.strikes(HostJoins) {
		w.addHost()
	}
}

// heal ends all faults; from now on the fleet has to come to rest.
func (w *world) heal() {
	w.healed = true
	w.tell("--- all faults end ---")
	w.versions.heal()
	w.busAway = 0
	for _, h := range w.hosts {
		h.heal()
	}
	if w.cluster.leader == nil {
		w.set(&w.cluster.voting, time.Second, nil, w.cluster.elect)
	}
	w.after(quietEvery, nil, w.seekRest)
}
