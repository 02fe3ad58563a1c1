package main

import (
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/analysis/traffic"
)

// What happens besides errors, on both tracks: how often an order goes wrong, a
// CPU period is throttled, a user complains.
const (
	orderRate    = .005
	throttleRate = .02
	complainRate = .002
)

// voices say what the gates besides errors and latency hear.
type voices struct {
	rng        *rand.Rand
	containers map[string]*voice
	complaints [2]int64         // of stable's users, and of canary's
	heard      [2]int64         // their requests
	requests   map[string]int64 // by container, as last reported
}

// voice is what a container counts by itself.
type voice struct {
	orders  analysis.Counts
	periods analysis.Counts
	memory  int64
}

func newVoices(seed uint64) *voices {
	return &voices{rng: rand.New(rand.NewPCG(seed, 2)), containers: make(map[string]*voice), requests: make(map[string]int64)}
}

// add adds to a report what the host's containers say of themselves.
func (v *voices) add(r *analysis.Report) {
	orders := analysis.Signal{Stable: make(map[string]analysis.Counts, len(r.Stable))}
	for _, name := range slices.Sorted(maps.Keys(r.Stable)) {
		c := v.count(r.Host+name, 0, r.Stable[name].Requests)
		orders.Stable[name] = c.orders
		r.Usage = append(r.Usage, c.usage(false, name))
	}
	c := v.count(r.Host, 1, r.Canary.Requests)
	orders.Canary = c.orders
	if r.Canary.Requests > 0 {
		r.Usage = append(r.Usage, c.usage(true, "canary"))
	}
	r.Signals = map[string]analysis.Signal{"orders": orders}
}

// count lets a container count what is new.
func (v *voices) count(name string, track int, requests int64) *voice {
	const mebibyte = 1 << 20
	c := v.containers[name]
	if c == nil {
		c = &voice{memory: int64((200 + 10*v.rng.NormFloat64()) * mebibyte)}
		v.containers[name] = c
	}
	n := requests - v.requests[name]
	v.requests[name] = requests
	c.orders.Requests += n
	c.orders.Errors += traffic.Binomial(v.rng, n, orderRate)
	if requests > 0 {
		const periods = 50 // ten a second
		c.periods.Requests += periods
		c.periods.Errors += traffic.Binomial(v.rng, periods, throttleRate)
	}
	v.heard[track] += n
	v.complaints[track] += traffic.Binomial(v.rng, n, complainRate)
	return c
}

func (c *voice) usage(canary bool, name string) analysis.Usage {
	return analysis.Usage{Canary: canary, Instance: name, Memory: c.memory, Periods: c.periods.Requests, Throttled: c.periods.Errors}
}

// users is what users say of both tracks, as the leader counts it.
func (v *voices) users(at time.Duration) analysis.Report {
	counts := func(track int) analysis.Counts {
		return analysis.Counts{Requests: v.heard[track], Errors: v.complaints[track]}
	}
	return analysis.Report{
		Host: "users", At: at, CanaryInstances: 1, Pooled: true,
		Signals: map[string]analysis.Signal{
			"feedback": {Canary: counts(1), Stable: map[string]analysis.Counts{"users": counts(0)}},
		},
	}
}
