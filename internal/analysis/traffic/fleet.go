package traffic

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/serin-rollouts/serin/internal/latency"
)

// Scene is a fleet and what happens on it. Every host runs one canary and some
// stable containers. Fields that are nil or zero change nothing.
type Scene struct {
	Hosts, Stable int
	PerSecond     float64 // canary requests a second, of the whole fleet, at Share
	Share         float64 // canary's share of all requests
	// Every is the time between reports, 5 s if 0; Step that in which a
	// container keeps its mood, Every if 0. Every is a multiple of Step.
	Every, Step time.Duration
	// Rate is the error rate of a track on a host at a time.
	Rate func(host int, canary bool, at time.Duration) float64
	// Mood makes what changes that rate in one container.
	Mood func() Mood
	// ShareAt is the share on a host at a time, instead of Share.
	ShareAt func(host int, at time.Duration) float64
	// Load is what all traffic is multiplied by at a time.
	Load func(at time.Duration) float64
	// Away tells that a host is down: it serves nothing, says nothing, and
	// counts from zero when it is back.
	Away func(host int, at time.Duration) bool
	// StableTimes and CanaryTimes make how long a container's requests take.
	StableTimes, CanaryTimes func(rng *rand.Rand) Times
}

// Counts are requests, and those of them that failed.
type Counts struct{ Requests, Errors int64 }

// Table is what one host served in some time: requests (N) of both tracks, and
// those of them that failed (X).
type Table struct{ CanaryN, CanaryX, StableN, StableX int64 }

// Report is what a host says at one instant. Counts and sketches are cumulative
// within the incarnation; Stable is by container.
type Report struct {
	Host, Incarnation string
	At                time.Duration
	Canary            Counts
	Stable            map[string]Counts
	Latencies         []Latency
}

// Latency is how long the requests of a container took; Container is "" for
// canary's, Sketch as internal/latency encodes it.
type Latency struct {
	Container string
	Requests  int64
	Sketch    []byte
}

// Fleet is a scene that is being played.
type Fleet struct {
	scene  Scene
	rng    *rand.Rand
	now    time.Duration
	canary int64
	hosts  []*host
}

type host struct {
	name   string
	away   bool
	lives  int
	canary *container
	stable []*container
	table  Table        // since the last report
	times  [2][]float64 // of stable and canary, since the last report
}

type container struct {
	name   string
	counts Counts
	mood   Mood
	times  Times
	sketch *latency.Sketch
}

// NewFleet returns a fleet at time 0 that has served nothing.
func NewFleet(scene Scene, seed uint64) *Fleet {
	if scene.Every == 0 {
		scene.Every = 5 * time.Second
	}
	if scene.Step == 0 {
		scene.Step = scene.Every
	}
	f := &Fleet{scene: scene, rng: rand.New(rand.NewPCG(seed, 1))}
	for i := range scene.Hosts {
		h := &host{name: fmt.Sprintf("h%d", i), lives: 1, canary: f.container("", scene.CanaryTimes)}
		for s := range scene.Stable {
			h.stable = append(h.stable, f.container("s"+strconv.Itoa(s), scene.StableTimes))
		}
		f.hosts = append(f.hosts, h)
	}
	return f
}

// Now returns the time up to which requests have been served.
func (f *Fleet) Now() time.Duration { return f.now }

// Canary returns how many requests canary has served, on all hosts.
func (f *Fleet) Canary() int64 { return f.canary }

// Advance serves the requests up to the next reports.
func (f *Fleet) Advance() {
	for _, h := range f.hosts {
		h.table = Table{}
		h.times[0], h.times[1] = h.times[0][:0], h.times[1][:0]
	}
	for end := f.now + f.scene.Every; f.now < end; {
		f.now += f.scene.Step
		for i, h := range f.hosts {
			f.serve(i, h)
		}
	}
}

// Reports returns what the hosts say now. The reports keep nothing of the fleet.
func (f *Fleet) Reports() []Report {
	reports := make([]Report, 0, len(f.hosts))
	for _, h := range f.hosts {
		if !h.away {
			reports = append(reports, h.report(f.now))
		}
	}
	return reports
}

// Tables returns what each host served between the last two reports.
func (f *Fleet) Tables() []Table {
	tables := make([]Table, len(f.hosts))
	for i, h := range f.hosts {
		tables[i] = h.table
	}
	return tables
}

// Times returns how long the requests between the last two reports took, in
// milliseconds, in no order. They are the fleet's, until it advances.
func (f *Fleet) Times(canary bool) []float64 {
	var all []float64
	for _, h := range f.hosts {
		all = append(all, h.times[track(canary)]...)
	}
	return all
}

// Private

func track(canary bool) int {
	if canary {
		return 1
	}
	return 0
}

func (f *Fleet) container(name string, times func(*rand.Rand) Times) *container {
	c := &container{name: name}
	if f.scene.Mood != nil {
		c.mood = f.scene.Mood()
	}
	if times != nil {
		c.times, c.sketch = times(f.rng), latency.New()
	}
	return c
}

func (f *Fleet) serve(i int, h *host) {
	if f.scene.Away != nil {
		away := f.scene.Away(i, f.now)
		if h.away && !away {
			h.restart()
		}
		h.away = away
	}
	if h.away {
		return
	}
	share, all := f.scene.Share, f.scene.PerSecond/f.scene.Share/float64(len(f.hosts))
	if f.scene.ShareAt != nil {
		share = f.scene.ShareAt(i, f.now)
	}
	if f.scene.Load != nil {
		all *= f.scene.Load(f.now)
	}
	all *= f.scene.Step.Seconds()
	c := f.requests(i, h, h.canary, all*share, true)
	f.canary += c.Requests
	h.table.CanaryN += c.Requests
	h.table.CanaryX += c.Errors
	for _, s := range h.stable {
		c := f.requests(i, h, s, all*(1-share)/float64(len(h.stable)), false)
		h.table.StableN += c.Requests
		h.table.StableX += c.Errors
	}
}

// requests lets one container serve for a step, and returns what it served.
func (f *Fleet) requests(i int, h *host, c *container, mean float64, canary bool) Counts {
	p := 0.
	if f.scene.Rate != nil {
		p = f.scene.Rate(i, canary, f.now)
	}
	if c.mood != nil {
		p = c.mood(f.rng, f.scene.Step, p)
	}
	n := Poisson(f.rng, mean)
	served := Counts{Requests: n, Errors: Binomial(f.rng, n, p)}
	c.counts.Requests += served.Requests
	c.counts.Errors += served.Errors
	if c.times != nil {
		draw, own := c.times(f.rng), &h.times[track(canary)]
		for range n {
			ms := draw()
			*own = append(*own, ms)
			c.sketch.Add(int64(ms * 1000))
		}
	}
	return served
}

func (h *host) restart() {
	h.lives++
	for _, c := range append(slices.Clone(h.stable), h.canary) {
		c.counts = Counts{}
		if c.sketch != nil {
			c.sketch.Clear()
		}
	}
}

func (h *host) report(at time.Duration) Report {
	r := Report{
		Host: h.name, Incarnation: strconv.Itoa(h.lives), At: at,
		Canary: h.canary.counts, Stable: make(map[string]Counts, len(h.stable)),
	}
	for _, c := range h.stable {
		r.Stable[c.name] = c.counts
	}
	for _, c := range append(slices.Clone(h.stable), h.canary) {
		if c.sketch != nil {
			r.Latencies = append(r.Latencies, Latency{Container: c.name, Requests: c.counts.Requests, Sketch: c.sketch.Encode()})
		}
	}
	return r
}
