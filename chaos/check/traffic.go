package check

import (
	"slices"
	"time"

	"github.com/serin-rollouts/serin/chaos/history"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// How soon a canary that was taken back has no traffic left, if the rollout's end does
// not say so before: on a host that nothing is wrong with; and on one that does not
// hear its leader at the latest when its lease has ended. Both are generous: what is
// looked for is a weight that stays or rises, not a slow machine.
const (
	promptly   = 8 * time.Second
	afterLease = 15 * time.Second
)

// Traffic is I5: once a rollout goes back, and until somebody asks for its version
// again, no HAProxy gives its canary a share, and no user is answered by it. The end
// of the rollout says that all hosts but those that it names have followed.
func Traffic(r *history.Record) []Violation {
	f := found{promise: I5}
	for _, b := range backs(r) {
		for _, host := range r.Hosts {
			due := b.due(r, host)
			f.shares(r, b, host, due)
			f.answers(r, b, host, due)
		}
	}
	return f.all
}

// Private

// back is a rollout that goes back.
type back struct {
	story   story
	version string
	at      time.Duration
	done    time.Duration // the rollout's end was seen; 0: it was not
	behind  []string      // hosts that had not followed by then, or went on without it
	held    []string      // hosts that may have its version as their stable one, since they were held back at it
	until   time.Duration // its version may be rolled out again
	next    time.Duration // anything of its service may be rolled out
}

func backs(r *history.Record) []back {
	var found []back
	all := stories(r)
	held := map[string]map[string][]string{} // hosts, by service and version
	for i, s := range all {
		keeps(r, held, s)
		e, ok := s.find(rollout.KindRollingBack)
		if !ok {
			continue
		}
		b := back{story: s, version: s.events[0].To, at: e.At, until: r.Took, next: r.Took}
		b.held = slices.Clone(held[s.service][b.version])
		b.ends()
		for _, later := range all[i+1:] {
			if later.service == s.service {
				b.before(later, later.asked(r))
			}
		}
		found = append(found, b)
	}
	return found
}

// keeps notes which hosts a rollout that is promoted leaves at the version before. They
// may keep it until another one that has all other hosts is promoted there.
func keeps(r *history.Record, held map[string]map[string][]string, s story) {
	promoting, ok := s.find(rollout.KindPromoting)
	if !ok {
		return
	}
	left := map[string]string{} // versions, by host
	for _, e := range s.events {
		if e.Kind == rollout.KindExcluded {
			left[e.Host] = e.From
		}
	}
	for version, hosts := range held[s.service] {
		held[s.service][version] = slices.DeleteFunc(hosts, func(host string) bool {
			_, again := left[host]
			return !again && promoting.Fleet+len(left) >= len(r.Hosts)
		})
	}
	if held[s.service] == nil {
		held[s.service] = map[string][]string{}
	}
	for host, version := range left {
		held[s.service][version] = append(held[s.service][version], host)
	}
}

// ends notes who followed by the rollout's end.
func (b *back) ends() {
	if last, ended := b.story.final(); ended {
		b.done, b.behind = last.At, slices.Clone(last.Lost)
	}
	for _, e := range b.story.events {
		if e.Kind == rollout.KindExcluded {
			b.behind = append(b.behind, e.Host)
		}
	}
}

// before notes a later rollout of the service, and when it was asked for.
func (b *back) before(later story, asked time.Duration) {
	b.next = min(b.next, asked)
	if first := b.story.events[0]; later.events[0].To == b.version || first.To == first.From {
		b.until = min(b.until, asked)
	}
}

// due is when a host's canary must have lost its traffic. Who does not hear the
// leader is bounded by the lease, however long that lasts; a host with a broken agent
// or HAProxy can do nothing before it is mended.
func (b back) due(r *history.Record, host string) time.Duration {
	due := b.at + promptly
	for _, f := range r.Faults {
		switch {
		case f.Began > due || over(f, r.Took) < b.at:
		case slices.Contains(f.Targets, host):
			due = worst(due, b.at+r.Lease+afterLease, over(f, r.Took)+promptly)
		case f.Began <= b.at+promptly && deafens(f):
			due = worst(due, b.at+r.Lease+afterLease)
		}
	}
	if b.done > 0 && !slices.Contains(b.behind, host) {
		return min(due, b.done)
	}
	return due
}

// deafens tells whether a fault may keep hosts from hearing what is decided: a
// replica is broken, which may lead or be whose NATS server they are connected to, or
// the one server of all is.
func deafens(f history.Fault) bool {
	return slices.ContainsFunc(f.Targets, func(target string) bool {
		return target == "bus" || target != "" && target[0] == 'c'
	})
}

// tells returns the share that a look shows the canary of b to have, and whether it
// shows that: a share may be that of a later rollout.
func (b back) tells(r *history.Record, w history.Weight) (share int, tells bool) {
	if w.Service != b.story.service || w.At >= b.until {
		return 0, false
	}
	version, known := r.Versions[w.Revision]
	if known && version != b.version {
		return 0, true
	}
	return w.Share, known || w.Share == 0 || w.At < b.next
}

func (f *found) shares(r *history.Record, b back, host string, due time.Duration) {
	for _, w := range r.Weights {
		if w.Host != host || w.Since() <= due {
			continue
		}
		if share, tells := b.tells(r, w); tells && share > 0 {
			f.add(w.At, "%s gives the canary of %s %d basis points; due to be 0 since %.2fs", host, b.story.rollout, share, due.Seconds())
			return
		}
	}
}

func (f *found) answers(r *history.Record, b back, host string, due time.Duration) {
	for _, q := range r.Requests {
		if b.mustNot(q, host, due) && q.Version == b.version {
			f.add(q.At, "%s is answered by %s on %s after %s went back; due to end at %.2fs", q.Service, q.Version, host, b.story.rollout, due.Seconds())
			return
		}
	}
}

// mustNot tells whether the canary must not answer that request. One that overlaps
// the beginning of another rollout of the same version may be that one's.
func (b back) mustNot(q history.Request, host string, due time.Duration) bool {
	first := b.story.events[0]
	return q.Host == host && q.Service == b.story.service && q.At > due && q.At+q.Took < b.until && first.To != first.From && !slices.Contains(b.held, host)
}
