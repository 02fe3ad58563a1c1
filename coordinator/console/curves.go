package console

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const (
	sampling    = time.Second
	mostPoints  = 600
	mostCurves  = 24
	sparkPoints = 40   // that the overview shows of each running rollout
	bandAlpha   = 0.05 // how often a band may ever miss what it is about
	p99         = 9900
	unitShare   = "share"
	unitSeconds = "us"
)

// Point is what the gates of a rollout saw at one moment.
type Point struct {
	At      int64         `json:"at"` // Unix ms
	Phase   rollout.Phase `json:"phase"`
	Step    int           `json:"step"` // from 1
	Weight  int           `json:"weight"`
	Reached int           `json:"reached"`
	Lines   []Line        `json:"lines,omitempty"`
}

// Line is one quantity of both tracks, with the limit at which the canary's is too
// bad; without one where none is known.
type Line struct {
	Name   string   `json:"name"`
	Unit   string   `json:"unit"` // share (of one), or us
	Canary Estimate `json:"canary"`
	Stable Estimate `json:"stable"`
	Limit  *float64 `json:"limit,omitempty"`
}

// Estimate is a value with a band that holds with probability 95 % at all times
// at once; nil where it is not known.
type Estimate struct {
	Value *float64 `json:"value,omitempty"`
	Low   *float64 `json:"low,omitempty"`
	High  *float64 `json:"high,omitempty"`
	N     int64    `json:"n"` // requests, or other events, that it is of
}

// curves remembers how the last rollouts looked, second by second. Each replica
// has its own, so that a page finds them wherever it turns to.
type curves struct {
	live *live

	mu    sync.Mutex
	all   map[string]*series
	order []string                 // the oldest first
	wakes map[chan struct{}]string // who looks at which rollout; empty: at all of them in little
}

// series is one rollout. When it is full every other point goes, and from then
// on only every second sample, every fourth, and so on, is kept.
type series struct {
	points  []Point
	every   int
	skipped int
	thinned int // times
}

func newCurves(l *live) *curves {
	return &curves{live: l, all: map[string]*series{}, wakes: map[chan struct{}]string{}}
}

// run takes samples while rollouts run, and sleeps while none does.
func (c *curves) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		changed := c.live.ledger.Changed()
		if !running(c.live.ledger.State()) {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		c.sample(ctx)
		wait(ctx, timer, sampling, nil)
	}
}

// since returns the points of a rollout after a time, and how often the whole was
// thinned out: where that has changed, what was read before is not the same curve.
func (c *curves) since(id string, after int64) (points []Point, thinned int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.all[id]
	if s == nil {
		return []Point{}, 0
	}
	k, _ := slices.BinarySearchFunc(s.points, after+1, func(p Point, at int64) int { return cmp.Compare(p.At, at) })
	return slices.Clone(s.points[k:]), s.thinned
}

func (c *curves) join(id string, wake chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wakes[wake] = id
	ring(wake)
}

// sparks returns the last error rates of all running rollouts, canary's and stable's
// in pairs, by rollout; nil where one is not known.
func (c *curves) sparks() map[string][][2]*float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string][][2]*float64{}
	for _, svc := range c.live.ledger.State().Services {
		if svc.Active == nil || c.all[svc.Active.ID] == nil {
			continue
		}
		points := c.all[svc.Active.ID].points
		pairs := [][2]*float64{}
		for _, p := range points[max(0, len(points)-sparkPoints):] {
			k := slices.IndexFunc(p.Lines, func(l Line) bool { return l.Name == api.KindErrors })
			if k >= 0 {
				pairs = append(pairs, [2]*float64{p.Lines[k].Canary.Value, p.Lines[k].Stable.Value})
			}
		}
		all[svc.Active.ID] = pairs
	}
	return all
}

func (c *curves) leave(wake chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.wakes, wake)
}

// Private

func running(s *rollout.State) bool {
	for _, svc := range s.Services {
		if svc.Active != nil {
			return true
		}
	}
	return false
}

func (c *curves) sample(ctx context.Context) {
	answer, err := c.live.try(ctx, question{subject: bus.GetSubject(api.GetServices, "")})
	if err != nil {
		return // an election; the curve has a hole
	}
	services, err := api.DecodeAnswer[[]api.ServiceStatus](answer)
	if err != nil {
		c.live.log.Debug().Err(err).Msg("console: services not understood")
		return
	}
	now := time.Now().UnixMilli()
	for _, s := range services {
		if s.Running && s.Rollout != nil {
			c.add(s.Rollout.ID, pointOf(*s.Rollout, now))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ring("")
}

func (c *curves) add(id string, p Point) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.all[id]
	if s == nil {
		s = &series{every: 1}
		c.all[id], c.order = s, append(c.order, id)
		if len(c.order) > mostCurves {
			delete(c.all, c.order[0])
			c.order = c.order[1:]
		}
	}
	s.add(p)
	c.ring(id)
}

// ring wakes who looks at a rollout; c.mu is held.
func (c *curves) ring(id string) {
	for wake, wanted := range c.wakes {
		if wanted == id {
			ring(wake)
		}
	}
}

func (s *series) add(p Point) {
	if n := len(s.points); n > 0 && p.At <= s.points[n-1].At {
		return // the wall clock was set back
	}
	if s.skipped++; s.skipped < s.every {
		return
	}
	s.skipped = 0
	s.points = append(s.points, p)
	if len(s.points) < mostPoints {
		return
	}
	for k := range len(s.points) / 2 {
		s.points[k] = s.points[2*k+1]
	}
	s.points = s.points[:len(s.points)/2]
	s.every *= 2
	s.thinned++
}

func pointOf(r api.RolloutStatus, now int64) Point {
	p := Point{At: now, Phase: r.Phase, Step: r.Step, Weight: r.Weight, Reached: r.Reached}
	limits := map[int]float64{} // by quantile
	if v := r.Verdict; v != nil {
		told := false
		for _, g := range v.Gates {
			told = told || g.Kind == api.KindErrors
			if line, ok := lineOf(g, limits); ok {
				p.Lines = append(p.Lines, line)
			}
		}
		if !told {
			p.Lines = append([]Line{{Name: api.KindErrors, Unit: unitShare, Canary: share(v.Canary), Stable: share(v.Stable)}}, p.Lines...)
		}
	}
	if l := r.Latency; l != nil {
		slow := Line{Name: "p99", Unit: unitSeconds, Canary: quick(l.Canary.P99, l.Canary.P99Low, l.Canary.P99High, l.Canary), Stable: quick(l.Stable.P99, l.Stable.P99Low, l.Stable.P99High, l.Stable)}
		if limit, known := limits[p99]; known {
			slow.Limit = &limit
		}
		p.Lines = append(p.Lines, slow, Line{
			Name: "p50", Unit: unitSeconds,
			Canary: quick(l.Canary.P50, l.Canary.P50Low, l.Canary.P50High, l.Canary), Stable: quick(l.Stable.P50, l.Stable.P50Low, l.Stable.P50High, l.Stable),
		})
	}
	return p
}

// lineOf is the line of one gate. Those on p99 only leave their limit: there is a
// line with bands for it.
func lineOf(g api.Gate, limits map[int]float64) (Line, bool) {
	switch {
	case g.Canary == nil || g.Stable == nil:
		return Line{}, false
	case g.Kind == api.KindErrors || g.Kind == api.KindRate:
		line := Line{Name: g.Name, Unit: unitShare, Canary: share(*g.Canary), Stable: share(*g.Stable)}
		if line.Stable.Value != nil && g.Allowed != nil {
			limit := *line.Stable.Value + float64(*g.Allowed)/rollout.Full
			line.Limit = &limit
		}
		return line, true
	case g.Kind != api.KindLatency || g.Threshold == 0:
		return Line{}, false
	case g.Quantile == p99 && g.Name == "latency-p99":
		limits[p99] = float64(g.Threshold)
		return Line{}, false
	}
	limit := float64(g.Threshold)
	return Line{
		Name: g.Name, Unit: unitSeconds, Limit: &limit,
		Canary: quick(g.CanaryTime, 0, 0, api.Times{Requests: g.Canary.Requests}),
		Stable: quick(g.StableTime, 0, 0, api.Times{Requests: g.Stable.Requests}),
	}, true
}

func share(c api.Counts) Estimate {
	e := Estimate{N: c.Requests}
	if c.Requests > 0 {
		value := float64(c.Errors) / float64(c.Requests)
		low, high := analysis.RateInterval(analysis.Counts{Requests: c.Requests, Errors: c.Errors}, bandAlpha)
		e.Value, e.Low, e.High = &value, &low, &high
	}
	return e
}

func quick(value, low, high api.Micros, of api.Times) Estimate {
	known := func(m api.Micros) *float64 {
		if m <= 0 {
			return nil
		}
		v := float64(m)
		return &v
	}
	return Estimate{Value: known(value), Low: known(low), High: known(high), N: of.Requests}
}
