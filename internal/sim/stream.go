package sim

import (
	"time"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// stream is the event stream: it takes an event only after the one that its
// publisher names, as the real one does.
type stream struct {
	w      *world
	chance chance
	events []rollout.Event
}

func newStream(w *world) *stream { return &stream{w: w, chance: w.chance("stream")} }

func (s *stream) last() uint64 {
	if len(s.events) == 0 {
		return 0
	}
	return s.events[len(s.events)-1].Seq
}

// take appends an event behind the one numbered after, or refuses.
func (s *stream) take(e rollout.Event, after uint64) bool {
	if s.last() != after {
		return false
	}
	s.events = append(s.events, e)
	s.w.checkEvent(e)
	return true
}

// journal publishes the outbox of a leader's state, one event after the other,
// as coordinator/journal.go does.
type journal struct {
	l     *leader
	last  uint64
	known bool
	busy  bool
}

const (
	journalPause = 500 * time.Millisecond
	journalTakes = 5 * time.Millisecond
)

// kick has the journal go on, if it does not already.
func (j *journal) kick() {
	if j.busy {
		return
	}
	j.busy = true
	j.l.after(journalTakes, j.next)
}

// Private

func (j *journal) next() {
	w := j.l.w
	s := j.l.r.state
	failed := s.Outbox != nil && w.stream.chance.strikes(StreamFails)
	switch {
	case failed && w.stream.chance.below(2) == 0:
		j.known = false
		j.l.after(journalPause, j.next)
		return
	case !j.known:
		j.set(w.stream.last())
		j.known = true
	}
	for _, e := range s.Outbox {
		if e.Seq <= j.last {
			continue
		}
		ok := w.stream.take(e, j.last)
		if ok && !failed {
			j.set(e.Seq)
			j.l.after(journalTakes, j.next)
			return
		}
		j.known = false // refused, or taken and the answer lost: look where the stream ends
		j.l.after(journalPause, j.next)
		return
	}
	j.busy = false
}

func (j *journal) set(seq uint64) { j.last, j.l.confirmed = seq, seq }
