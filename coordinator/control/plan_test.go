package control

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/goldentest"
	"github.com/serin-rollouts/serin/internal/latency"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/specfile"
	"github.com/serin-rollouts/serin/internal/wire"
)

// TestPlanOfTheExample: what the operator's CLI shows in its own tests is what the coordinator says of
// these two files on a fleet of 100 hosts.
func TestPlanOfTheExample(t *testing.T) {
	was, is := exampleSpec(t, "before.yaml"), exampleSpec(t, "after.yaml")
	pinned := func(spec rollout.Spec, digit string) rollout.Revision {
		return rollout.NewRevision(spec, "registry.example.com/checkout@sha256:"+strings.Repeat(digit, 64))
	}
	stable := pinned(was, "1")
	svc := &rollout.Service{Name: "checkout", Stable: &stable, Spec: was}
	view := View{Hosts: exampleHosts(stable.ID)}
	p := Proposal{Spec: is, To: pinned(is, "2"), PerSecond: 100}
	for _, h := range view.Hosts {
		if h.Live {
			p.Hosts = append(p.Hosts, h.Health.Host)
		}
	}
	data, err := answer(planOf(svc, "checkout", p, view, rollout.LevelNewest))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := api.DecodeAnswer[api.Plan](data)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(plan, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	goldentest.Compare(t, "plan.json", string(text)+"\n")
}

func exampleSpec(t *testing.T, file string) rollout.Spec {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := specfile.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// exampleHosts are 101 hosts, of which one is silent and one in trouble; each of the others has answered
// 10,000 requests, of which 50 failed, in 50 to 250 ms.
func exampleHosts(stable string) []Host {
	const requests, errors = 10_000, 50
	times := latency.New()
	for k := range int64(requests) {
		times.Add(50_000 + 20*k)
	}
	var all []Host
	for k := range 101 {
		x := wire.ServiceHealth{
			Service: "checkout", Stable: stable, StableCounts: map[string]analysis.Counts{"a": {Requests: requests, Errors: errors}},
			Latencies: []analysis.Latency{{Instance: "a", Requests: requests, Lines: requests, Sketch: times.Encode()}},
		}
		h := Host{Live: true, Health: wire.Health{Host: fmt.Sprintf("web-%03d", k)}}
		switch k {
		case 44:
			h.Live, h.Seen = false, 2*time.Minute
		case 50:
			x.Problem = "container.health: no answer"
		}
		h.Health.Services = []wire.ServiceHealth{x}
		all = append(all, h)
	}
	return all
}
