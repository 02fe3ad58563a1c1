package coordinator

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// BenchmarkRound is what one round of reports of a large rollout costs the
// loop: every host is heard, and the loop looks once for each hundred.
func BenchmarkRound(b *testing.B) {
	for _, hosts := range []int{100, 1_000, 10_000} {
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) {
			l, s, reports := largeFleet(b.Context(), hosts)
			b.ResetTimer()
			for n := 0; b.Loop(); n++ {
				at := time.Duration(n+1) * time.Second
				for i := range reports {
					h := reports[i]
					h.Sequence, h.Nonce = uint64(n+1), uint64(n+1)
					x := h.Services[0]
					x.CanaryCounts.Requests = int64(n * 10)
					x.StableCounts = map[string]analysis.Counts{"a1": {Requests: int64(n * 90)}}
					h.Services = []wire.ServiceHealth{x}
					h.Mark = at + time.Duration(i)
					l.answer(s, l.hear(h, at), at)
					if i%100 == 0 {
						l.fold()
						rollout.Decide(s, l.evidence(at), at)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(hosts), "ns/report")
		})
	}
}

// BenchmarkFollow is what such a round costs a replica that does not lead: it
// hears every host, brings the reports into order and judges them, but looks at
// no verdict.
func BenchmarkFollow(b *testing.B) {
	for _, hosts := range []int{100, 1_000, 10_000} {
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) {
			l, _, reports := largeFleet(b.Context(), hosts)
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				at := time.Duration(n+1) * time.Second
				for i, h := range reports {
					h.Sequence, h.Mark = uint64(n+1), at+time.Duration(i)
					x := h.Services[0]
					x.CanaryCounts.Requests = int64(n * 10)
					x.StableCounts = map[string]analysis.Counts{"a1": {Requests: int64(n * 90)}}
					h.Services = []wire.ServiceHealth{x}
					l.hear(h, at)
				}
				l.fold()
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(hosts), "ns/report")
		})
	}
}

func largeFleet(ctx context.Context, hosts int) (*leader, *rollout.State, []wire.Health) {
	svc := atFirstStep(rollout.Step{Hosts: rollout.HostCount{Share: rollout.Full}, Weight: 1000, Hold: time.Hour})
	svc.Active.Spec.Deadline = 24 * time.Hour
	svc.Active.Hosts = nil
	var reports []wire.Health
	for i := range hosts {
		name := fmt.Sprintf("web-%05d", i)
		svc.Active.Hosts = append(svc.Active.Hosts, name)
		reports = append(reports, wire.Health{Host: name, Started: "1", Services: []wire.ServiceHealth{{
			Service: checkout, Epoch: svc.Epoch, Settled: true, HasImage: true, Weight: 1000, Incarnation: "1", CanaryInstances: 1,
		}}})
	}
	s := rollout.NewState()
	s.Index = 5
	s.Services[checkout] = svc
	p := parts{cfg: Config{ID: "c1", Lease: DefaultLease}, log: testLog(), ledger: newGroup("c1").members["c1"]}
	p.listener = newListener(p)
	l := newLeader(p, 1)
	l.keepUp(ctx, s)
	return l, s, reports
}
