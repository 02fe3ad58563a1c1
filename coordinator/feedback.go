package coordinator

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const (
	// mostOpinions bounds the revisions and kinds that are told apart.
	mostOpinions = 4_096
	// feedbackEvery is how often the panel hears of feedback.
	feedbackEvery = time.Second
	// users is the name of the pseudo-host that feedback comes from.
	users = "users"
)

// opinion is what is counted of feedback.
type opinion struct{ service, revision, kind string }

func (o opinion) names(r rollout.Revision) bool {
	return o.revision == r.ID || o.revision == r.Version() || o.revision == r.Name || o.revision == r.Image
}

// feedback counts what users say, since this leader leads.
type feedback struct {
	mu     sync.Mutex
	counts map[opinion]int64
}

func newFeedback() *feedback { return &feedback{counts: map[opinion]int64{}} }

// hearFeedback counts one message; what is no feedback is not counted.
func (l *leader) hearFeedback(m bus.Msg) {
	service, err := bus.ParseFeedback(m.Subject)
	if err != nil {
		return
	}
	said, err := api.ParseFeedback(m.Data)
	if err != nil {
		l.log.Debug().Err(err).Str("service", service).Msg("feedback not counted")
		return
	}
	l.feedback.add(opinion{service, said.Revision, said.Kind}, max(1, said.Count))
}

func (f *feedback) add(o opinion, n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.counts[o]; known || len(f.counts) < mostOpinions {
		f.counts[o] += n
	}
}

// of sums what was said about a revision, however it is called, in some kinds or
// in all. A name that the other one of the rollout has too tells nothing.
func (f *feedback) of(service string, r, other rollout.Revision, kinds []string) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	var n int64
	for o, count := range f.counts {
		named := o.names(r) && !o.names(other)
		if o.service == service && named && (len(kinds) == 0 || slices.Contains(kinds, o.kind)) {
			n += count
		}
	}
	return n
}

// opinions tells the panel what users have said, now and then.
func (l *leader) opinions(w *watch, now time.Duration) {
	gates := w.rollout.Spec.Gates.Feedback
	if len(gates) == 0 || w.panel == nil || !w.moving() || now-w.opinionsAt < feedbackEvery {
		return
	}
	w.opinionsAt = now
	r := analysis.Report{
		Host: users, Incarnation: "term-" + strconv.FormatUint(l.term, 10), At: now,
		Signals: map[string]analysis.Signal{}, CanaryInstances: 1,
	}
	canary, stable := w.pool.requests()
	to, from := w.rollout.To, *w.rollout.From
	for _, g := range gates {
		bad := analysis.Counts{Requests: canary, Errors: l.feedback.of(w.rollout.Service, to, from, g.Kinds)}
		good := analysis.Counts{Requests: stable, Errors: l.feedback.of(w.rollout.Service, from, to, g.Kinds)}
		r.Signals[g.Name] = analysis.Signal{Canary: bad, Stable: map[string]analysis.Counts{users: good}}
	}
	w.panel.ObserveApart(r)
	w.stale = true
}
