package main

import (
	"io"
	"log"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/analysis/traffic"
)

// asked is how many levels every judge is asked at.
const asked = 4

// levels are the bounds on false alarms that every judge is asked at: the
// default, a looser one, what of the default a rollout's first evidence has for
// what hosts show together, and that for errors where other gates have the other
// half.
func levels() [asked]float64 {
	first := analysis.Gates{}.Attempt(0).Alpha
	part := func(share int) float64 { return float64(analysis.Together(share)) / 1e6 }
	return [asked]float64{.01, .05, part(first), part(first - first/2)}
}

// The places of levels.
const (
	onePercent = iota
	fivePercent
	ofRollout
	halfOfRollout
)

// studio is where runs are made.
type studio struct {
	cores    int
	scale    float64
	progress *log.Logger
	counts   map[string]counted    // of healthy scenes that were played before
	detected map[string][][]result // of regressions that were
	// blank makes runs of which nothing is played: tables have all but their numbers then.
	blank bool
	made  map[int]bool // numbers of runs that were made at once
}

func newStudio(cores int, scale float64, progress io.Writer) *studio {
	return &studio{
		cores: max(1, cores), scale: scale, progress: log.New(progress, "", log.Ltime),
		counts: make(map[string]counted), detected: make(map[string][][]result), made: make(map[int]bool),
	}
}

// watcher is a judge that looks at a fleet after every round of reports.
type watcher interface {
	look(f *traffic.Fleet, reports []analysis.Report)
	fires(alpha float64) bool
}

// play is one kind of run: a scene, how long it lasts, and who watches.
type play struct {
	scene    traffic.Scene
	length   time.Duration
	watchers func() []watcher
}

// result is when each watcher fired at each level: by canary's requests, and by
// the clock. Zero is never.
type result struct {
	requests [asked]int64
	at       [asked]time.Duration
}

// run plays it once. A watcher that has fired at all levels looks no more.
func (p play) run(seed uint64) []result {
	fleet := traffic.NewFleet(p.scene, seed)
	watchers := p.watchers()
	results := make([]result, len(watchers))
	open := len(watchers)
	for fleet.Now() < p.length && open > 0 {
		fleet.Advance()
		reports := told(fleet)
		for i, w := range watchers {
			if w == nil {
				continue
			}
			w.look(fleet, reports)
			if results[i].note(w, fleet) {
				watchers[i] = nil
				open--
			}
		}
	}
	return results
}

// told is what the hosts report, as the product's judge takes it.
func told(fleet *traffic.Fleet) []analysis.Report {
	var reports []analysis.Report
	for _, r := range fleet.Reports() {
		t := analysis.Report{
			Host: r.Host, Incarnation: r.Incarnation, At: r.At, Canary: analysis.Counts(r.Canary),
			Stable: make(map[string]analysis.Counts, len(r.Stable)), CanaryInstances: 1,
		}
		for name, c := range r.Stable {
			t.Stable[name] = analysis.Counts(c)
		}
		for _, l := range r.Latencies {
			t.Latencies = append(t.Latencies, analysis.Latency{
				Canary: l.Container == "", Instance: l.Container,
				Requests: l.Requests, Lines: l.Requests, Sketch: l.Sketch,
			})
		}
		reports = append(reports, t)
	}
	return reports
}

// note notes what has fired first now, and tells whether all has.
func (r *result) note(w watcher, fleet *traffic.Fleet) bool {
	all := true
	for l, alpha := range levels() {
		if r.requests[l] == 0 && w.fires(alpha) {
			r.requests[l], r.at[l] = max(1, fleet.Canary()), fleet.Now()
		}
		all = all && r.requests[l] > 0
	}
	return all
}

// runs plays it with the seeds from 1 to n, and returns for each watcher the
// results in that order.
func (s *studio) runs(name string, n int, p play) [][]result { return s.runsAfter(name, 0, n, p) }

// runsAfter plays it n times, with the seeds that follow on one.
func (s *studio) runsAfter(name string, last uint64, n int, p play) [][]result {
	byRun := each(s, n, func(seed uint64) []result { return p.run(last + seed) })
	byWatcher := make([][]result, len(p.watchers()))
	for _, rs := range byRun {
		if s.blank {
			rs = make([]result, len(byWatcher))
		}
		for w, r := range rs {
			byWatcher[w] = append(byWatcher[w], r)
		}
	}
	s.progress.Printf("%s: %d runs", name, n)
	return byWatcher
}

// each makes n runs, with the seeds from 1 on, and returns what came of them in
// that order.
func each[R any](s *studio, n int, run func(seed uint64) R) []R {
	s.made[n] = true
	all := make([]R, n)
	if s.blank {
		return all
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range s.cores {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				all[i-1] = run(uint64(i))
			}
		})
	}
	wg.Wait()
	return all
}

// times returns a number of runs at the studio's scale.
func (s *studio) times(n int) int { return max(1, int(math.Round(float64(n)*s.scale))) }

// fired counts the runs in which a watcher fired at a level.
func fired(rs []result, level int) int {
	n := 0
	for _, r := range rs {
		if r.requests[level] > 0 {
			n++
		}
	}
	return n
}

// never stands for the number of requests of a run without a decision.
const never = math.MaxInt64

// quantile returns canary's requests by which a share q of the runs had fired.
func quantile(rs []result, level int, q float64) int64 {
	var xs []int64
	for _, r := range rs {
		if x := r.requests[level]; x > 0 {
			xs = append(xs, x)
		} else {
			xs = append(xs, never)
		}
	}
	slices.Sort(xs)
	return xs[min(len(xs)-1, int(q*float64(len(xs))))]
}

// most is how many of n runs may go wrong by a share of alpha: three standard
// errors above the mean.
func most(n int, alpha float64) int {
	return int(math.Ceil(float64(n)*alpha + 3*math.Sqrt(float64(n)*alpha*(1-alpha))))
}
