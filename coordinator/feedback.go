package coordinator

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
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

// feedback counts what users say, since this replica runs.
type feedback struct {
	mu      sync.Mutex
	counts  map[opinion]int64
	refused map[string]refused // by service that there is; "" for all others
}

// refused are the messages that were not counted.
type refused struct {
	n    int64
	last string // why the last one was not
}

func newFeedback() *feedback {
	return &feedback{counts: map[opinion]int64{}, refused: map[string]refused{}}
}

// hearFeedback counts one message, and answers it if it is a request. One that
// cannot be counted is told of in the log, more and more rarely, and with the
// gates of the rollout.
func (n *listener) hearFeedback(m bus.Msg) {
	reply, refusal := n.takeFeedback(m)
	if refusal != nil {
		reply = api.Refused(refusal)
	}
	if m.Reply == "" || !n.leads.Load() {
		return
	}
	data, err := json.Marshal(reply)
	if err == nil {
		err = m.Respond(data)
	}
	if err != nil {
		n.log.Debug().Err(err).Str("subject", m.Subject).Msg("feedback not answered")
	}
}

func (n *listener) takeFeedback(m bus.Msg) (api.Reply, *rollout.Refusal) {
	service, err := bus.ParseFeedback(m.Subject)
	if err != nil {
		refusal := &rollout.Refusal{Code: rollout.CodeInvalid, Field: "subject", Message: err.Error()}
		return api.Reply{}, n.refuseFeedback("", refusal)
	}
	svc := n.ledger.State().Services[service]
	if svc == nil {
		refusal := &rollout.Refusal{Code: rollout.CodeUnknown, Field: "subject", Message: fmt.Sprintf("no service %q", service)}
		return api.Reply{}, n.refuseFeedback("", refusal)
	}
	said, problem := api.ParseFeedback(m.Data)
	if problem != nil {
		return api.Reply{}, n.refuseFeedback(service, problem.Refused())
	}
	if refusal := whose(svc, said.Revision); refusal != nil {
		return api.Reply{}, n.refuseFeedback(service, refusal)
	}
	if !n.feedback.add(opinion{service, said.Revision, said.Kind}, max(1, said.Count)) {
		return api.Reply{}, n.refuseFeedback(service, &rollout.Refusal{
			Code: rollout.CodeBusy, Field: "kind", Message: fmt.Sprintf("%d kinds and revisions are told apart already; use fewer kinds", mostOpinions),
		})
	}
	return countedBy(svc, said.Kind), nil
}

func (n *listener) refuseFeedback(service string, why *rollout.Refusal) *rollout.Refusal {
	if times := n.feedback.refuse(service, why.Error()); n.leads.Load() && times&(times-1) == 0 { // the 1st, 2nd, 4th, ...
		n.log.Warn().Err(why).Str("service", service).Int64("messages", times).Msg("feedback not counted")
	}
	return why
}

// whose says why a name is of no revision that has users, or of two.
func whose(svc *rollout.Service, name string) *rollout.Refusal {
	named := map[string]bool{}
	var known []string
	for _, r := range inUse(svc) {
		known = append(known, r.Version()+" ("+r.ID+")")
		if (opinion{revision: name}).names(r) {
			named[r.ID] = true
		}
	}
	switch len(named) {
	case 0:
		return &rollout.Refusal{Code: rollout.CodeUnknown, Field: "revision", Message: fmt.Sprintf(
			"%q has no users; of %s these have: %s", name, svc.Name, strings.Join(known, ", "))}
	case 1:
		return nil
	}
	return &rollout.Refusal{Code: rollout.CodeInvalid, Field: "revision", Message: fmt.Sprintf(
		"%q may be any of %s; name an id", name, strings.Join(known, ", "))}
}

// inUse lists the revisions that a service's users may meet, each once.
func inUse(svc *rollout.Service) []rollout.Revision {
	all := map[string]rollout.Revision{}
	if r := svc.Active; r != nil {
		all[r.To.ID] = r.To
	}
	if svc.Stable != nil {
		all[svc.Stable.ID] = *svc.Stable
	}
	for _, r := range svc.Held {
		all[r.ID] = r
	}
	return slices.SortedFunc(maps.Values(all), func(a, b rollout.Revision) int { return strings.Compare(a.ID, b.ID) })
}

// countedBy says what a message that was counted counts for.
func countedBy(svc *rollout.Service, kind string) api.Reply {
	r := svc.Active
	if r == nil || len(r.Spec.Gates.Feedback) == 0 {
		return api.Reply{OK: true, Message: "counted, but no rollout with a feedback gate runs"}
	}
	var kinds []string
	for _, g := range r.Spec.Gates.Feedback {
		if g.Counts(kind) {
			return api.Reply{OK: true, Rollout: r.ID}
		}
		kinds = append(kinds, g.Kinds...)
	}
	return api.Reply{OK: true, Rollout: r.ID, Message: fmt.Sprintf(
		"no gate counts the kind %q; they count %s", kind, strings.Join(kinds, ", "))}
}

// add counts, and returns false where there is no room to tell more apart.
func (f *feedback) add(o opinion, n int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.counts[o]; !known && len(f.counts) >= mostOpinions {
		return false
	}
	f.counts[o] += n
	return true
}

// refuse notes a message that is not counted, and returns how many there were.
func (f *feedback) refuse(service, why string) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := refused{f.refused[service].n + 1, why}
	f.refused[service] = r
	return r.n
}

// begin forgets what was said of a service before the rollout that begins: it
// has no requests to be compared with.
func (f *feedback) begin(service string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.refused, service)
	maps.DeleteFunc(f.counts, func(o opinion, _ int64) bool { return o.service == service })
}

// notes says for each service what was not counted, and why.
func (f *feedback) notes() map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := map[string]string{}
	for service, r := range f.refused {
		switch {
		case service == "":
		case r.n == 1:
			all[service] = "1 message was not counted: " + r.last
		default:
			all[service] = fmt.Sprintf("%d messages were not counted; the last: %s", r.n, r.last)
		}
	}
	return all
}

// of sums what was said about a revision, however it is called, that is bad to a
// gate. A name that the other one of the rollout has too tells nothing.
func (f *feedback) of(service string, r, other rollout.Revision, gate rollout.FeedbackGate) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	var n int64
	for o, count := range f.counts {
		named := o.names(r) && !o.names(other)
		if o.service == service && named && gate.Counts(o.kind) {
			n += count
		}
	}
	return n
}

// opinions tells the panel what users have said, now and then.
func (w *watch) opinions(at time.Duration) {
	gates := w.judging.Spec.Gates.Feedback
	if len(gates) == 0 || w.feedback == nil || at-w.opinionsAt < feedbackEvery {
		return
	}
	w.opinionsAt = at
	r := analysis.Report{Host: users, At: at, Signals: map[string]analysis.Signal{}, CanaryInstances: 1}
	canary, stable := w.pool.requests()
	to, from := w.judging.To, *w.judging.From
	for _, g := range gates {
		bad := analysis.Counts{Requests: canary, Errors: w.feedback.of(w.rollout.Service, to, from, g)}
		good := analysis.Counts{Requests: stable, Errors: w.feedback.of(w.rollout.Service, from, to, g)}
		r.Signals[g.Name] = analysis.Signal{Canary: bad, Stable: map[string]analysis.Counts{users: good}}
	}
	r.Pooled = true // users are no container
	w.panel.ObserveApart(r)
}
