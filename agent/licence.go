package agent

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"
)

// licenceTime is how long after a report its echo still grants a licence. It
// bounds what a deposed leader can raise.
const licenceTime = 3 * time.Second

// maxNonces bounds the reports whose echo is awaited: with at most one
// report in 20 ms, more than licenceTime's worth.
const maxNonces = 256

// leash ties the agent to its leader: the nonces that it waits to see echoed,
// and the time when it last heard one.
type leash struct {
	mu     sync.Mutex
	nonces []issued // oldest first
	heard  time.Time
	lease  time.Duration
}

type issued struct {
	nonce uint64
	at    time.Time
}

func newLeash(now time.Time, lease time.Duration) *leash {
	return &leash{heard: now, lease: lease}
}

// issue makes a nonce for a report that is sent now.
func (l *leash) issue(now time.Time) uint64 {
	var raw [8]byte
	_, _ = rand.Read(raw[:])                     // never fails
	nonce := binary.BigEndian.Uint64(raw[:]) | 1 // 0 means none
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nonces = append(l.nonces, issued{nonce: nonce, at: now})
	if over := len(l.nonces) - maxNonces; over > 0 {
		l.nonces = l.nonces[over:]
	}
	return nonce
}

// redeem returns until when the echo of a nonce is a licence; zero if it is
// none: unknown, or too old. Times are monotonic.
func (l *leash) redeem(nonce uint64, now time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.nonces {
		if nonce != 0 && n.nonce == nonce && now.Sub(n.at) < licenceTime {
			return n.at.Add(licenceTime)
		}
	}
	return time.Time{}
}

// hear notes a sign of life of a leader; a lease of 0 keeps the old one.
func (l *leash) hear(now time.Time, lease time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = now
	if lease > 0 {
		l.lease = lease
	}
}

// left is how long the lease still runs; not positive if it has ended.
func (l *leash) left(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lease - now.Sub(l.heard)
}
