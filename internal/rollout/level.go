package rollout

// A level says what entries of the log may hold. Replicas of neighbouring
// releases work together: what a release adds to commands, or to what they
// carry, has a new level, and none of it is proposed before every replica has
// said that it understands it (Raise). A later level only adds.
const (
	LevelFirst = 1
	// LevelLost adds Raise, Lose, Submit.Back, and in a Spec LostAfter and MaxLost.
	LevelLost = 2
	// LevelRenew adds Renew, and in the state StepEpoch and Anew of a Rollout.
	LevelRenew = 3
	// LevelTrace adds Trace in a Submit and a Rollout.
	LevelTrace = 4
	// LevelIfNew adds Submit.IfNew.
	LevelIfNew = 5
	// LevelFreeze adds Freeze, Thaw, Tick, Submit.Override, and what they leave in the state.
	LevelFreeze = 7
	// LevelNewest is what this release understands.
	LevelNewest = LevelFreeze
)

// Raise lets the log hold what belongs to a level from here on. Whoever
// proposes it knows that every replica understands it.
type Raise struct {
	Level int `json:"level"`
}

// AtLevel returns what the log may hold.
func (s *State) AtLevel() int { return max(LevelFirst, s.Level) }

// Needs returns the level that a command belongs to.
func Needs(c Command) int {
	switch c := c.(type) {
	case Raise:
		return c.Level
	case Lose:
		return LevelLost
	case Renew:
		return LevelRenew
	case Freeze, Thaw, Tick:
		return LevelFreeze
	case Submit:
		return c.needs()
	case Refuse, Advance, Approve, Pause, Exclude, Release, Resume, Promote, RollBack, Abort, Finish:
	}
	return LevelFirst
}

// At returns the spec as the log may hold it at a level: without what is newer,
// and with the default of what an earlier one could not hold.
func (s Spec) At(level int) Spec {
	if level < LevelLost {
		s.LostAfter, s.MaxLost = 0, nil
		return s
	}
	return s.withLostDefaults()
}

// Private

func (c Submit) needs() int {
	switch {
	case c.Override:
		return LevelFreeze
	case c.IfNew:
		return LevelIfNew
	case c.Trace != "":
		return LevelTrace
	case c.Back || c.Spec.LostAfter != 0 || c.Spec.MaxLost != nil:
		return LevelLost
	}
	return LevelFirst
}

func (a *applier) raise(c Raise) {
	if c.Level <= a.state.AtLevel() {
		a.result.Refused = refusef(CodeStale, "", "the log is at level %d already", a.state.AtLevel())
		return
	}
	a.state.Level = c.Level
}
