package analysis

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// oneCondition is a panel that one condition decides.
func oneCondition(c Conduct) *Panel {
	c.Name = "queue"
	return NewPanel(Gates{
		Errors:     RateGate{Conduct: Conduct{Name: "errors", Observe: true}},
		Conditions: []ConditionGate{{Conduct: c}},
	})
}

// Whoever comes to lead, for the first time or again, knows nothing of what somebody else was
// answered meanwhile: what was told before does not pass, and no failure is one running with it.
func TestConditionsOfAnotherLeader(t *testing.T) {
	p := oneCondition(Conduct{})
	is := func(second int, want Outcome, reason string) {
		t.Helper()
		if v := p.Verdict(time.Duration(second) * time.Second); v.Outcome != want || !strings.Contains(v.Reason, reason) {
			t.Errorf("after %d s: %s: %s", second, v.Outcome, v.Reason)
		}
	}
	tell := func(second int, held bool) {
		p.Tell("queue", Told{At: time.Duration(second) * time.Second, Held: held, Text: "queue is 7"})
	}
	tell(1, false)
	tell(2, false)
	is(3, Wait, "2 of 3 times running")
	p.Unasked(100 * time.Second) // somebody else has led
	is(100, Wait, "queue has not been evaluated in this step yet")
	tell(101, false)
	is(101, Wait, "1 of 3 times running")
	tell(102, true)
	is(102, Pass, "queue holds")
	p.Unasked(110 * time.Second)
	is(110, Wait, "queue has not been evaluated in this step yet")
	for second := 111; second <= 113; second++ {
		tell(second, false)
	}
	is(113, Fail, "false 3 times running")
	p.Unasked(120 * time.Second)
	is(120, Fail, "false 3 times running") // what has failed has failed
}

// Leaders may come and go as they like: a condition that is never true never passes, required or
// not, and fails as soon as one of them has asked often enough.
func TestFailingConditionNeverPasses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		optional := rapid.Bool().Draw(t, "optional")
		p := oneCondition(Conduct{Optional: optional})
		now, running := time.Duration(0), 0
		for running < defaultFailures {
			if rapid.IntRange(0, 2).Draw(t, "what") == 0 {
				p.Unasked(now)
				running = 0
			} else {
				p.Tell("queue", Told{At: now, Text: fmt.Sprint("asked at ", now)})
				running++
			}
			want := Wait
			if running == defaultFailures {
				want = Fail
			}
			for _, later := range []time.Duration{0, time.Second, Silence - 1} {
				if v := p.Verdict(now + later); v.Outcome != want {
					t.Fatalf("at %s, %d times running: %s, want %s: %s", now+later, running, v.Outcome, want, v.Reason)
				}
			}
			now += time.Duration(rapid.IntRange(1, 59).Draw(t, "seconds")) * time.Second
		}
	})
}

// An optional condition is passed over where it has no data, not where nobody has asked for any yet.
func TestOptionalConditionIsAskedFirst(t *testing.T) {
	p := oneCondition(Conduct{Optional: true})
	is := func(at time.Duration, want Outcome) {
		t.Helper()
		if v := p.Verdict(at); v.Outcome != want {
			t.Errorf("after %s: %s: %s", at, v.Outcome, v.Reason)
		}
	}
	is(time.Second, Wait)
	is(Silence, Pass) // nobody will, it seems
	p.Unanswered("queue", "no data for canary.queue", 2*time.Second)
	is(2*time.Second, Pass)
	p.Restart(3*time.Second, Step{})
	is(3*time.Second, Wait)
	p.Unanswered("queue", "no data for canary.queue", 4*time.Second)
	is(4*time.Second, Pass)
	p.Tell("queue", Told{At: 5 * time.Second})
	is(5*time.Second, Wait)
	p.Unanswered("queue", "no data for canary.queue", 6*time.Second)
	is(6*time.Second, Wait) // false is what is known
	is(5*time.Second+Silence, Pass)
}
