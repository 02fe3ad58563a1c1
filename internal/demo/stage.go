package demo

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/localfleet"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// What the demo rolls out; twin is there only for good versions, repeatedly.
const (
	service = "demo"
	twin    = "twin"
)

// stage is where rollouts happen one after another: a service, the port on
// every host where it takes traffic, and the load on it.
type stage struct {
	service, port string
	load          *localfleet.Load
	stop          func() // ends the load
	stable        string // version
	count         int    // of rollouts so far
}

// measurement is one rollout with the load during it.
type measurement struct {
	result

	stats          localfleet.Stats
	verdict, final rollout.Event // verdict: to go back; the zero value if there was none
	alarmed        bool          // a host was left out, or a gate that is only observed would have taken it back
}

// set installs v1 as a service, and begins the load on it.
func (r *run) set(ctx context.Context, service, port string) (*stage, error) {
	s := &stage{service: service, port: port, stable: "v1"}
	r.say("installing v1 as %s on %d hosts", service, r.Hosts)
	if _, err := r.rollOut(ctx, s, scenario{version: "v1", steps: twoSteps, gates: "{}"}); err != nil {
		return nil, err
	}
	var urls []string
	for _, h := range r.fleet.Hosts {
		urls = append(urls, h.URL(port))
	}
	s.load = localfleet.NewLoad(urls, rate)
	s.stop = sync.OnceFunc(s.load.Start(ctx))
	return s, nil
}

// measured rolls a version out and takes what the load counted until then.
// Every request counts in one of the measurements; with the last the load ends.
func (r *run) measured(ctx context.Context, s *stage, c scenario, last bool) (measurement, error) {
	r.say("rolling out %s as %s at %d requests/s", c.version, s.service, rate)
	began := time.Now()
	events, err := r.rollOut(ctx, s, c)
	if err != nil {
		return measurement{}, err
	}
	took := time.Since(began)
	if last {
		s.stop() // what was asked before the end is answered after it
	}
	m := measurement{stats: s.load.Take(), final: events[len(events)-1]}
	m.result = result{
		from: s.stable, to: c.version,
		Outcome: string(m.final.Phase), Requests: m.stats.Requests, Failed: m.stats.Failed,
		Seconds: took.Round(time.Millisecond).Seconds(),
	}
	for _, e := range events {
		if e.Kind == rollout.KindRollingBack {
			m.verdict = e
		}
		m.alarmed = m.alarmed || alarm(e.Verdict) || e.Kind == rollout.KindExcluded
	}
	if m.final.Phase == rollout.Succeeded {
		s.stable = c.version
	}
	for _, line := range m.stats.Examples {
		r.say("a failed request: %s", line)
	}
	return m, nil
}

// repeat rolls good versions out, v2 over v1 and v1 over v2, on two services
// side by side: most of the time is waiting.
func (r *run) repeat(ctx context.Context, s *stage, last bool) (*goodRuns, error) {
	ports, err := localfleet.FreePorts(ctx, 1)
	if err != nil {
		return nil, err
	}
	second, err := r.set(ctx, twin, ports[0])
	if err != nil {
		return nil, err
	}
	defer second.stop()
	began := time.Now()
	stages := [2]*stage{s, second}
	var each [2]goodRuns
	group, groupCtx := errgroup.WithContext(ctx)
	for k, s := range stages {
		group.Go(func() error {
			for range (r.Repeat + 1 - k) / 2 {
				m, err := r.measured(groupCtx, s, again(other(s.stable)), false)
				if err != nil {
					return err
				}
				each[k].add(m)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	all := each[0].plus(each[1])
	all.Seconds = time.Since(began).Round(time.Millisecond).Seconds()
	second.stop()
	if last {
		s.stop()
	}
	for _, s := range stages { // one may have waited for the other
		rest := s.load.Take()
		all.Requests += rest.Requests
		all.Failed += rest.Failed
	}
	return &all, nil
}

// Private

// other is the good version that is not this one.
func other(version string) string {
	if version == "v1" {
		return "v2"
	}
	return "v1"
}

// alarm tells whether a gate that is only observed says fail.
func alarm(v *analysis.Verdict) bool {
	if v == nil {
		return false
	}
	for _, f := range v.Findings {
		if f.Observe && f.Outcome == analysis.Fail {
			return true
		}
	}
	return false
}
