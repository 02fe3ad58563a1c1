package check

import (
	"slices"
	"time"

	"github.com/serin-rollouts/serin/chaos/history"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Owners is that users are answered by containers of the service that they ask, and
// of a version that it may have: its stable one, or one that is rolled out in it.
func Owners(r *history.Record) []Violation {
	f, may := found{promise: Own}, mayAnswer(r)
	for _, q := range r.Requests {
		switch {
		case q.Owner != "" && q.Owner != q.Service:
			f.add(q.At, "%s on %s is answered by a container of %s, after %s", q.Service, q.Host, q.Owner, q.Took.Round(time.Millisecond))
		case q.Version != "" && !may(q):
			f.add(q.At, "%s on %s is answered by %s, which is neither its stable version nor rolled out in it", q.Service, q.Host, q.Version)
		}
	}
	return f.all
}

// Private

// mayAnswer tells whether the version that answered a request is one that its service
// may have: what became stable last, by an end that says that the host has followed,
// or what somebody has asked for since, however that went; Traffic judges the rest.
func mayAnswer(r *history.Record) func(history.Request) bool {
	turns := map[string][]turn{}
	for _, s := range stories(r) {
		turns[s.service] = append(turns[s.service], turnOf(r, s))
	}
	return func(q history.Request) bool {
		for _, t := range slices.Backward(turns[q.Service]) {
			if t.asked <= q.At+q.Took && t.version == q.Version {
				return true
			}
			if t.rules(r, q) {
				return false
			}
		}
		return false
	}
}

// turn is a rollout as what may answer users.
type turn struct {
	version string
	asked   time.Duration
	settled time.Duration // the end was seen; 0: it is not stable
	behind  []string      // hosts that the end does not speak of
	follows *back         // how a host that came too late for it follows, after its end; nil: all were part of it
}

func turnOf(r *history.Record, s story) turn {
	t := turn{version: s.events[0].To, asked: s.asked(r)}
	if last, ended := s.final(); ended && last.Phase == rollout.Succeeded {
		b := back{story: s}
		b.ends()
		t.settled, t.behind = b.done, b.behind
		if last.Fleet < len(r.Hosts) {
			t.follows = &back{at: b.done}
		}
	}
	return t
}

// rules tells whether nothing of before may have answered the request.
func (t turn) rules(r *history.Record, q history.Request) bool {
	if t.settled == 0 || t.settled >= q.At || slices.Contains(t.behind, q.Host) {
		return false
	}
	return t.follows == nil || t.follows.due(r, q.Host) < q.At
}

// owned counts the answers that say whose container gave them.
func owned(r *history.Record) int {
	n := 0
	for _, q := range r.Requests {
		n += btoi(q.Owner != "")
	}
	return n
}
