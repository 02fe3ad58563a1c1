package bus_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/serin-rollouts/serin/internal/bus"
)

func TestSubjectsAreTheDocumentedOnes(t *testing.T) {
	got := []string{
		bus.TriggerSubject("checkout"), bus.CommandSubject("pause", "checkout"),
		bus.GetSubject("hosts", ""), bus.GetSubject("explain", "checkout-7"),
		bus.EventSubject("checkout", "checkout-7", "rolledback"), bus.StateSubject("checkout"),
		bus.StepSubject("checkout"), bus.BeatSubject, bus.AssignSubject("web-01"), bus.ResolveSubject("web-01"),
		bus.HealthSubject("web-01"), bus.FeedbackSubject("checkout"),
	}
	want := []string{
		"serin.v1.trigger.checkout", "serin.v1.cmd.pause.checkout",
		"serin.v1.get.hosts", "serin.v1.get.explain.checkout-7",
		"serin.v1.event.checkout.checkout-7.rolledback", "serin.v1.state.checkout",
		"serin.v1.step.checkout", "serin.v1.beat", "serin.v1.agent.web-01.assign", "serin.v1.agent.web-01.resolve",
		"serin.v1.health.web-01", "serin.v1.feedback.checkout",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestHostTokenOfNames(t *testing.T) {
	for host, want := range map[string]string{
		"web-01":                "web-01",
		"web-01.example.com":    "web-01_example_com",
		"WEB-01.Example.com":    "web-01_example_com",
		"":                      "",
		"web 01":                "",
		"web*":                  "",
		"wéb":                   "",
		strings.Repeat("a", 63): strings.Repeat("a", 63),
		strings.Repeat("a", 64): "",
	} {
		got, err := bus.HostToken(host)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("HostToken(%q) = %q, %v; want %q", host, got, err, want)
		}
		if err != nil && !errors.Is(err, bus.ErrToken) {
			t.Errorf("HostToken(%q): %v is not ErrToken", host, err)
		}
	}
}

func TestParseReturnsWhatWasPutIn(t *testing.T) {
	token := rapid.StringMatching(`[a-z0-9_-]{1,63}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := token.Draw(t, "a"), token.Draw(t, "b"), token.Draw(t, "c")
		for name, parse := range map[string]func() (string, error){
			"trigger":  func() (string, error) { return bus.ParseTrigger(bus.TriggerSubject(a)) },
			"health":   func() (string, error) { return bus.ParseHealth(bus.HealthSubject(a)) },
			"feedback": func() (string, error) { return bus.ParseFeedback(bus.FeedbackSubject(a)) },
			"step":     func() (string, error) { return bus.ParseStep(bus.StepSubject(a)) },
			"state":    func() (string, error) { return bus.ParseState(bus.StateSubject(a)) },
		} {
			if got, err := parse(); got != a || err != nil {
				t.Fatalf("%s: %q became %q, %v", name, a, got, err)
			}
		}
		if verb, service, err := bus.ParseCommand(bus.CommandSubject(a, b)); verb != a || service != b || err != nil {
			t.Fatalf("command: %q %q %v", verb, service, err)
		}
		if what, id, err := bus.ParseGet(bus.GetSubject(a, b)); what != a || id != b || err != nil {
			t.Fatalf("get: %q %q %v", what, id, err)
		}
		kind := b + "." + c
		if s, r, k, err := bus.ParseEvent(bus.EventSubject(a, b, kind)); s != a || r != b || k != kind || err != nil {
			t.Fatalf("event: %q %q %q %v", s, r, k, err)
		}
	})
}

func TestParseRefusesForeignSubjects(t *testing.T) {
	for _, subject := range []string{
		"", "serin.v1.trigger.", "serin.v1.trigger", "serin.v1.trigger.a.b", "serin.v1.trigger.A", "serin.v1.trigger.*",
		"serin.v2.trigger.a", "x.serin.v1.trigger.a", "serin.v1.triggers.a",
	} {
		if got, err := bus.ParseTrigger(subject); err == nil {
			t.Errorf("%q: accepted as service %q", subject, got)
		}
	}
	if _, _, err := bus.ParseGet("serin.v1.get.a.b.c"); !errors.Is(err, bus.ErrSubject) {
		t.Errorf("get with three tokens: %v", err)
	}
	if _, _, _, err := bus.ParseEvent("serin.v1.event.a.b"); !errors.Is(err, bus.ErrSubject) {
		t.Errorf("event without kind: %v", err)
	}
}
