package check

import (
	"cmp"
	"slices"
	"time"

	"github.com/serin-rollouts/serin/chaos/history"
)

const (
	// licence is how long after its question an answer lets a host raise.
	licence = 3 * time.Second
	// underWay is how long what was licensed may take to be done on a slow machine.
	underWay = 4 * time.Second
)

// Fence is I2: no agent goes back to an epoch before one that it has worked on, not
// by a restart either. Reports may overtake each other on their way; their order is
// that of their numbers, and runs of an agent follow each other.
func Fence(r *history.Record) []Violation {
	f := found{promise: I2}
	began := map[string]time.Duration{} // runs
	for _, x := range r.Reports {
		if at, ok := began[x.Run]; !ok || x.At < at {
			began[x.Run] = x.At
		}
	}
	type place struct{ host, service string }
	last := map[place]history.Report{}
	for _, x := range slices.SortedFunc(slices.Values(r.Reports), func(x, y history.Report) int {
		return cmp.Or(cmp.Compare(began[x.Run], began[y.Run]), cmp.Compare(x.Run, y.Run), cmp.Compare(x.Sequence, y.Sequence))
	}) {
		at := place{x.Host, x.Service}
		if before := last[at]; x.Epoch < before.Epoch {
			f.add(x.At, "%s works on epoch %d of %s after epoch %d", x.Host, x.Epoch, x.Service, before.Epoch)
		}
		last[at] = x
	}
	return f.all
}

// CutOff is I12: a leader that is cut off from the majority gives no licence, and
// once a rollout goes back no host raises its canary again, whoever it hears.
func CutOff(r *history.Record) []Violation {
	f := found{promise: I12}
	for _, fault := range r.Faults {
		if !made(fault, leaderCut) || len(r.Replicas) < 2 {
			continue
		}
		for _, x := range r.Licences {
			if slices.Contains(fault.Targets, x.Leader) && x.At > fault.Began+licence && x.At < lasts(fault, r.Took) {
				f.add(x.At, "%s licenses %s, and is cut off since %.2fs", x.Leader, x.Host, fault.Began.Seconds())
			}
		}
	}
	for _, b := range backs(r) {
		for _, host := range r.Hosts {
			f.raises(r, host, b.still(host), "after "+b.story.rollout+" went back", func(w history.Weight) (int, bool) { return b.tells(r, w) })
		}
	}
	return f.all
}

// Alone is I13: while no replica runs, no host raises a canary or ends a container.
func Alone(r *history.Record) []Violation {
	f := found{promise: I13}
	for _, fault := range r.Faults {
		if !made(fault, quorumKill) {
			continue
		}
		from, until := alone(r, fault)
		for _, host := range r.Hosts {
			f.raises(r, host, from, "though nobody leads", func(w history.Weight) (int, bool) { return w.Share, w.At < until })
		}
		for _, s := range r.Stops {
			if s.At > from && s.At < until && !frozen(r, s.Host, s.At) {
				f.add(s.At, "%s ends a container of %s by %s, though nobody leads since %.2fs", s.Host, s.Service, s.How, fault.Began.Seconds())
			}
		}
	}
	return f.all
}

// Private

// Faults by their kinds.
const (
	leaderCut  = "leader-cut"
	quorumKill = "quorum-kill"
)

// made tells whether a fault is one of that kind, and was made.
func made(f history.Fault, kind string) bool { return f.Kind == kind && !f.Missed }

// lasts is until when all of a fault's cause was there.
func lasts(f history.Fault, end time.Duration) time.Duration {
	if f.Mending > 0 {
		return f.Mending
	}
	return healed(f, end)
}

// healed is when the cause of a fault was taken away.
func healed(f history.Fault, end time.Duration) time.Duration {
	if f.Healed > 0 {
		return f.Healed
	}
	return end
}

// alone is the time of a quorum-kill in which hosts know that nobody leads.
func alone(r *history.Record, f history.Fault) (from, until time.Duration) {
	return f.Began + licence + underWay, lasts(f, r.Took)
}

// still is from when on a canary that went back must not be raised on a host: what
// was licensed before is done by then, or the rollout's end has said so.
func (b back) still(host string) time.Duration {
	from := b.at + licence + underWay
	if b.done > 0 && !slices.Contains(b.behind, host) {
		return min(from, b.done)
	}
	return from
}

// raises looks for shares that rise on a host from some time on, between looks that
// tell of them.
func (f *found) raises(r *history.Record, host string, from time.Duration, why string, tells func(history.Weight) (share int, tells bool)) {
	type look struct {
		share int
		since time.Duration
	}
	last := map[string]look{}
	for _, w := range r.Weights {
		if w.Host != host {
			continue
		}
		share, ok := tells(w)
		if !ok {
			continue
		}
		before, known := last[w.Service]
		last[w.Service] = look{share, w.Since()}
		if known && share > before.share && before.since > from && !frozen(r, host, w.At) {
			f.add(w.At, "%s raises the canary of %s from %d to %d basis points %s", host, w.Service, before.share, share, why)
		}
	}
}

// frozen tells whether programs of a host stood still until just before: what they
// were about to do when they were stopped they do when they go on.
func frozen(r *history.Record, host string, at time.Duration) bool {
	return slices.ContainsFunc(r.Faults, func(f history.Fault) bool {
		still := f.Kind == "agent-stop" || f.Kind == "haproxy-stop" || f.Kind == "dockerd-stop"
		return still && slices.Contains(f.Targets, host) && at >= f.Began && at <= healed(f, r.Took)+underWay
	})
}
