package analysis

import (
	"math"
	"slices"
	"time"
)

const (
	// clipAt bounds what a single host-window may say for a hypothesis: a factor of 5.
	clipAt = 5.0
	// lowest bounds what it may say against one. It only keeps sums far from overflow.
	lowest = -1e6
	// quantum is the grain of all sums of evidence, in nats. Multiples of a power of two add
	// without rounding, so a sum does not depend on the order of its terms, and is a whole number
	// of them.
	quantum = 1.0 / (1 << 24)
	// firstShare is the weight of the evidence counted from the very start in the mixture over
	// starting points.
	firstShare = 0.7
	// breadth is what the evidence without any one host is multiplied by before it limits the
	// evidence of all: the others need not show as much, but they must show something.
	breadth = 2
	// alone is the inverse of the share of its evidence that one host has when no other agrees.
	alone = 3
)

// temper turns a log-likelihood ratio into what is added to a sum: divided by the overdispersion
// phi, clipped above, never below (that would break the bound), rounded down to the quantum.
func temper(lr, phi float64) float64 {
	v := max(lowest, min(lr/phi, math.Log(clipAt)))
	return down(v)
}

// down rounds down to the quantum: less evidence, which every bound allows.
func down(x float64) float64 { return math.Floor(x/quantum) * quantum }

// pool is evidence against one null hypothesis, summed over windows and hosts, for every
// alternative of the grid. Its exp(logE) is an e-process: while the null holds, the chance that
// it ever reaches 1/alpha is at most alpha.
type pool struct {
	weights vector // ln of the prior weights of the alternatives; -Inf leaves one out
	total   vector // sums of tempered log-likelihood ratios
	gain    vector // ln of sum over starting points j of share_j * exp(-total at j)
	starts  int    // starting points after the first
}

func newPool(weights vector, share float64) pool {
	p := pool{weights: weights}
	for k := range p.gain {
		p.gain[k] = down(math.Log(share))
	}
	return p
}

func (p *pool) add(v vector) {
	for k := range v {
		p.total[k] += v[k]
	}
}

// restart adds a starting point: from now on the mixture also holds the evidence counted from
// here. It forgives the debt that a long good history leaves, at a fixed price.
func (p *pool) restart() {
	p.starts++
	p.gain = laterStart(p.gain, p.total, p.starts)
}

func laterStart(gain, total vector, j int) vector {
	share := math.Log((1 - firstShare) / float64(j*(j+1)))
	for k := range gain {
		gain[k] = down(logSumExp(gain[k], share-total[k]))
	}
	return gain
}

// logE returns ln of the evidence: the mixture over alternatives and starting points.
func (p *pool) logE() float64 { return logMix(&p.weights, &p.total, &p.gain) }

func logMix(weights, total, gain *vector) float64 {
	var terms vector
	top := math.Inf(-1)
	for k := range terms {
		terms[k] = weights[k] + total[k] + gain[k]
		top = max(top, terms[k])
	}
	sum := 0.0
	for _, t := range terms {
		if t-top > -40 {
			sum += math.Exp(t - top)
		}
	}
	return top + math.Log(sum)
}

// broad is a pool that also remembers what each host added, so that it can tell a difference that
// hosts agree on from one that a single host shows.
type broad struct {
	pool
	hosts  map[string]*contribution
	second time.Duration // when a second host came; it counts as one from the next moment on
}

// contribution is one host's part of a pool.
type contribution struct {
	sum  vector // what counts
	gain vector // the pool's gain, had this host not been there
	bout bout   // that goes on
}

func newBroad(weights vector, share float64) broad {
	return broad{pool: newPool(weights, share), hosts: make(map[string]*contribution)}
}

// addFrom adds what a host's window shows, as far as its bout allows. A host counts for breadth from
// its first call on, also when the vector is all zero: that it served and showed nothing is the point.
func (b *broad) addFrom(host string, v vector, m moment) {
	c := b.hosts[host]
	if c == nil {
		c = &contribution{gain: b.gain}
		b.hosts[host] = c
		if len(b.hosts) == 2 {
			b.second = m.at
		}
	}
	m.alone = len(b.hosts) < 2 || m.at <= b.second
	v = c.bout.take(v, m)
	b.add(v)
	for k := range v {
		c.sum[k] += v[k]
	}
}

func (b *broad) restart() {
	b.pool.restart()
	for _, c := range b.hosts {
		c.gain = laterStart(c.gain, c.without(&b.total), b.starts)
		c.bout.sum = c.bout.counted() // what it holds back is older than this starting point
	}
}

// without returns the sums of a total less this host's part.
func (c *contribution) without(total *vector) vector {
	rest := *total
	for k := range rest {
		rest[k] -= c.sum[k]
	}
	return rest
}

// score returns the evidence after the rule of breadth, and the host that holds most of it ("" if
// fewer than two hosts have contributed). The score never exceeds logE, so the bound stands. One
// host on its own decides too, but only with three times the evidence.
func (b *broad) score() (score float64, host string, rest float64) {
	return scoreOf([]*broad{b})
}

// scoreOf is the score of several pools on the same requests. Their evidence is averaged, never
// multiplied, for they depend on each other. The first has heard of every host.
func scoreOf(pools []*broad) (score float64, host string, rest float64) {
	terms := make([]float64, len(pools))
	for i, b := range pools {
		terms[i] = b.logE()
	}
	all := mean(terms)
	if len(pools[0].hosts) < 2 {
		return all, "", all
	}
	rest = math.Inf(1)
	whole, least := slices.Clone(terms), make([]float64, len(pools))
	for name := range pools[0].hosts {
		for i, b := range pools {
			least[i] = whole[i] - b.most(name)
		}
		if mean(least) > rest+1e-6 {
			continue // it is not the one, and the sum below costs ten times as much
		}
		for i, b := range pools {
			terms[i] = b.logWithout(name)
		}
		if e := mean(terms); e < rest || e == rest && name < host {
			rest, host = e, name
		}
	}
	return min(all, max(breadth*rest, all/alone)), host, rest
}

// most bounds how much lower logE could be, had the host not been there.
func (b *broad) most(host string) float64 {
	c := b.hosts[host]
	if c == nil {
		return 0
	}
	top := math.Inf(-1)
	for k, w := range b.weights {
		if !math.IsInf(w, -1) {
			top = max(top, c.sum[k]+b.gain[k]-c.gain[k])
		}
	}
	return top
}

// logWithout returns logE, had the host not been there.
func (b *broad) logWithout(host string) float64 {
	c := b.hosts[host]
	if c == nil {
		return b.logE()
	}
	without := c.without(&b.total)
	return logMix(&b.weights, &without, &c.gain)
}

// mean returns ln of the mean of exp(x).
func mean(xs []float64) float64 { return logSumExp(xs...) - math.Log(float64(len(xs))) }
