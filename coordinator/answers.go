package coordinator

import (
	"context"
	"sync"
)

// answers echoes nonces: the licence to raise. One verification of leadership
// serves all nonces that had arrived before it began.
type answers struct {
	leader *leader
	ready  chan struct{}

	mu      sync.Mutex
	waiting map[string]question
}

// question is a host's wish to hear what it should be.
type question struct {
	labels map[string]string
	nonce  uint64
}

func newAnswers(l *leader) *answers {
	return &answers{leader: l, ready: make(chan struct{}, 1), waiting: map[string]question{}}
}

// add notes a host's newest nonce; it does not block.
func (a *answers) add(host string, labels map[string]string, nonce uint64) {
	a.mu.Lock()
	a.waiting[host] = question{labels, nonce}
	a.mu.Unlock()
	select {
	case a.ready <- struct{}{}:
	default:
	}
}

// run answers until ctx ends.
func (a *answers) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.ready:
		}
		asked := a.take()
		if err := a.leader.ledger.Verify(ctx); err != nil {
			continue // the hosts ask again
		}
		s := a.leader.ledger.State()
		for host, q := range asked {
			a.leader.assign(s, host, q.labels, q.nonce)
		}
	}
}

// Private

func (a *answers) take() map[string]question {
	a.mu.Lock()
	defer a.mu.Unlock()
	taken := a.waiting
	a.waiting = map[string]question{}
	return taken
}
