package main

import (
	"strings"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/chaos/history"
)

// TestReportFaults: a fault that could not be made is no fault that the fleet stood,
// and is told of.
func TestReportFaults(t *testing.T) {
	r := &history.Record{Faults: []history.Fault{
		{Kind: "haproxy-kill", Targets: []string{"h1"}, Began: time.Second, Healed: 2 * time.Second, Recovered: 5 * time.Second},
		{Kind: "haproxy-kill", Targets: []string{"h2"}, Began: 9 * time.Second, Healed: 10 * time.Second, Recovered: 30 * time.Second, Note: "begin: h2 has no haproxy", Missed: true},
		{Kind: "agent-kill", Targets: []string{"h2"}, Began: 40 * time.Second, Healed: 41 * time.Second, Note: " recover: not whole"},
	}}
	report := NewReport(r, nil)
	if got, want := report.Faults["haproxy-kill"], (FaultKind{Injected: 1, SlowestSeconds: 3}); got != want {
		t.Errorf("haproxy-kill: %+v, want %+v", got, want)
	}
	if got := report.Faults["agent-kill"].Injected; got != 1 {
		t.Errorf("a fault after which the fleet was not whole counts %d times", got)
	}
	text := report.Text()
	for _, want := range []string{"\n2 faults injected\n", "\nNOT INJECTED: haproxy-kill of h2 at 9.00s: begin: h2 has no haproxy\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
}
