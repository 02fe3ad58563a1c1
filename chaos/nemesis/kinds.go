package nemesis

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/serin-rollouts/serin/chaos/cell"
	"github.com/serin-rollouts/serin/chaos/fleet"
	"github.com/serin-rollouts/serin/chaos/lan"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/localfleet"
)

// Kinds are all ways to break a fleet.
func Kinds() []Kind {
	const (
		brief  = 600 * time.Millisecond
		long   = 6 * time.Second
		longer = 20 * time.Second
	)
	host, replica, bus := (*Nemesis).host, (*Nemesis).replica, func(n *Nemesis) *fleet.Node { return n.Fleet.Bus }
	return []Kind{
		{Name: "agent-kill", Says: "kill -9 of an agent", draw: kill(host, fleet.Agent, brief)},
		{Name: "agent-stop", Says: "SIGSTOP of an agent", draw: freeze(host, fleet.Agent, long)},
		{Name: "agent-restart", Says: "an agent ends in order and comes back", draw: restart(host, fleet.Agent, brief)},
		{Name: "coordinator-kill", Says: "kill -9 of a replica", draw: kill(replica, fleet.Coordinator, long)},
		{Name: "coordinator-stop", Says: "SIGSTOP of a replica", draw: freeze(replica, fleet.Coordinator, long)},
		{Name: "coordinator-restart", Says: "a replica ends in order and comes back", draw: restart(replica, fleet.Coordinator, brief)},
		{Name: "leader-kill", Says: "kill -9 of the leader", draw: kill((*Nemesis).leader, fleet.Coordinator, long)},
		{Name: "quorum-kill", Says: "kill -9 of all replicas", draw: (*Nemesis).quorumKill},
		{Name: "haproxy-kill", Says: "kill -9 of a host's HAProxy", Users: true, draw: (*Nemesis).haproxyKill},
		{Name: "haproxy-stop", Says: "SIGSTOP of a host's HAProxy", Users: true, draw: (*Nemesis).haproxyStop},
		{Name: "haproxy-restart", Says: "SIGTERM of a host's HAProxy: it ends at once", Users: true, draw: (*Nemesis).haproxyRestart},
		{Name: "dockerd-kill", Says: "kill -9 of a dockerd, with live-restore", draw: kill(host, fleet.Dockerd, long)},
		{Name: "dockerd-stop", Says: "SIGSTOP of a dockerd", draw: freeze(host, fleet.Dockerd, long)},
		{Name: "dockerd-restart", Says: "a dockerd ends in order and comes back, with live-restore", draw: restart(host, fleet.Dockerd, brief)},
		{Name: "containerd-kill", Says: "kill -9 of a containerd", draw: kill(host, fleet.Containerd, long)},
		{Name: "host-kill", Says: "kill -9 of everything on a Docker host at once", Users: true, draw: (*Nemesis).hostKill},
		{Name: "leader-cut", Says: "the leader is cut off from the other replicas", draw: (*Nemesis).leaderCut},
		{Name: "agent-cut", Says: "a host is cut off from all replicas", draw: cut(true, true)},
		{Name: "agent-mute", Says: "an agent hears, but cannot speak", draw: cut(true, false)},
		{Name: "agent-deaf", Says: "an agent speaks, but cannot hear", draw: cut(false, true)},
		{Name: "network-slow", Says: "all links are late, and lose some frames", draw: (*Nemesis).networkSlow},
		{Name: "nats-kill", Says: "kill -9 of the NATS server, if that is not in the replicas", OwnBus: true, draw: kill(bus, fleet.NATS, long)},
		{Name: "nats-stop", Says: "SIGSTOP of the NATS server, likewise", OwnBus: true, draw: freeze(bus, fleet.NATS, longer)},
		{Name: "nats-restart", Says: "the NATS server ends in order and comes back, likewise", OwnBus: true, draw: restart(bus, fleet.NATS, long)},
		{Name: "registry-kill", Says: "kill -9 of the registry", draw: (*Nemesis).registryKill},
		{Name: "raft-disk-full", Says: "no room under a replica's store", draw: diskFull(replica)},
		{Name: "agent-disk-full", Says: "no room under an agent's state", draw: diskFull(host)},
		{Name: "raft-fsync-fails", Says: "every sync of a replica's fails", draw: badSync(replica, fleet.Coordinator, cell.Sync{Fails: true})},
		{Name: "raft-fsync-slow", Says: "every sync of a replica's is late", draw: badSync(replica, fleet.Coordinator, cell.Sync{Late: slowSync})},
		{Name: "agent-fsync-fails", Says: "every sync of an agent's fails", draw: badSync(host, fleet.Agent, cell.Sync{Fails: true})},
		{Name: "raft-clock", Says: "the wall clock of a replica jumps by up to a day", draw: skew(replica, fleet.Coordinator)},
		{Name: "agent-clock", Says: "the wall clock of an agent jumps by up to a day", draw: skew(host, fleet.Agent)},
		{Name: "registry-slow", Says: "the registry's network is slow", draw: (*Nemesis).registrySlow},
	}
}

// Private

// node chooses a victim.
type node func(*Nemesis) *fleet.Node

func (n *Nemesis) host() *fleet.Node { return n.Fleet.Hosts[n.Chance.IntN(len(n.Fleet.Hosts))] }

func (n *Nemesis) replica() *fleet.Node {
	return n.Fleet.Replicas[n.Chance.IntN(len(n.Fleet.Replicas))]
}

// leader asks who leads; if nobody says so it is any replica.
func (n *Nemesis) leader() *fleet.Node {
	someone := n.replica()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	conn, err := n.Fleet.Connect(ctx)
	if err != nil {
		return someone
	}
	defer func() { _ = conn.Close() }()
	status, err := localfleet.Ask[api.ClusterStatus](ctx, conn, api.GetCluster, "")
	if err != nil {
		return someone
	}
	for _, r := range n.Fleet.Replicas {
		if r.Name == status.Leader {
			return r
		}
	}
	return someone
}

// upTo draws how long a fault lasts: mostly short, seldom near the limit.
func (n *Nemesis) upTo(limit time.Duration) time.Duration {
	x := n.Chance.Float64()
	return time.Duration(x * x * float64(limit))
}

// kill ends a program at any instruction, and starts it again after a while.
func kill(choose node, program string, limit time.Duration) func(*Nemesis) fault {
	return func(n *Nemesis) fault {
		victim := choose(n)
		return fault{
			targets: []string{victim.Name}, hold: n.upTo(limit),
			begin: func(context.Context) error { return unlessEnded(victim.Kill(program)) },
			mend:  func(context.Context) error { return victim.Start(program) },
		}
	}
}

func restart(choose node, program string, limit time.Duration) func(*Nemesis) fault {
	return func(n *Nemesis) fault {
		victim := choose(n)
		return fault{
			targets: []string{victim.Name}, hold: n.upTo(limit),
			begin: func(context.Context) error { return unlessEnded(victim.Stop(program)) },
			mend:  func(context.Context) error { return victim.Start(program) },
		}
	}
}

func freeze(choose node, program string, limit time.Duration) func(*Nemesis) fault {
	return func(n *Nemesis) fault {
		victim := choose(n)
		return fault{
			targets: []string{victim.Name}, hold: n.upTo(limit),
			begin: func(context.Context) error { return unlessEnded(victim.Signal(program, syscall.SIGSTOP)) },
			mend:  func(context.Context) error { return unlessEnded(victim.Signal(program, syscall.SIGCONT)) },
		}
	}
}

// quorumKill ends all replicas: every other time for so long that hosts know that
// nobody leads, and have to do without (I13).
func (n *Nemesis) quorumKill() fault {
	const least = 12 * time.Second
	f := fault{hold: time.Second + n.upTo(2*n.Fleet.Lease)}
	if n.quorums%2 == 0 {
		f.hold = max(f.hold, least)
	}
	n.quorums++
	for _, r := range n.Fleet.Replicas {
		f.targets = append(f.targets, r.Name)
	}
	f.begin = func(context.Context) error {
		return each(n.Fleet.Replicas, func(r *fleet.Node) error { return unlessEnded(r.Kill(fleet.Coordinator)) })
	}
	f.mend = func(context.Context) error {
		return each(n.Fleet.Replicas, func(r *fleet.Node) error { return r.Start(fleet.Coordinator) })
	}
	return f
}

const haproxy = "haproxy"

func (n *Nemesis) haproxyKill() fault    { return n.haproxyEnds(syscall.SIGKILL) }
func (n *Nemesis) haproxyRestart() fault { return n.haproxyEnds(syscall.SIGTERM) }

func (n *Nemesis) haproxyEnds(s syscall.Signal) fault {
	victim := n.host()
	return fault{
		targets: []string{victim.Name},
		begin:   strikeAll(victim, haproxy, s),
		mend:    func(context.Context) error { return nil }, // the agent's to mend
	}
}

func (n *Nemesis) haproxyStop() fault {
	victim := n.host()
	const limit = 5 * time.Second
	return fault{
		targets: []string{victim.Name}, hold: n.upTo(limit),
		begin: strikeAll(victim, haproxy, syscall.SIGSTOP),
		mend:  signalAll(victim, haproxy, syscall.SIGCONT),
	}
}

// strikeAll is signalAll to a program that has to be there: else nothing is broken.
func strikeAll(victim *fleet.Node, program string, s syscall.Signal) func(context.Context) error {
	return func(context.Context) error {
		sent, err := victim.SignalAll(program, s)
		if err == nil && sent == 0 {
			return fmt.Errorf("%s has no %s", victim.Name, program)
		}
		return err
	}
}

func signalAll(victim *fleet.Node, program string, s syscall.Signal) func(context.Context) error {
	return func(context.Context) error {
		_, err := victim.SignalAll(program, s)
		return err
	}
}

func (n *Nemesis) hostKill() fault {
	victim := n.host()
	const limit = 5 * time.Second
	return fault{
		targets: []string{victim.Name}, hold: n.upTo(limit),
		begin: func(context.Context) error { victim.PowerOff(); return nil },
		mend:  victim.PowerOn,
	}
}

// leaderCut leaves the leader with its users and its hosts, but without a
// majority, for longer than what it licensed before lasts.
func (n *Nemesis) leaderCut() fault {
	leader := n.leader()
	set := func(l lan.Link) func(context.Context) error {
		return func(context.Context) error {
			return each(n.Fleet.Replicas, func(r *fleet.Node) error {
				if r != leader {
					n.Fleet.LAN.SetBoth(r.Name, leader.Name, l)
				}
				return nil
			})
		}
	}
	const least, limit = 5 * time.Second, 12 * time.Second
	return fault{targets: []string{leader.Name}, hold: least + n.upTo(limit), begin: set(lan.Link{Cut: true}), mend: set(lan.Link{})}
}

// cut separates a host from all replicas: what it says, what it would hear, or
// both. Its users reach it.
func cut(says, hears bool) func(*Nemesis) fault {
	return func(n *Nemesis) fault {
		victim := n.host()
		set := func(l lan.Link) func(context.Context) error {
			return func(context.Context) error {
				return each(n.Fleet.Replicas, func(r *fleet.Node) error {
					if says {
						n.Fleet.LAN.Set(victim.Name, r.Name, l)
					}
					if hears {
						n.Fleet.LAN.Set(r.Name, victim.Name, l)
					}
					return nil
				})
			}
		}
		return fault{
			targets: []string{victim.Name}, hold: time.Second + n.upTo(2*n.Fleet.Lease),
			begin: set(lan.Link{Cut: true}), mend: set(lan.Link{}),
		}
	}
}

// networkSlow is bad weather for everybody but users: their patience is no
// promise of serin's.
func (n *Nemesis) networkSlow() fault {
	const (
		least = 5 * time.Millisecond
		most  = 80 * time.Millisecond
		limit = 15 * time.Second
		loss  = 0.02
	)
	late := least + n.upTo(most)
	link := lan.Link{Delay: late, Jitter: late / 2, Loss: loss * n.Chance.Float64(), Double: loss * n.Chance.Float64()}
	return n.weather(n.Fleet.Nodes(), link, time.Second+n.upTo(limit))
}

func (n *Nemesis) registryKill() fault {
	const limit = 10 * time.Second
	f := kill(func(n *Nemesis) *fleet.Node { return n.Fleet.Store }, fleet.Registry, limit)(n)
	start := f.mend
	f.mend = func(ctx context.Context) error { return errors.Join(start(ctx), n.Fleet.Push(ctx)) }
	return f
}

func (n *Nemesis) registrySlow() fault {
	const (
		late  = 400 * time.Millisecond
		limit = 20 * time.Second
	)
	return n.weather([]*fleet.Node{n.Fleet.Store}, lan.Link{Delay: late}, time.Second+n.upTo(limit))
}

// weather makes all links from and to some nodes bad.
func (n *Nemesis) weather(some []*fleet.Node, bad lan.Link, hold time.Duration) fault {
	set := func(l lan.Link) func(context.Context) error {
		return func(context.Context) error {
			return each(some, func(one *fleet.Node) error {
				for _, other := range n.Fleet.Nodes() {
					if other != one {
						n.Fleet.LAN.SetBoth(one.Name, other.Name, l)
					}
				}
				return nil
			})
		}
	}
	f := fault{hold: hold, begin: set(bad), mend: set(lan.Link{})}
	for _, one := range some {
		f.targets = append(f.targets, one.Name)
	}
	return f
}

func each(nodes []*fleet.Node, do func(*fleet.Node) error) error {
	var errs []error
	for _, n := range nodes {
		errs = append(errs, do(n))
	}
	return errors.Join(errs...)
}

// unlessEnded forgives that there is nothing left to end.
func unlessEnded(err error) error {
	if errors.Is(err, cell.ErrEnded) {
		return nil
	}
	return err
}
