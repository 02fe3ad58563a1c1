package fence

import "time"

// LicenceTime is how long after a report its echo still grants a licence. It
// bounds what a deposed leader can raise.
const LicenceTime = 3 * time.Second

// maxNonces bounds the reports whose echo is awaited: with at most one
// report in 20 ms, more than LicenceTime's worth.
const maxNonces = 256

// Leash ties the agent to its leader: the nonces that it waits to see echoed,
// and the time when it last heard one.
type Leash struct {
	nonces []issued // oldest first
	heard  time.Duration
	lease  time.Duration
}

type issued struct {
	nonce uint64
	at    time.Duration
}

// NewLeash returns the leash of an agent that has heard a leader just now.
func NewLeash(now, lease time.Duration) Leash { return Leash{heard: now, lease: lease} }

// Issue notes the nonce of a report that is sent now; 0 is none.
func (l *Leash) Issue(nonce uint64, now time.Duration) {
	l.nonces = append(l.nonces, issued{nonce: nonce, at: now})
	if over := len(l.nonces) - maxNonces; over > 0 {
		l.nonces = l.nonces[over:]
	}
}

// Redeem returns until when the echo of a nonce is a licence; 0 if it is none:
// unknown, or too old.
func (l *Leash) Redeem(nonce uint64, now time.Duration) time.Duration {
	for _, n := range l.nonces {
		if nonce != 0 && n.nonce == nonce && now-n.at < LicenceTime {
			return n.at + LicenceTime
		}
	}
	return 0
}

// Hear notes a sign of life of a leader; a lease of 0 keeps the old one.
func (l *Leash) Hear(now, lease time.Duration) {
	l.heard = now
	if lease > 0 {
		l.lease = lease
	}
}

// Left is how long the lease still runs; not positive if it has ended.
func (l *Leash) Left(now time.Duration) time.Duration { return l.lease - (now - l.heard) }
