package coordinator

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/wire"
)

const (
	// behindMost is how far a host's mark may be behind the newest one until
	// nobody waits for it.
	behindMost = 3 * time.Second
	// aheadMost is how far a mark may be ahead of the replica's own time. One that
	// is further ahead is none.
	aheadMost = 3 * time.Second
	// setBack is how far a mark may be behind the same host's last one before it
	// means that leaders tell another time.
	setBack = time.Minute
	// stalled is how long reports of an epoch that is not known yet are kept.
	stalled = 10 * time.Second
	// lostMost is the inverse of the part of the reports that may get lost before
	// what a replica has heard is no longer what the others have.
	lostMost = 100
)

// merge puts the reports of a rollout's hosts into one order, which is the same
// on every replica that hears them, however they arrive: that of their marks. A
// report is handed on when each host that is heard of has said more, so that
// none comes before it. A host that is behindMost behind, or was, is not waited
// for: what comes too late is left out, and the next report of the host, whose
// counters are cumulative, holds it.
type merge struct {
	waiting []arrival
	last    map[string]time.Duration // newest mark of each host
	newest  time.Duration
	origin  time.Duration // the first mark
	done    arrival       // the last that was handed on

	heard, missed int64 // reports of these hosts
}

// arrival is one host's account of the service, and when the agent made it.
type arrival struct {
	mark     time.Duration // on the fleet's clock
	host     string
	sequence uint64
	health   wire.ServiceHealth
}

func newMerge() *merge { return &merge{last: map[string]time.Duration{}} }

// put takes in a report. It returns false if the leaders' time was set back:
// then what waited is forgotten, and the order begins anew.
func (m *merge) put(a arrival) bool {
	last, known := m.last[a.host]
	kept := true
	if known && a.mark < last-setBack {
		heard, missed := m.heard, m.missed
		*m = *newMerge()
		m.heard, m.missed = heard, missed
		known, kept = false, false
	}
	if len(m.last) == 0 {
		m.origin = a.mark
	}
	if known && a.mark <= last {
		return kept // the clock stands: time that does not count
	}
	m.last[a.host] = a.mark
	m.newest = max(m.newest, a.mark)
	if known && a.mark-last > behindMost || !known && a.mark-m.origin > behindMost {
		return kept // nobody has waited for it; from the next one on it counts
	}
	if a.before(m.done) {
		m.missed++
		return kept
	}
	m.waiting = append(m.waiting, a)
	return kept
}

// release hands on, in order, what nothing can come before any more, up to the
// first report of an epoch later than the given one: that is known here soon.
func (m *merge) release(hosts map[string]int, epoch uint64, hand func(arrival)) {
	if len(m.waiting) == 0 {
		return
	}
	until := m.until(hosts)
	slices.SortFunc(m.waiting, arrival.compare)
	n := 0
	for _, a := range m.waiting {
		late := m.newest-a.mark > stalled
		if a.mark >= until || a.health.Epoch > epoch && !late {
			break
		}
		n++
		if a.health.Epoch > epoch {
			m.missed++ // an epoch that nobody knows
			continue
		}
		m.done = a
		hand(a)
	}
	m.waiting = slices.Delete(m.waiting, 0, n)
}

// lose notes how many reports did not arrive before one that did.
func (m *merge) lose(n int64) { m.heard, m.missed = m.heard+1, m.missed+n }

// whole reports whether hardly any report was lost since forget.
func (m *merge) whole() bool { return m.missed*lostMost <= m.heard+m.missed }

// forget begins to count anew what is lost.
func (m *merge) forget() { m.heard, m.missed = 0, 0 }

// Private

// until is the mark before which all has been heard. A host that has not said
// anything yet is waited for, for a while.
func (m *merge) until(hosts map[string]int) time.Duration {
	until := m.newest
	for host := range hosts {
		last, known := m.last[host]
		if !known {
			last = m.origin
		}
		if m.newest-last < behindMost {
			until = min(until, last)
		}
	}
	return until
}

func (a arrival) before(b arrival) bool { return a.compare(b) < 0 }

func (a arrival) compare(b arrival) int {
	return cmp.Or(cmp.Compare(a.mark, b.mark), strings.Compare(a.host, b.host), cmp.Compare(a.sequence, b.sequence))
}
