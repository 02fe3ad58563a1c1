package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/cmd/serin/show"
	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/record"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// analyzed is what `serin analyze` prints of a record or a request log.
type analyzed struct {
	Format  record.Format `json:"format"`
	Rollout string        `json:"rollout,omitempty"`
	Service string        `json:"service,omitempty"`
	From    *time.Time    `json:"from,omitempty"` // the first entry; not known of every record
	Long    int64         `json:"millis"`         // from the first entry to the last
	Steps   int           `json:"steps"`
	// Outcome is wait, pass or fail, or observed where no gate decides.
	Outcome string `json:"outcome"`
	Gate    string `json:"gate,omitempty"`
	Host    string `json:"host,omitempty"`
	Outlier string `json:"outlier,omitempty"`
	Reason  string `json:"reason"`
	// Decided is when, in milliseconds since the first entry, Requests after how many to the canary,
	// of all steps; -1 and all of them if it is open.
	Decided  int64            `json:"decided_ms"`
	Requests int64            `json:"canary_requests"`
	Turns    []turn           `json:"turns"`
	Lost     int              `json:"turns_left_out,omitempty"`
	Verdict  analysis.Verdict `json:"verdict"`
	Full     bool             `json:"record_ended_by_size,omitempty"`
	Repeated *repeatedRecord  `json:"repeated,omitempty"`
}

// turn is a moment at which a gate, or all of them ("gate" is empty), changed its mind.
type turn struct {
	At       int64            `json:"at_ms"` // since the first entry
	Step     int              `json:"step"`
	Gate     string           `json:"gate,omitempty"`
	By       string           `json:"by,omitempty"` // of all together: the gate that decides
	Outcome  analysis.Outcome `json:"outcome"`
	Observe  bool             `json:"observe,omitempty"` // the gate decides nothing
	Requests int64            `json:"canary_requests"`
	Host     string           `json:"host,omitempty"`
	Outlier  string           `json:"outlier,omitempty"`
	Reason   string           `json:"reason"`
}

// repeatedRecord is what became of the verdicts in a record.
type repeatedRecord struct {
	Verdicts int    `json:"verdicts"`
	Differ   int    `json:"differ"`
	Line     int    `json:"first_line,omitempty"` // of the first that differs
	Differs  string `json:"differs,omitempty"`
}

// decision is what `serin analyze` prints of an event.
type decision struct {
	Seq     uint64           `json:"seq"`
	Kind    rollout.Kind     `json:"kind"`
	Rollout string           `json:"rollout"`
	Outcome analysis.Outcome `json:"outcome"`
	Gate    string           `json:"gate,omitempty"`
	Exact   bool             `json:"exact"`
	Differs string           `json:"differs,omitempty"`
	Left    []string         `json:"not_repeated,omitempty"` // gates whose sums had no room
	Verdict analysis.Verdict `json:"verdict"`                // as it came out
}

// Private

// report prints how a verdict developed, and turns it into the command's.
func (z *analyze) report(head record.Head, c *record.Course, format record.Format) error {
	r := summary(head, c)
	r.Format = format
	err := z.app.print(r, func(out io.Writer, o show.Options) error { return r.text(out, o) }, []string{r.Outcome})
	switch {
	case err != nil:
		return err
	case r.Repeated != nil && r.Repeated.Differ > 0:
		return exitf(exitUnexpected, "%s: line %d: the verdict is another one than was recorded: %s", z.from, r.Repeated.Line, r.Repeated.Differs)
	case r.Outcome == analysis.Fail.String():
		return exitf(exitRolledBack, "%s: the verdict is fail", z.from)
	}
	return nil
}

func summary(head record.Head, c *record.Course) analyzed {
	v := c.Result()
	from, to := c.Span()
	r := analyzed{
		Rollout: head.Rollout, Service: head.Service, Long: (to - from).Milliseconds(), Steps: c.Step(),
		Outcome: v.Outcome.String(), Gate: v.Gate, Host: v.Host, Outlier: v.Outlier, Reason: v.Reason,
		Decided: -1, Requests: c.Requests(), Verdict: v, Full: c.Full(), Turns: []turn{},
	}
	if head.Wall > 0 {
		at := time.UnixMilli(head.Wall).Add(from).UTC()
		r.From = &at
	}
	if t, is := c.Decided(); !decides(v) {
		r.Outcome, r.Reason = observedOnly, noneDecides
	} else if is {
		r.Decided, r.Requests = (t.At - from).Milliseconds(), t.Requests
	}
	turns, lost := c.Turns()
	r.Lost = lost
	for _, t := range turns {
		if t.Gate == "" && r.Outcome == observedOnly {
			continue // that none of them decides is no turn
		}
		r.Turns = append(r.Turns, turn{
			At: (t.At - from).Milliseconds(), Step: t.Step, Gate: t.Gate, By: t.By, Outcome: t.Outcome, Requests: t.Requests,
			Observe: slices.ContainsFunc(v.Findings, func(f analysis.Finding) bool { return f.Observe && f.Gate == t.Gate }),
			Host:    t.Host, Outlier: t.Outlier, Reason: t.Reason,
		})
	}
	if k := c.Checks(); k.Verdicts > 0 {
		r.Repeated = &repeatedRecord{Verdicts: k.Verdicts, Differ: k.Differ}
		if k.First != nil {
			r.Repeated.Line, r.Repeated.Differs = k.First.Line, k.First.Differs
		}
	}
	return r
}

// Where all gates are observed only, nothing was asked, and nothing passed: a rollout has no verdict then.
const (
	observedOnly = "observed"
	noneDecides  = "no gate decides; all of them are only observed"
)

// decides tells whether any gate of a verdict does.
func decides(v analysis.Verdict) bool {
	return slices.ContainsFunc(v.Findings, func(f analysis.Finding) bool { return !f.Observe })
}

func (r analyzed) text(out io.Writer, o show.Options) error {
	about := cmp.Or(r.Rollout, r.Service, "recorded data")
	if r.From != nil {
		about += " from " + r.From.In(o.Now.Location()).Format(time.DateTime)
	}
	if err := line(out, "%s: %s in %d step(s)", about, span(r.Long), r.Steps); err != nil {
		return err
	}
	rows := make([][]string, 0, len(r.Turns))
	for k, t := range r.Turns {
		rows = append(rows, []string{
			span(t.At), strconv.Itoa(t.Step), cmp.Or(t.Gate, "all"), t.word(), strconv.FormatInt(t.Requests, 10), r.why(k),
		})
	}
	if err := o.Turns(out, append(rows, r.undecided()...)); err != nil {
		return err
	}
	if r.Lost > 0 {
		if err := line(out, "%d more turns are left out", r.Lost); err != nil {
			return err
		}
	}
	return r.conclude(out)
}

// undecided are the gates that have waited all along: what they came to see, and
// what they still need.
func (r analyzed) undecided() [][]string {
	var rows [][]string
	for _, f := range r.Verdict.Findings {
		turned := slices.ContainsFunc(r.Turns, func(t turn) bool { return t.Gate == f.Gate })
		if f.Outcome == analysis.Wait && !turned {
			rows = append(rows, []string{
				span(r.Long), strconv.Itoa(r.Steps), f.Gate, turn{Outcome: f.Outcome, Observe: f.Observe}.word(), strconv.FormatInt(r.Requests, 10), f.Reason,
			})
		}
	}
	return rows
}

func (r analyzed) conclude(out io.Writer) error {
	verdict := fmt.Sprintf("%s after %s and %d canary requests", r.Outcome, span(r.Decided), r.Requests)
	if r.Decided < 0 {
		verdict = fmt.Sprintf("open after %d canary requests", r.Requests)
	}
	if r.Gate != "" {
		verdict += ": " + r.Gate
	}
	if verdict += ": " + r.Reason; r.Outcome == observedOnly {
		verdict = noneDecides
	}
	said := []string{"verdict: " + verdict}
	if r.Requests == 0 && r.Outcome != observedOnly {
		said = append(said, "no canary requests count yet: a host's do once it has served 4 of each version, or after a minute")
	}
	if r.Outlier != "" {
		said = append(said, "one host differs: "+r.Outlier+": "+r.Verdict.OutlierReason)
	}
	if k := r.Repeated; k != nil && k.Differ == 0 {
		said = append(said, fmt.Sprintf("%d recorded verdicts repeated exactly", k.Verdicts))
	}
	if r.Full {
		said = append(said, "the record ends before the rollout: it had reached its size")
	}
	return line(out, "%s", strings.Join(said, "\n"))
}

func (t turn) word() string {
	switch {
	case t.Outlier != "":
		return t.Outcome.String() + ", but " + t.Outlier
	case t.Observe:
		return t.Outcome.String() + " (observed)"
	}
	return t.Outcome.String()
}

// why is the reason of a turn, which of all together the gate's own line has. Where others follow on the one
// that takes canary back, it says so: a rollout would not have come to them.
func (r analyzed) why(k int) string {
	t, why := r.Turns[k], "by every gate"
	switch {
	case t.Gate != "" || t.Outlier != "":
		why = t.Reason
	case t.By != "":
		why = "by " + t.By
	}
	if t.Gate == "" && t.Outcome == analysis.Fail && t.At == r.Decided && k < len(r.Turns)-1 {
		why += "; here the rollout would have gone back"
	}
	return why
}

// span renders milliseconds as 1m34s.
func span(millis int64) string {
	return (time.Duration(millis) * time.Millisecond).Round(time.Second).String()
}

// repeat judges the decisions of events again.
func (z *analyze) repeat(in io.Reader) error {
	all := []decision{}
	others, err := record.Repeat(in, func(r record.Repeated) {
		all = append(all, decision{
			Seq: r.Event.Seq, Kind: r.Event.Kind, Rollout: r.Event.Rollout, Outcome: r.Judged.Outcome, Gate: r.Judged.Gate,
			Exact: r.Differs == "", Differs: r.Differs, Left: r.Left, Verdict: r.Judged.WithoutSums(),
		})
	})
	if err != nil {
		return err
	}
	err = z.app.print(all, func(out io.Writer, _ show.Options) error { return textOf(out, all, others) }, nil)
	if err != nil {
		return err
	}
	if k := slices.IndexFunc(all, func(d decision) bool { return !d.Exact }); k >= 0 {
		return exitf(exitUnexpected, "event %d: the verdict is another one than was recorded: %s", all[k].Seq, all[k].Differs)
	}
	return nil
}

func textOf(out io.Writer, all []decision, others int) error {
	for _, d := range all {
		word := "repeated exactly"
		if !d.Exact {
			word = "differs: " + d.Differs
		}
		if len(d.Left) > 0 {
			word += "; not repeated, for want of room in the event: " + strings.Join(d.Left, ", ")
		}
		if err := line(out, "event %d, %s of %s: %s: %s\n  %s", d.Seq, d.Kind, d.Rollout, d.Outcome, word, d.Verdict.Reason); err != nil {
			return err
		}
	}
	return line(out, "%d decisions by verdicts; %d other events", len(all), others)
}
