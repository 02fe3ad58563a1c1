package rollout

import (
	"slices"
	"time"
)

// Fleet stands in a service's place where all of them are meant: no service may be
// called so.
const Fleet = "_fleet"

// tellTime is how much of the fleet's time may be lost to a freeze that has an end,
// should all replicas start anew: the state knows the time of its last entry alone.
const tellTime = 10 * time.Minute

// Freeze keeps rollouts of a service, or of the whole fleet, from beginning. It takes
// the place of a freeze of the same that is in force. What runs goes on.
type Freeze struct {
	Service string        `json:"service"`       // or Fleet
	For     time.Duration `json:"for,omitempty"` // 0: until it is thawed
	Reason  string        `json:"reason,omitempty"`
}

// Thaw ends a freeze.
type Thaw struct {
	Service string `json:"service"` // or Fleet
	Reason  string `json:"reason,omitempty"`
	// Over is the index of the freeze whose time is over; 0 where a person ends it.
	Over uint64 `json:"over,omitempty"`
}

// Tick tells the fleet's time and changes nothing else.
type Tick struct{}

// Frozen is a freeze in force.
type Frozen struct {
	Service string        `json:"service"` // or Fleet
	Index   uint64        `json:"index"`   // of the entry that it came by
	By      string        `json:"by"`
	Reason  string        `json:"reason,omitempty"`
	Since   int64         `json:"since"`           // Unix milliseconds, for display
	Until   time.Duration `json:"until,omitempty"` // on the fleet's clock; 0: until it is thawed
}

// Freezes are those that keep rollouts of a service from beginning at a time on the
// fleet's clock, its own before the fleet's. Of Fleet they are the fleet's alone.
func (s *State) Freezes(service string, now time.Duration) []Frozen {
	var all []Frozen
	for _, name := range slices.Compact([]string{service, Fleet}) {
		if f, ok := s.Frozen[name]; ok && !f.over(now) {
			all = append(all, f)
		}
	}
	return all
}

// FrozenOut returns the refusal of a rollout that was to take another's place when a
// freeze came; nil if that is not what became of the id.
func (s *State) FrozenOut(id string) *Refusal {
	for _, o := range slices.Backward(s.Outcomes) {
		if o.Refusal != nil && o.Refusal.Code == CodeFrozen && o.Refusal.Rollout == id {
			return o.Refusal
		}
	}
	return nil
}

// End is when a freeze ends, in Unix milliseconds to the second, as things are at a
// time on the fleet's clock at which wall clocks show wall: time without a leader puts
// it off. It is 0 for one that has no end.
func (f Frozen) End(now time.Duration, wall int64) int64 {
	if f.Until == 0 {
		return 0
	}
	return time.UnixMilli(wall).Add(f.Until - now).Round(time.Second).UnixMilli()
}

// Refusal refuses what the freeze keeps from beginning.
func (f Frozen) Refusal(now time.Duration, wall int64) *Refusal {
	return refusef(CodeFrozen, "", "%s; %s ends it, \"override_freeze\": true with a reason goes through it", f.sentence(now, wall), f.thaw())
}

// Private

func (Freeze) command() {}
func (Thaw) command()   {}
func (Tick) command()   {}

// thaws looks at the freezes as Decide looks at the rollouts: it returns the command
// to propose, nil for none, and when to look again.
func thaws(s *State, now time.Duration) (Command, time.Duration) {
	look := Never
	for _, name := range sortedNames(s.Frozen) {
		f := s.Frozen[name]
		switch {
		case f.over(now):
			return Thaw{Service: name, Over: f.Index}, Never
		case f.Until != 0:
			look = min(look, f.Until, s.Clock+tellTime)
		}
	}
	if look <= now {
		return Tick{}, Never
	}
	return nil, look
}

func (a *applier) freeze(c Freeze) {
	s := a.state
	if c.Service != Fleet && s.Services[c.Service] == nil {
		a.result.Refused = refusef(CodeUnknown, "", "no service %q", c.Service)
		return
	}
	f := Frozen{Service: c.Service, Index: a.index, By: a.stamp.By, Reason: c.Reason, Since: a.stamp.Wall}
	if c.For > 0 {
		f.Until = s.Clock + c.For
	}
	if s.Frozen == nil {
		s.Frozen = map[string]Frozen{}
	}
	s.Frozen[c.Service] = f
	a.append(Event{Kind: KindFrozen, Service: c.Service, Text: f.words(s.Clock, a.stamp.Wall)})
	for _, name := range s.Names() {
		if c.Service == Fleet || c.Service == name {
			a.dropNext(s.Services[name], f)
		}
	}
}

// dropNext refuses what waits to take another's place: it has not begun. Its id stays
// its own, so that who waits for it does not meet another rollout.
func (a *applier) dropNext(svc *Service, f Frozen) {
	next := svc.Next
	if next == nil || next.passes() {
		return
	}
	svc.Next = nil
	svc.Number++
	refusal := f.Refusal(a.state.Clock, a.stamp.Wall)
	refusal.Rollout = svc.rolloutID(svc.Number)
	a.refused(next.Key, svc.Name, refusal)
}

func (a *applier) thaw(c Thaw) {
	f, ok := a.state.Frozen[c.Service]
	switch {
	case c.Over != 0 && (f.Index != c.Over || !f.over(a.state.Clock)):
		a.result.Refused = refusef(CodeStale, "", "another freeze of %s is in force, or none", called(c.Service))
		return
	case !ok && c.Service != Fleet && a.state.Services[c.Service] == nil:
		a.result.Refused = refusef(CodeUnknown, "", "no service %q", c.Service)
		return
	case !ok:
		a.result.Refused = refusef(CodePhase, "", "%s is not frozen%s", called(c.Service), a.state.elsewhere(c.Service))
		return
	}
	delete(a.state.Frozen, c.Service)
	why := c.Reason
	if c.Over != 0 {
		why = "the time of the freeze is over"
	}
	a.append(Event{Kind: KindThawed, Service: c.Service, Text: sentence("thawed", why)})
}

// frozen refuses a trigger that a freeze keeps out. A return to what was stable
// before, and what a person wants to go through, are none.
func (a *applier) frozen(svc *Service, c Submit) bool {
	all := a.state.Freezes(svc.Name, a.state.Clock)
	if len(all) == 0 || c.passes() {
		return false
	}
	a.refuse(c.Key, svc.Name, all[0].Refusal(a.state.Clock, a.stamp.Wall))
	return true
}

// passes reports whether the submission goes through freezes.
func (c Submit) passes() bool { return c.Back || c.Override }

// overridden names the freezes that a submission goes through because a person says so.
func (a *applier) overridden(c Submit) string {
	if !c.Override {
		return ""
	}
	text := ""
	for _, f := range a.state.Freezes(c.Spec.Service, a.state.Clock) {
		if text != "" {
			text += "; "
		}
		text += f.sentence(a.state.Clock, a.stamp.Wall)
	}
	return text
}

func (f Frozen) over(now time.Duration) bool { return f.Until != 0 && now >= f.Until }

// sentence says what is frozen, by whom, until when and why.
func (f Frozen) sentence(now time.Duration, wall int64) string {
	return called(f.Service) + " is " + f.words(now, wall)
}

// words are the same without what is frozen.
func (f Frozen) words(now time.Duration, wall int64) string {
	head := "frozen by " + f.By
	if end := f.End(now, wall); end != 0 {
		head += " until " + clockTime(end)
	}
	return sentence(head, f.Reason)
}

// thaw is what a person types to end the freeze.
func (f Frozen) thaw() string {
	if f.Service == Fleet {
		return "`serin thaw`"
	}
	return "`serin thaw " + f.Service + "`"
}

// elsewhere says which other freeze may have been meant.
func (s *State) elsewhere(service string) string {
	if _, ok := s.Frozen[Fleet]; ok && service != Fleet {
		return ", the fleet is: `serin thaw` without a service ends that"
	}
	if names := sortedNames(s.Frozen); len(names) > 0 && service == Fleet {
		return "; frozen is " + list(names)
	}
	return ""
}

// called is what a service, or all of them, are called in a sentence.
func called(service string) string {
	if service == Fleet {
		return "the fleet"
	}
	return service
}

// clockTime renders Unix milliseconds for people, to the minute unless that would hide
// something.
func clockTime(ms int64) string {
	t := time.UnixMilli(ms).UTC()
	if t.Second() == 0 {
		return t.Format("2006-01-02 15:04 UTC")
	}
	return t.Format("2006-01-02 15:04:05 UTC")
}
