package coordinator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/coordinator/source"
	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/condition"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// asker asks the conditions of a rollout's gates. Only the loop uses it.
type asker struct {
	conditions map[string]*condition.Condition
	gates      []rollout.MetricsGate    // whose conditions are on what containers say
	due        map[string]time.Duration // when each of them is asked next
}

// outside is a condition on the answer of somebody elsewhere.
type outside struct {
	gate    string
	every   time.Duration
	when    string
	holds   *condition.Condition
	inquire func(ctx context.Context) (condition.Values, string, error)
}

// newAsker returns nil where a rollout has no such gates. Its spec was checked
// before it was submitted.
func newAsker(g rollout.Gates) *asker {
	conditions, problem := condition.Of(g)
	if problem != nil || len(conditions) == 0 {
		return nil
	}
	a := &asker{conditions: conditions, due: map[string]time.Duration{}}
	for _, m := range g.Metrics {
		if conditions[m.Name] != nil {
			a.gates = append(a.gates, m)
		}
	}
	return a
}

// askContainers asks what is due of the conditions on containers' own readings.
// While the canary does not serve, no condition is asked, of nobody, and none is
// silent.
func (w *watch) askContainers(now time.Duration) {
	if w.asker == nil {
		return
	}
	if !w.asking() {
		w.panel.Unasked(now)
		return
	}
	for _, g := range w.asker.gates {
		if now < w.asker.due[g.Name] {
			continue
		}
		w.asker.due[g.Name] = now + g.Every
		values, text := w.readings.values(g.Name, now)
		w.tell(g.Name, w.asker.conditions[g.Name], g.When, values, text, now)
	}
}

// nextQuestion is when askContainers has something to do.
func (w *watch) nextQuestion() time.Duration {
	next := rollout.Never
	if w.asker == nil || !w.asking() {
		return next
	}
	for _, g := range w.asker.gates {
		next = min(next, w.asker.due[g.Name])
	}
	return next
}

// asking reports whether the canary serves, so that answers are about it.
func (w *watch) asking() bool {
	return w.panel != nil && w.moving() && w.settledAt >= 0 && w.rollout.Weight() > 0
}

// tell lets the panel know what a condition came to; want of data is silence.
func (w *watch) tell(gate string, c *condition.Condition, when string, values condition.Values, text string, now time.Duration) {
	w.stale = true
	held, err := c.Holds(values)
	if err != nil {
		w.panel.Unanswered(gate, err.Error(), now)
		return
	}
	w.panel.Tell(gate, analysis.Told{At: now, Held: held, Text: text + "; asked was " + when})
}

// askOutside begins to ask Prometheus and pages for a rollout's gates, each at
// its own pace, until the rollout is no longer watched.
func (l *leader) askOutside(ctx context.Context, w *watch) {
	if w.asker == nil {
		return
	}
	for _, q := range w.asker.outside(w.rollout) {
		l.spawn(ctx, func(ctx context.Context) { l.inquire(ctx, w, q) })
	}
}

// inquire asks one question again and again.
func (l *leader) inquire(ctx context.Context, w *watch, q outside) {
	said := ""
	for {
		pause(ctx, q.every)
		watched, asking := false, false
		if err := l.do(ctx, func() { watched, asking = l.watches[w.rollout.Service] == w, w.asking() }); err != nil || !watched {
			return
		}
		if !asking {
			continue
		}
		values, text, err := q.inquire(ctx)
		if err != nil {
			if ctx.Err() == nil && err.Error() != said {
				said = err.Error()
				l.log.Warn().Err(err).Str("rollout", w.rollout.ID).Str("gate", q.gate).Msg("gate's source does not answer")
			}
		} else {
			said = ""
		}
		if l.do(ctx, func() { w.answer(q, values, text, err, l.clock.now()) }) != nil {
			return
		}
	}
}

// answer takes in what was asked for a moment ago, or why there is no answer;
// the canary may be gone by now.
func (w *watch) answer(q outside, values condition.Values, text string, lack error, now time.Duration) {
	switch {
	case !w.asking():
	case lack != nil:
		w.stale = true
		w.panel.Unanswered(q.gate, lack.Error(), now)
	default:
		w.tell(q.gate, q.holds, q.when, values, text, now)
	}
}

// Private

// outside lists the questions to others than the agents.
func (a *asker) outside(r *rollout.Rollout) []outside {
	var all []outside
	for _, g := range r.Spec.Gates.Prometheus {
		server, err := source.NewPrometheus(g.Address) // one for all questions: it keeps its connection
		all = append(all, outside{g.Name, g.Every, g.When, a.conditions[g.Name], func(ctx context.Context) (condition.Values, string, error) {
			if err != nil {
				return condition.Values{}, "", err
			}
			return askPrometheus(ctx, server, g, r)
		}})
	}
	for _, g := range r.Spec.Gates.Checks {
		if g.URL != "" {
			all = append(all, outside{g.Name, g.Every, g.When, a.conditions[g.Name], func(ctx context.Context) (condition.Values, string, error) {
				return askPage(ctx, g)
			}})
		}
	}
	return all
}

// askPrometheus asks each query of a gate once for each track.
func askPrometheus(ctx context.Context, server *source.Prometheus, g rollout.PrometheusGate, r *rollout.Rollout) (condition.Values, string, error) {
	var values condition.Values
	revisions := map[string]rollout.Revision{condition.Canary: r.To}
	if r.From != nil {
		revisions[condition.Stable] = *r.From
	}
	var told []string
	for _, name := range slices.Sorted(maps.Keys(g.Queries)) {
		for _, track := range slices.Sorted(maps.Keys(revisions)) {
			query := strings.NewReplacer("$revision", revisions[track].ID, "$service", r.Service, "$track", track).Replace(g.Queries[name])
			x, err := server.Ask(ctx, query)
			if errors.Is(err, source.ErrNoValue) {
				continue // the condition may do without it
			}
			if err != nil {
				return values, "", err
			}
			values.Number(track+"."+name, x)
			told = append(told, figure(track+"."+name, x))
		}
	}
	return values, strings.Join(told, ", "), nil
}

// askPage asks for a page. No answer is one, too: status 0.
func askPage(ctx context.Context, g rollout.CheckGate) (condition.Values, string, error) {
	var values condition.Values
	page, err := source.Get(ctx, g.URL, g.Timeout)
	if ctx.Err() != nil {
		return values, "", fmt.Errorf("check %s: %w", g.Name, ctx.Err())
	}
	text := fmt.Sprintf("%s answered %d in %d ms", g.URL, page.Status, page.Took.Milliseconds())
	if err != nil {
		text = err.Error()
	}
	values.Number(condition.Status, float64(page.Status))
	values.Number(condition.Took, float64(page.Took.Milliseconds()))
	values.Text(condition.Body, page.Body)
	return values, text, nil
}

func figure(name string, x float64) string {
	return name + " " + strconv.FormatFloat(x, 'g', 4, 64)
}
