package sim

import "time"

// event is something that happens at a moment of simulated time.
type event struct {
	at   time.Duration
	seq  uint64 // breaks ties: first come, first served
	life *bool  // it happens only while this is true; nil: in any case
	t    *timer // it happens only if the timer was not set anew; nil: in any case
	gen  uint64
	do   func()
}

// timer is an appointment of which only the last one counts.
type timer struct{ gen uint64 }

// queue is a heap of events, the next one first.
type queue struct {
	heap []event
	seq  uint64
}

func (q *queue) push(e event) {
	q.seq++
	e.seq = q.seq
	q.heap = append(q.heap, e)
	for i := len(q.heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if !q.before(i, parent) {
			return
		}
		q.heap[i], q.heap[parent] = q.heap[parent], q.heap[i]
		i = parent
	}
}

// pop takes the next event that is to happen; it reports false if none is.
func (q *queue) pop() (event, bool) {
	for len(q.heap) > 0 {
		e := q.heap[0]
		last := len(q.heap) - 1
		q.heap[0] = q.heap[last]
		q.heap[last] = event{}
		q.heap = q.heap[:last]
		q.sink()
		if (e.life == nil || *e.life) && (e.t == nil || e.t.gen == e.gen) {
			return e, true
		}
	}
	return event{}, false
}

// Private

func (q *queue) before(i, j int) bool {
	a, b := &q.heap[i], &q.heap[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

func (q *queue) sink() {
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(q.heap) {
			return
		}
		if child+1 < len(q.heap) && q.before(child+1, child) {
			child++
		}
		if !q.before(child, i) {
			return
		}
		q.heap[i], q.heap[child] = q.heap[child], q.heap[i]
		i = child
	}
}
