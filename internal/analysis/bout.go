package analysis

import (
	"math"
	"time"
)

const (
	// boutLength is for how long what a host shows against canary, from the first window that shows
	// anything, counts as one event: longer than most bursts of errors in a container.
	boutLength = time.Minute
	// aloneLength is that where canary serves on one host alone: no other can tell a burst from a bad
	// version there, so longer ones have to be reckoned with.
	aloneLength = 70 * time.Second
	// boutGrowth is how much more a bout is worth that follows within relapse on another of its host:
	// what lasts for minutes is no burst.
	boutGrowth = 1.5
	relapse    = 15 * time.Second
	// boutAid is how much further a host's limit reaches for what the others show on average in
	// their own bouts: containers that fail on all hosts at once are no burst.
	boutAid = 3
	// fewestPeers is the number of stable containers on a host that a limit supposes at least.
	fewestPeers = 2
	// mostAided is the number of hosts above which no limit reaches further: what the limits leave
	// is plenty then.
	mostAided = 16
	// grossFrom is the least number of canary requests of a window, and grossShare the part of them
	// that have to be bad, for it to count outside of any bout: a container that does nothing right.
	grossFrom  = enough
	grossShare = .9
)

// moment is what a window's evidence is limited by.
type moment struct {
	at    time.Duration
	limit float64 // of the bout it falls in, in nats
	free  bool    // no limit: nearly all of canary's requests were bad, and not so stable's
	alone bool    // canary has served on no other host
}

// bout is for how long what is shown from then on counts as one event.
func (m moment) bout() time.Duration {
	if m.alone {
		return aloneLength
	}
	return boutLength
}

// momentOf returns that of a table whose window closed then, with so many instances of canary, and
// of stable that had requests. Without any of stable, bad is the rate that stands for it.
//
// The limit is a fair bet. If bursts hit containers at random, a host's next one hits one of its mc
// canary containers, and not one of ms of stable, with probability mc/(mc+ms). So a bet on that may
// pay (mc+ms)/mc, however many errors the burst holds.
func momentOf(at time.Duration, t Table, canary, stable int, bad float64) moment {
	m := moment{at: at, limit: down(math.Log(clipAt))}
	if t.StableN > 0 {
		bad = float64(t.StableX) / float64(t.StableN)
		m.limit = down(math.Log1p(float64(max(fewestPeers, stable)) / float64(max(1, canary))))
	}
	m.free = t.CanaryN >= grossFrom && float64(t.CanaryX) >= grossShare*float64(t.CanaryN) && bad < .5
	return m
}

// bout is what a host has shown against canary within about a minute. It is worth the limit at most:
// the errors of one container come in bursts, and one burst is one event.
type bout struct {
	on     bool
	began  time.Duration
	growth float64 // of the limit; 0: there was no bout before
	limit  float64
	sum    vector // without the limit
}

// take returns what of a window's vector counts. Never more than the vector itself adds up to since
// the bout began, so every bound on the evidence stands.
func (b *bout) take(v vector, m moment) vector {
	if b.on && m.at-b.began > m.bout() {
		b.on, b.limit, b.sum = false, 0, vector{}
	}
	if m.free || !b.on && !v.speaks() {
		return v
	}
	if !b.on {
		b.begin(m)
	}
	before := b.counted()
	b.limit = down(b.growth * m.limit)
	for k := range v {
		b.sum[k] += v[k]
	}
	v = b.counted()
	for k := range v {
		v[k] -= before[k]
	}
	return v
}

func (b *bout) begin(m moment) {
	follows := b.growth > 0 && m.at-b.began <= m.bout()+relapse
	b.on, b.began = true, m.at
	if follows {
		b.growth *= boutGrowth
	} else {
		b.growth = 1
	}
}

// speaks tells whether anything in the vector speaks for a roll-back.
func (v vector) speaks() bool {
	for _, x := range v {
		if x > 0 {
			return true
		}
	}
	return false
}

// counted is the sum within the limit.
func (b *bout) counted() vector {
	v := b.sum
	for k := range v {
		v[k] = min(v[k], b.limit)
	}
	return v
}

// aided returns the pool as it counts for a decision: while the others show something, too, a
// host's bout may be worth more than its limit. Once the bout is over it no longer is.
func (b *broad) aided() *broad {
	n := len(b.hosts)
	if n < 2 || n > mostAided || !b.limited() {
		return b
	}
	var all vector
	for _, c := range b.hosts {
		for k, x := range c.bout.counted() {
			all[k] += max(0, x)
		}
	}
	now := broad{pool: b.pool, hosts: make(map[string]*contribution, n)}
	for name, c := range b.hosts {
		part := &contribution{sum: c.sum, gain: c.gain}
		for k, own := range c.bout.counted() {
			aid := down(boutAid * (all[k] - max(0, own)) / float64(n-1))
			more := min(c.bout.sum[k], c.bout.limit+aid) - own
			part.sum[k] += more
			now.total[k] += more
		}
		now.hosts[name] = part
	}
	return &now
}

// limited tells whether a bout holds anything back.
func (b *broad) limited() bool {
	for _, c := range b.hosts {
		for _, x := range c.bout.sum {
			if x > c.bout.limit {
				return true
			}
		}
	}
	return false
}
