package analysis

import "math"

const (
	// settle is how many ticks a window must be older than another to teach it. Two, so that
	// the order in which hosts report within a tick changes nothing.
	settle = 2
)

// belief is what is thought of the correlation of errors inside one instance and window before
// stable has shown any, with the weight of so many requests.
type belief struct{ icc, requests float64 }

// beliefs are two: a firm one, that little clustering in little traffic does not shake, and a light
// one, that learns from a few bursts. The one that comes to more clustering counts.
func beliefs() []belief { return []belief{{.01, 300}, {.01, 10}} }

// moments are sums over blocks of windows of stable's instances, at a short and a long scale:
// how much the instances differed, beyond chance, and how much they could have.
type moments struct {
	num, den [2]float64
}

func (m *moments) add(o moments) {
	for s := range m.num {
		m.num[s] += o.num[s]
		m.den[s] += o.den[s]
	}
}

// record adds one instance's block: u is its errors less its share of the host's, v the variance
// of u by chance, n its requests. Rounded, so that the order of additions does not matter.
func (m *moments) record(scale int, u, v, n float64) {
	const grain = 1 << 20
	m.num[scale] += math.Round((u*u-v)*grain) / grain
	m.den[scale] += math.Round(v*max(0, n-1)*grain) / grain
}

// dispersion learns how much errors cluster, from stable's instances alone, each taken for a
// pretended canary.
type dispersion struct {
	beliefs []belief
	long    int // windows of a block of the long scale, about a minute
	settled moments
	recent  map[int64]moments // by tick; a handful
	newest  int64
}

func newDispersion(long int) dispersion {
	return dispersion{beliefs: beliefs(), long: long, recent: make(map[int64]moments)}
}

// learn takes in what a window that closed in this tick has shown.
func (d *dispersion) learn(tick int64, m moments) {
	if m == (moments{}) {
		return
	}
	sum := d.recent[tick]
	sum.add(m)
	d.recent[tick] = sum
	d.newest = max(d.newest, tick)
	for t, old := range d.recent {
		if t <= d.newest-2*settle {
			d.settled.add(old)
			delete(d.recent, t)
		}
	}
}

// icc returns the correlation at both scales that a window closing in this tick may assume.
func (d *dispersion) icc(tick int64) [2]float64 {
	sum := d.settled
	for t, m := range d.recent {
		if t <= tick-settle {
			sum.add(m)
		}
	}
	var icc [2]float64
	for s, windows := range d.scales() {
		for _, b := range d.beliefs {
			at := (sum.num[s] + b.requests*b.icc) / (sum.den[s] + b.requests*windows)
			icc[s] = max(icc[s], min(1, at))
		}
	}
	return icc
}

func (d *dispersion) scales() [2]float64 { return [2]float64{1, float64(d.long)} }

// pair returns phi, the factor by which clustering inflates the variance of the comparison of two
// tracks with nc and ns requests on mc and ms instances.
func (d *dispersion) pair(icc [2]float64, nc, mc, ns, ms float64) float64 {
	r := nc / (nc + ns)
	a, b := (1-r)*(1-r)*nc, r*r*ns
	phi := 1.0
	for s, windows := range d.scales() {
		c := 1 + max(0, windows*nc/max(1, mc)-1)*icc[s]
		t := 1 + max(0, windows*ns/max(1, ms)-1)*icc[s]
		phi = max(phi, (a*c+b*t)/(a+b))
	}
	return phi
}

// single returns phi for the requests of one track alone.
func (d *dispersion) single(icc [2]float64, n, instances float64) float64 {
	phi := 1.0
	for s, windows := range d.scales() {
		phi = max(phi, 1+(windows*n/max(1, instances)-1)*icc[s])
	}
	return phi
}

// factors are the overdispersions that a table is tempered by.
type factors struct {
	pair   float64 // of the comparison
	single float64 // of canary alone
}

// factors returns those of a table whose window closes in this tick, with so many instances of
// canary, and of stable that had requests.
func (d *dispersion) factors(tick int64, t Table, canary, stable int) factors {
	icc := d.icc(tick)
	nc, mc := float64(t.CanaryN), float64(canary)
	f := factors{pair: 1, single: d.single(icc, nc, mc)}
	if t.compares() {
		f.pair = d.pair(icc, nc, mc, float64(t.StableN), float64(stable))
	}
	return f
}

// block gathers one host's stable instances over the windows of the long scale.
type block struct {
	instances map[string]instanceSums
	count     int      // windows
	windows   []Counts // while there is but one instance
}

type instanceSums struct{ u, v, n float64 }

// observe returns what a closed window teaches: always at the short scale, at the long scale when
// it completes a block.
func (b *block) observe(stable map[string]Counts, long int) moments {
	var m moments
	var all Counts
	for _, c := range stable {
		all = all.plus(c)
	}
	if b.instances == nil {
		b.instances = make(map[string]instanceSums)
	}
	for name, c := range stable {
		if c.Requests == 0 || all.Requests < 2 {
			continue
		}
		u, v := excess(c, all)
		m.record(0, u, v, float64(c.Requests))
		s := b.instances[name]
		b.instances[name] = instanceSums{s.u + u, s.v + v, s.n + float64(c.Requests)}
	}
	if b.count++; len(b.instances) < 2 {
		b.windows = append(b.windows, all)
	} else {
		b.windows = nil
	}
	if b.count < long {
		return m
	}
	if len(b.instances) == 1 {
		b.compareWindows(&m)
	}
	for _, s := range b.instances {
		m.record(1, s.u, s.v, s.n)
	}
	*b = block{}
	return m
}

// compareWindows teaches from a host with a single stable instance, which has no peer: it holds
// the windows of the block against each other. Incidents look like clustering then, which errs to
// the careful side.
func (b *block) compareWindows(m *moments) {
	var all Counts
	for _, w := range b.windows {
		all = all.plus(w)
	}
	if all.Requests < 2 {
		return
	}
	for _, w := range b.windows {
		u, v := excess(w, all)
		m.record(0, u, v, float64(w.Requests))
	}
}

// excess returns by how much a part's errors exceed its share of all errors, and the variance of
// that by chance.
func excess(part, all Counts) (u, v float64) {
	n, x := float64(all.Requests), float64(all.Errors)
	r := float64(part.Requests) / n
	return float64(part.Errors) - r*x, r * (1 - r) * x * (n - x) / (n - 1)
}
