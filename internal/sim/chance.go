package sim

import (
	"hash/fnv"
	"time"
)

// chance is one party's own source of choices. What a party draws depends on
// the seed, on its name and on how often it has drawn before, and on nothing
// that others do: a fault that is left out in another run changes no choice that
// has nothing to do with it. That is what makes a story shrink.
type chance struct {
	w    *world
	who  string
	base uint64
	n    uint64
}

func (w *world) chance(who string) chance {
	h := fnv.New64a()
	_, _ = h.Write([]byte(who)) // never fails
	return chance{w: w, who: who, base: mix64(w.seed*0x9e3779b97f4a7c15 + h.Sum64())}
}

func (c *chance) next() uint64 {
	c.n++
	return mix64(c.base + c.n*0x9e3779b97f4a7c15)
}

// float returns a number in [0, 1).
func (c *chance) float() float64 { return unit(c.next()) }

// below returns a number in [0, n).
func (c *chance) below(n int) int { return int(c.next() % uint64(n)) }

// between returns a duration in [low, high).
func (c *chance) between(low, high time.Duration) time.Duration {
	return low + time.Duration(c.float()*float64(high-low))
}

// strikes decides whether a fault happens here and now. Each possible fault has
// a name of its own, by which a run can be told which ones to let happen.
func (c *chance) strikes(k Kind) bool {
	id := c.next()
	w := c.w
	rate := w.mix.rates[k]
	if w.healed || unit(id) >= rate || w.only != nil && !w.only[id] {
		return false
	}
	w.faults = append(w.faults, Fault{ID: id, Kind: k, Who: c.who, At: w.now})
	if w.telling {
		w.tell("      ! %s: %s", c.who, k)
	}
	return true
}

// pick returns one of several.
func pick[T any](c *chance, of ...T) T { return of[c.below(len(of))] }

// Private

// mix64 is the finalizer of splitmix64 (Steele, Lea and Flood, 2014).
func mix64(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

func unit(x uint64) float64 { return float64(x>>11) / (1 << 53) }
