package agent

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"

	"github.com/serin-rollouts/serin/agent/fence"
)

// leash is the agent's, for all its goroutines; times are a.now's.
type leash struct {
	mu sync.Mutex
	fence.Leash
}

func newLeash(now, lease time.Duration) *leash { return &leash{Leash: fence.NewLeash(now, lease)} }

// issue makes a nonce for a report that is sent now.
func (l *leash) issue(now time.Duration) uint64 {
	var raw [8]byte
	_, _ = rand.Read(raw[:])                     // never fails
	nonce := binary.BigEndian.Uint64(raw[:]) | 1 // 0 means none
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Issue(nonce, now)
	return nonce
}

func (l *leash) redeem(nonce uint64, now time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Redeem(nonce, now)
}

func (l *leash) hear(now, lease time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Hear(now, lease)
}

func (l *leash) left(now time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Left(now)
}
