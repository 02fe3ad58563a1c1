package analysis

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Sums are all that a gate's finding follows from, in integers: whoever has them can judge again,
// by the same code, and needs no reports. Evidence is in quanta of 2^-24 nats.
type Sums struct {
	// Optional and FailOnSilence are the gate's Conduct; Began and Heard are when its source could
	// first have spoken in the step, and when it last did.
	Optional      bool          `json:"optional,omitempty"`
	FailOnSilence bool          `json:"fail_on_silence,omitempty"`
	Began         time.Duration `json:"began_ns"`
	Heard         time.Duration `json:"heard_ns"`
	// Left: the rest was left out, for there are too many gates to carry it. The finding is taken as
	// it is.
	Left bool `json:"left,omitempty"`

	// What kind of gate it is: one of these.
	Rate      *RateSums      `json:"rate,omitempty"`
	Latency   *LatencySums   `json:"latency,omitempty"`
	Usage     *UsageSums     `json:"usage,omitempty"`
	Condition *ConditionSums `json:"condition,omitempty"`
}

// ErrNoSums means that a verdict does not carry what it follows from.
var ErrNoSums = errors.New("the verdict carries no sums")

// Repeat judges again by the sums that the verdict carries, and by nothing else in it but the names
// of the gates, which of them are only observed, and the time. On the machine that judged first, and
// any other of its kind, what comes out equals the verdict itself.
func (v Verdict) Repeat() (Verdict, error) {
	p := &Panel{}
	for _, f := range v.Findings {
		if f.Sums == nil {
			return Verdict{}, fmt.Errorf("%w: gate %s", ErrNoSums, f.Gate)
		}
		c := Conduct{Name: f.Gate, Observe: f.Observe, Optional: f.Sums.Optional, OnSilence: WaitOnSilence}
		if f.Sums.FailOnSilence {
			c.OnSilence = FailOnSilence
		}
		s := &seat{Conduct: c, began: f.Sums.Began, heard: f.Sums.Heard}
		var err error
		if s.judge, err = f.Sums.judge(f.Gate, v.At); err != nil {
			return Verdict{}, fmt.Errorf("gate %s: %w", f.Gate, err)
		}
		if f.Sums.Left {
			s.judge = asTold(f, s.silent(v.At))
		}
		p.seats = append(p.seats, s)
	}
	if len(p.seats) == 0 {
		return Verdict{}, ErrNoSums
	}
	return p.Verdict(v.At), nil
}

// Left returns the gates whose findings Repeat takes as they are.
func (v Verdict) Left() []string {
	var gates []string
	for _, f := range v.Findings {
		if f.Sums != nil && f.Sums.Left {
			gates = append(gates, f.Gate)
		}
	}
	return gates
}

// WithoutSums returns the verdict without what it follows from, for those who only show it.
func (v Verdict) WithoutSums() Verdict {
	v.Findings = slices.Clone(v.Findings)
	for k := range v.Findings {
		v.Findings[k].Sums = nil
	}
	return v
}

// Private

// summed is what a judge's finding follows from.
type summed interface {
	sums(now time.Duration, into *Sums)
}

// carry adds the sums to a verdict that decides something.
func (p *Panel) carry(v *Verdict) {
	if v.Outcome != Wait || v.Outlier != "" {
		p.attach(v)
	}
}

// mostDigits bounds what a verdict's sums add to an event, in bytes: that has to stay below 64 KiB.
const mostDigits = 52 << 10

// attach adds the sums of the gate that decides, and then of the others in their order, as long as
// there is room.
func (p *Panel) attach(v *Verdict) {
	room := mostDigits
	add := func(k int) {
		s := p.seats[k]
		into := Sums{Optional: s.Optional, FailOnSilence: s.OnSilence == FailOnSilence, Began: s.began, Heard: s.heard}
		full := into
		if j, can := s.judge.(summed); can {
			j.sums(v.At, &full)
		}
		if n := full.size(); n <= room {
			room -= n
			into = full
		} else {
			into.Left = true
		}
		v.Findings[k].Sums = &into
	}
	for _, first := range []bool{true, false} {
		for k := range p.seats {
			if decides := v.Findings[k].Gate == v.Gate; decides == first {
				add(k)
			}
		}
	}
}

// judge makes one of that name that comes to the same finding at that time. It has not heard the
// reports.
func (s *Sums) judge(name string, at time.Duration) (judge, error) {
	switch {
	case s.Left:
		return nil, nil //nolint:nilnil // its finding stands for it
	case s.Rate != nil:
		j, err := s.Rate.judge(at)
		return &rateJudge{Judge: j}, err
	case s.Latency != nil:
		return s.Latency.judge(at)
	case s.Usage != nil:
		return s.Usage.judge(at)
	case s.Condition != nil:
		c := s.Condition
		return &conditionJudge{
			name: name, most: c.Most, failed: c.Failed, held: c.Held, heard: c.Heard, latched: c.Latched, last: Told{Text: c.Text},
			missing: c.Missing, since: c.Since,
		}, nil
	}
	return nil, errors.New("its sums are of no known kind; a newer release may know it")
}

// parrot is a judge that says what it is told to.
type parrot struct{ said Finding }

// asTold says again what a finding says; a panel puts the word of silence before it once more.
func asTold(f Finding, silent bool) parrot {
	if silent {
		_, f.Reason, _ = strings.Cut(f.Reason, "; before: ")
	}
	f.Sums = nil
	return parrot{f}
}

func (parrot) observe(Report) bool              { return false }
func (parrot) restart(time.Duration, Step)      {}
func (t parrot) finding(time.Duration) Finding  { return t.said }
func (parrot) sums(_ time.Duration, into *Sums) { into.Left = true }
