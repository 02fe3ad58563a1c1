package peers

import (
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
)

// minutes pools what the hosts serve into minutes, as a metrics server does.
type minutes struct {
	open analysis.Table
	last time.Duration // the end of the last one
}

// observe reports a minute when one is full.
func (m *minutes) observe(at time.Duration, hosts []analysis.Table) (analysis.Table, bool) {
	pool(&m.open, hosts)
	if at-m.last < time.Minute {
		return analysis.Table{}, false
	}
	full := m.open
	m.open, m.last = analysis.Table{}, at
	return full, full.CanaryN > 0 && full.StableN > 0
}

// Flagger checks each minute that canary's success rate is at least 99 %, and
// takes it back at the fifth failed check; a good minute forgives none.
type Flagger struct {
	minutes minutes
	failed  int
}

// Observe takes in what the hosts served since the last look.
func (f *Flagger) Observe(at time.Duration, hosts []analysis.Table) {
	if t, full := f.minutes.observe(at, hosts); full {
		f.Minute(float64(t.CanaryX) <= .01*float64(t.CanaryN))
	}
}

// Minute takes in one minute's check of any metric.
func (f *Flagger) Minute(good bool) {
	if !good {
		f.failed++
	}
}

// Fires tells whether five checks have failed; alpha has no meaning to it.
func (f *Flagger) Fires(float64) bool { return f.failed >= 5 }

// Argo measures each minute whether canary's success rate is at least 95 %, and
// takes it back when more than three measurements have failed.
type Argo struct {
	minutes minutes
	failed  int
}

// Observe takes in what the hosts served since the last look.
func (a *Argo) Observe(at time.Duration, hosts []analysis.Table) {
	if t, full := a.minutes.observe(at, hosts); full && float64(t.CanaryX) > .05*float64(t.CanaryN) {
		a.failed++
	}
}

// Fires tells whether four measurements have failed; alpha has no meaning to it.
func (a *Argo) Fires(float64) bool { return a.failed > 3 }
