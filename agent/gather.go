package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"sync"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const (
	usageEvery = 5 * time.Second
	// askEvery is used where a gate does not say.
	askEvery = 5 * time.Second
	// askLimit bounds one question to a container or to Docker.
	askLimit = 2 * time.Second
	// checkLimit bounds how patient a gate may be.
	checkLimit = 10 * time.Second
	// atOnce bounds the questions of one gate that are under way.
	atOnce = 8
)

// target is a container to ask: one that gets requests, or may get some.
type target struct {
	name, id string // of the instance, of the container
	canary   bool
	addr     netip.AddrPort
	limit    int64 // of memory
}

// gather asks Docker and the containers what the gates of the rollout in flight
// want to know. It waits for nobody, and nobody waits for it.
func (s *service) gather(ctx context.Context) error {
	for {
		a, _ := s.current()
		spell, end := context.WithCancel(ctx)
		var asking sync.WaitGroup
		if a.Rollout != "" {
			s.askAll(spell, &asking, a)
		}
		err := s.untilOther(ctx, a)
		end()
		asking.Wait()
		if err != nil {
			return err
		}
	}
}

// Private

// untilOther waits until something else is to be gathered.
func (s *service) untilOther(ctx context.Context, a rollout.Assignment) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.stir:
		}
		now, _ := s.current()
		if now.Rollout != a.Rollout || !reflect.DeepEqual(now.Telemetry, a.Telemetry) {
			return nil
		}
	}
}

// askAll starts a goroutine for each source: one that is slow delays no other.
func (s *service) askAll(ctx context.Context, asking *sync.WaitGroup, a rollout.Assignment) {
	asking.Go(func() { s.each(ctx, usageEvery, s.weighLoad) })
	if a.Telemetry == nil {
		return
	}
	for _, m := range a.Telemetry.Metrics {
		p, err := newScrape(m)
		if err != nil { // the leader has checked it
			s.log.Error().Err(err).Str("gate", m.Gate).Msg("metrics cannot be read")
			continue
		}
		asking.Go(func() { s.each(ctx, p.every, func(ctx context.Context, t target) { s.scrape(ctx, p, t) }) })
	}
	for _, c := range a.Telemetry.Checks {
		asking.Go(func() {
			s.each(ctx, cmp.Or(c.Every, askEvery), func(ctx context.Context, t target) { s.check(ctx, c, t) })
		})
	}
}

// each asks all containers at once, again and again.
func (s *service) each(ctx context.Context, every time.Duration, ask func(context.Context, target)) {
	ticker := time.NewTicker(max(every, time.Second))
	defer ticker.Stop()
	for {
		var asking sync.WaitGroup
		room := make(chan struct{}, atOnce)
		for _, t := range s.targets() {
			room <- struct{}{}
			asking.Go(func() {
				ask(ctx, t)
				<-room
			})
		}
		asking.Wait()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// targets lists the service's containers behind open slots: nothing else is ever
// asked.
func (s *service) targets() []target {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []target
	for slot, c := range s.seen.units {
		t := target{name: nameOf(slot, c.ID), id: c.ID}
		addr, err := netip.ParseAddrPort(c.Addr)
		if t.addr = addr; err != nil {
			continue
		}
		switch {
		case s.post.Assigned.Canary != nil && c.Revision == s.post.Assigned.Canary.ID:
			t.canary, t.limit = true, s.post.Assigned.Canary.Container.Memory
		case s.post.Assigned.Stable != nil && c.Revision == s.post.Assigned.Stable.ID:
			t.limit = s.post.Assigned.Stable.Container.Memory
		default:
			continue // it is on its way out
		}
		all = append(all, t)
	}
	return all
}

// keepAnswer calls f with where the answers of a container are kept, if it still is
// what was asked: it may have died meanwhile, and another one have its address.
func (s *service) keepAnswer(gate string, lasts time.Duration, t target, f func(*answer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.standsLocked(t) {
		return
	}
	s.gathered.begin(s.post.Assigned.Rollout)
	if one := s.gathered.of(gate, lasts, t); one != nil {
		f(one)
	}
}

func (s *service) standsLocked(t target) bool {
	for slot, c := range s.seen.units {
		if c.ID == t.id {
			return nameOf(slot, c.ID) == t.name && !s.stopping[t.id] && !s.errand.detach[slot]
		}
	}
	return false
}

// weighLoad asks Docker what a container uses.
func (s *service) weighLoad(ctx context.Context, t target) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	u, err := s.agent.out.scales.Usage(ctx, t.id)
	if err != nil {
		if ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
			s.log.Debug().Err(err).Str("instance", t.name).Msg("what it uses is not known")
		}
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gathered.begin(s.post.Assigned.Rollout)
	if _, known := s.gathered.loads[t.name]; !known && len(s.gathered.loads) >= mostInstances {
		return
	}
	s.gathered.loads[t.name] = weighed{at: time.Now(), usage: analysis.Usage{
		Canary: t.canary, Instance: t.name, Memory: min(u.Memory, mostEvents), Limit: t.limit,
		Periods: min(u.Periods, mostEvents), Throttled: min(u.Throttled, mostEvents),
	}}
}

// check asks a container for a path.
func (s *service) check(ctx context.Context, p rollout.Probe, t target) {
	patience := min(cmp.Or(p.Timeout, askLimit), checkLimit)
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := s.probeHTTP(limited, "http://"+t.addr.String()+p.Path)
	if ctx.Err() != nil {
		return // it was not the container that gave up
	}
	every := cmp.Or(p.Every, askEvery)
	s.keepAnswer(p.Gate, 2*every+patience, t, func(a *answer) {
		a.at, a.counted = time.Now(), true
		bad := int64(0)
		if err != nil {
			bad = 1
		}
		a.count(1, bad)
	})
}

// scraping is a page of metrics, its selectors read.
type scraping struct {
	rollout.Scrape

	every      time.Duration
	bad, total *rollout.Series // nil: not asked for
	read       map[string]rollout.Series
	names      map[string]bool
}

func newScrape(m rollout.Scrape) (scraping, error) {
	p := scraping{Scrape: m, every: cmp.Or(m.Every, askEvery), read: map[string]rollout.Series{}, names: map[string]bool{}}
	for to, text := range map[**rollout.Series]string{&p.bad: m.Bad, &p.total: m.Total} {
		if text == "" {
			continue
		}
		series, err := rollout.ParseSeries(text)
		if err != nil {
			return p, err
		}
		*to, p.names[series.Name] = &series, true
	}
	for variable, text := range m.Read {
		series, err := rollout.ParseSeries(text)
		if err != nil {
			return p, fmt.Errorf("%s: %w", variable, err)
		}
		p.read[variable], p.names[series.Name] = series, true
	}
	return p, nil
}

// scrape reads a container's page.
func (s *service) scrape(ctx context.Context, p scraping, t target) {
	limited, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	addr := t.addr
	if p.Port > 0 {
		addr = netip.AddrPortFrom(addr.Addr(), uint16(p.Port))
	}
	body, err := s.agent.page(limited, "http://"+addr.String()+p.Path)
	var found samples
	if err == nil {
		found, err = readPage(body, p.names)
	}
	if ctx.Err() != nil {
		return
	}
	s.keepAnswer(p.Gate, 2*p.every+askLimit, t, func(a *answer) {
		if err == nil {
			err = s.takePage(p, found, t, a)
		}
		if err != nil && !a.complains {
			s.log.Warn().Err(err).Str("gate", p.Gate).Str("instance", t.name).Msg("metrics are not known")
		}
		a.complains = err != nil
	})
}

// takePage notes what a page says. The caller holds s.mu.
func (s *service) takePage(p scraping, found samples, t target, a *answer) error {
	if p.bad != nil {
		bad, all, err := s.counters(p, found, t)
		if err != nil {
			return err
		}
		a.read(bad, all)
	}
	values := map[string]float64{}
	for variable, series := range p.read {
		if v, ok := found.value(series); ok {
			values[variable] = v
		}
	}
	a.values = values
	if len(p.read) > 0 && len(values) == 0 {
		return errors.New("none of what is to be read is on the page")
	}
	a.at = time.Now()
	return nil
}

// counters are the bad events and all of them. The caller holds s.mu.
func (s *service) counters(p scraping, found samples, t target) (bad, all int64, err error) {
	if bad, err = found.total(*p.bad); err != nil {
		return 0, 0, err
	}
	if p.total == nil {
		return bad, s.meter.requests(t.name), nil
	}
	all, err = found.total(*p.total)
	return bad, all, err
}
