package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/chaos/history"
	"github.com/serin-rollouts/serin/internal/rollout"
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

// TestReportVersions: the report says of each version how often it was rolled out, and
// how that ended.
func TestReportVersions(t *testing.T) {
	r := &history.Record{Plans: []history.Plan{{ID: "a", Service: "shop", Version: "dies", Ill: "dies"}, {ID: "b", Service: "shop", Version: "v2"}}}
	for i, e := range []rollout.Event{
		{Rollout: "shop-1", To: "dies", Key: "id:shop:a", Kind: rollout.KindSubmitted, Phase: rollout.Preparing},
		{Rollout: "shop-1", To: "dies", Kind: rollout.KindRolledBack, Phase: rollout.RolledBack},
		{Rollout: "shop-2", To: "dies", Kind: rollout.KindSubmitted, Phase: rollout.Preparing},
		{Rollout: "shop-2", To: "dies", Kind: rollout.KindAborted, Phase: rollout.Aborted},
		{Rollout: "shop-3", To: "v2", Key: "id:shop:b", Kind: rollout.KindSubmitted, Phase: rollout.Preparing},
		{Rollout: "shop-3", To: "v2", Kind: rollout.KindSucceeded, Phase: rollout.Succeeded},
	} {
		e.Seq, e.Service = uint64(i+1), "shop"
		r.End.Events = append(r.End.Events, e)
	}
	var lines []string
	for line := range strings.Lines(NewReport(r, nil).Text()) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	for _, want := range []string{"dies dies 2: 1 Aborted, 1 RolledBack", "v2 nothing is wrong with it 1: 1 Succeeded", "3 rollouts run: 1 Aborted, 1 RolledBack, 1 Succeeded; 0 calls of operators"} {
		if !slices.Contains(lines, want) {
			t.Errorf("%q is not in:\n%s", want, strings.Join(lines, "\n"))
		}
	}
}
