package trace

import (
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// The keys of attributes; docs/traces.md tells what they mean.
const (
	keyService  = "serin.service"
	keyRollout  = "serin.rollout"
	keyFrom     = "serin.version.from"
	keyTo       = "serin.version.to"
	keyImage    = "serin.image"
	keyOutcome  = "serin.outcome"
	keyCause    = "serin.cause"
	keySteps    = "serin.steps"
	keyHosts    = "serin.hosts"
	keyZero     = "serin.rollback.seconds"
	keyStep     = "serin.step"
	keyWeight   = "serin.weight"
	keyWave     = "serin.wave"
	keyVerdict  = "serin.verdict"
	keyGate     = "serin.gate"
	keyBy       = "serin.by"
	keyText     = "serin.text"
	keyEpoch    = "serin.epoch"
	keyTries    = "serin.tries"
	keyHost     = "host.name"
	keyRequests = ".requests"
	keyErrors   = ".errors"
)

// Op is an operation on a host, with all tries at it that followed each other.
type Op struct {
	Name    string // its kind: "pull"
	Text    string // it in words
	Host    string
	Service string
	Rollout string
	Epoch   uint64 // of the assignment that it was done for
	Parent  Context
	Start   time.Time
	End     time.Time
	Tries   int
	Err     error // of the last try; nil if it was done, or left off
}

// Span makes the operation's span.
func (o Op) Span() Span {
	s := Span{
		Name: o.Name, At: Context{Trace: o.Parent.Trace}, Parent: o.Parent,
		Start: o.Start.UnixMicro(), End: o.End.UnixMicro(), Outcome: Done,
		Attributes: append(
			texts(keyService, o.Service, keyRollout, o.Rollout, keyHost, o.Host, keyText, o.Text),
			Attribute{keyEpoch, int64(o.Epoch)}, Attribute{keyTries, int64(o.Tries)},
		),
	}
	if o.Err != nil {
		s.Outcome, s.Text = Failed, o.Err.Error()
	}
	return s
}

// Private

// texts makes attributes of keys and texts in turn; what is empty is left out.
func texts(pairs ...string) []Attribute {
	var all []Attribute
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			all = append(all, Attribute{pairs[i], pairs[i+1]})
		}
	}
	return all
}

// about is what every span of a rollout has.
func about(e rollout.Event) []Attribute {
	return texts(keyService, e.Service, keyRollout, e.Rollout)
}

// stepOf tells what a step is, where one begins.
func stepOf(e rollout.Event) []Attribute {
	if e.Phase != rollout.Progressing {
		return nil
	}
	return []Attribute{
		{keyStep, int64(e.Step)}, {keySteps, int64(e.Steps)}, {keyWeight, float64(e.Weight) / rollout.Full}, {keyWave, int64(e.Hosts)},
	}
}

// verdictOf tells what a phase was left for.
func verdictOf(e rollout.Event) []Attribute {
	v := e.Verdict
	if v == nil {
		return texts(keyBy, e.By)
	}
	all := texts(keyBy, e.By, keyVerdict, v.Outcome.String(), keyGate, v.Gate)
	for _, track := range []struct {
		name string
		n    analysis.Counts
	}{{"serin.canary", v.Canary}, {"serin.stable", v.Stable}} {
		all = append(all, Attribute{track.name + keyRequests, track.n.Requests}, Attribute{track.name + keyErrors, track.n.Errors})
	}
	return all
}

// note is an event within a phase.
func note(e rollout.Event) Note {
	return Note{
		Name: string(e.Kind), Wall: micros(e.Wall),
		Attributes: texts(keyText, e.Text, keyBy, e.By, keyCause, string(e.Cause), keyHost, e.Host),
	}
}
