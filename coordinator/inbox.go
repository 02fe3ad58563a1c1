package coordinator

import (
	"sync"
	"sync/atomic"

	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/wire"
)

// maxHosts bounds what a flood of invented hosts can take of the leader.
const maxHosts = 50_000

// mostUnread bounds the reports of one host that wait for the loop.
const mostUnread = 8

// inbox holds the reports of each host until the loop takes them, the oldest
// first. Counters are cumulative, so what is overwritten when there are too many
// costs freshness only.
type inbox struct {
	ready   chan struct{} // holds one token while there is something to take
	dropped atomic.Int64  // reports that could not be read or kept

	mu     sync.Mutex
	unread map[string][]wire.Health
}

func newInbox() *inbox {
	return &inbox{ready: make(chan struct{}, 1), unread: map[string][]wire.Health{}}
}

// receive is the bus's callback: it decodes, and never blocks.
func (b *inbox) receive(m bus.Msg) {
	h, err := wire.DecodeHealth(m.Data)
	if err != nil || !sameHost(m.Subject, h.Host) || !b.put(h) {
		b.dropped.Add(1)
		return
	}
	b.wake()
}

// wake says that there is something to take.
func (b *inbox) wake() {
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// take returns what has arrived since the last time.
func (b *inbox) take() map[string][]wire.Health {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.unread
	b.unread = make(map[string][]wire.Health, len(taken))
	return taken
}

// Private

func (b *inbox) put(h wire.Health) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.unread[h.Host]
	if len(all) == 0 {
		if len(b.unread) >= maxHosts {
			return false
		}
		b.unread[h.Host] = []wire.Health{h}
		return true
	}
	newest := &all[len(all)-1]
	switch {
	case older(h, *newest) || overtakes(*newest, h):
		return false
	case len(all) < mostUnread:
		b.unread[h.Host] = append(all, h)
	default:
		keepLatencies(newest.Services, h.Services)
		keepNews(newest.Services, h.Services)
		*newest = h
	}
	return true
}

// older reports whether h was sent before old by the same run of the agent.
func older(h, old wire.Health) bool {
	return h.Started == old.Started && h.Sequence < old.Sequence
}

// overtakes reports whether h is of a later run of the agent than old.
func overtakes(h, old wire.Health) bool {
	return old.Run != 0 && h.Run > old.Run
}

// sameHost holds a report against its subject, which permissions bind to the
// host that sent it.
func sameHost(subject, host string) bool {
	token, err := bus.ParseHealth(subject)
	if err != nil {
		return false
	}
	own, err := bus.HostToken(host)
	return err == nil && own == token
}
