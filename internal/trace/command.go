package trace

import "time"

// Command is what somebody has asked of the coordinator within a trace of their own.
type Command struct {
	Verb    string // "promote"
	Service string
	Rollout string // that it came to; may be empty
	By      string
	Parent  Context
	Start   time.Time
	End     time.Time
	Refused string // why; empty if it was done
}

// Span makes the command's span.
func (c Command) Span() Span {
	s := Span{
		Name: "command " + c.Verb, At: Context{Trace: c.Parent.Trace}, Parent: c.Parent,
		Start: c.Start.UnixMicro(), End: c.End.UnixMicro(), Outcome: Done,
		Attributes: texts(keyService, c.Service, keyRollout, c.Rollout, keyBy, c.By),
	}
	if c.Refused != "" {
		s.Outcome, s.Text = Failed, c.Refused
	}
	return s
}
