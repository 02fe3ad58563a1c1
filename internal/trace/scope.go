package trace

import (
	"crypto/sha256"
	"strconv"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// The names of the spans of a rollout; steps are "step 1" and so on.
const (
	nameRollout  = "rollout"
	namePrepare  = "prepare"
	nameStep     = "step "
	namePromote  = "promote"
	nameRollBack = "rollback"
)

// Scope is the trace of one rollout: it names its spans.
type Scope struct {
	seed    string
	root    Context
	parent  Context // the trigger's; no place if it said none
	started int64   // Unix milliseconds
}

// Of returns the scope of a rollout. The source tells one coordinator's rollouts
// from another's (event.Source). A trigger that is a part of a trace itself has
// the rollout in that trace.
func Of(source string, r rollout.Rollout) Scope {
	s := Scope{seed: source + "\x00" + r.ID + "\x00" + strconv.FormatInt(r.Started, 10) + "\x00", started: r.Started}
	s.root = Context{Sampled: true}
	if parent, ok := Parse(r.Trace); ok {
		s.parent, s.root = parent, parent
	} else {
		sum := sha256.Sum256([]byte(s.seed + "trace"))
		copy(s.root.Trace[:], sum[:])
	}
	s.root.Span = s.id(nameRollout)
	return s
}

// Root returns the place of the whole rollout's span.
func (s Scope) Root() Context { return s.root }

// At returns the place of the span of a rollout's present phase and step, which
// counts from 1; that of the whole rollout, once it has ended.
func (s Scope) At(p rollout.Phase, step int) Context {
	if name := nameOf(p, step); name != "" {
		return s.child(name)
	}
	return s.root
}

// Private

// id follows from what every replica knows.
func (s Scope) id(name string) (id [8]byte) {
	sum := sha256.Sum256([]byte(s.seed + name))
	copy(id[:], sum[:])
	return id
}

func (s Scope) child(name string) Context {
	c := s.root
	c.Span = s.id(name)
	return c
}

// nameOf names the span that a phase belongs to; none once the rollout has ended.
func nameOf(p rollout.Phase, step int) string {
	switch p {
	case rollout.Preparing:
		return namePrepare
	case rollout.Progressing, rollout.Paused:
		return nameStep + strconv.Itoa(step)
	case rollout.Promoting:
		return namePromote
	case rollout.RollingBack:
		return nameRollBack
	case rollout.Succeeded, rollout.RolledBack, rollout.Aborted:
	}
	return ""
}
