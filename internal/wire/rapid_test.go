package wire

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
)

func TestRoundTrip(t *testing.T) {
	t.Run("health", func(t *testing.T) { roundTrip(t, drawHealth, EncodeHealth, DecodeHealth) })
	t.Run("assign", func(t *testing.T) { roundTrip(t, drawAssign, EncodeAssign, DecodeAssign) })
	t.Run("wave", func(t *testing.T) { roundTrip(t, drawWave, EncodeWave, DecodeWave) })
}

func roundTrip[T any](t *testing.T, draw func(*rapid.T) T, encode func(T) ([]byte, error), decode func([]byte) (T, error)) {
	t.Helper()
	rapid.Check(t, func(t *rapid.T) {
		want := draw(t)
		data, err := encode(want)
		if err != nil {
			t.Fatalf("encode %+v: %v", want, err)
		}
		got, err := decode(data)
		if err != nil {
			t.Fatalf("decode %+v: %v", want, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("changed on the way (-sent +received):\n%s", diff)
		}
	})
}

func name(t *rapid.T) string { return rapid.StringMatching(`[a-z0-9_-]{1,63}`).Draw(t, "name") }

func words(t *rapid.T) string { return rapid.StringN(-1, 40, 160).Draw(t, "words") }

func token(t *rapid.T) string { return rapid.StringN(-1, 20, maxToken).Draw(t, "token") }

func number(t *rapid.T, low, high int) int { return rapid.IntRange(low, high).Draw(t, "number") }

func span(t *rapid.T) time.Duration {
	return time.Duration(rapid.Int64Range(1, int64(maxDuration/time.Millisecond)).Draw(t, "ms")) * time.Millisecond
}

func yes(t *rapid.T) bool { return rapid.Bool().Draw(t, "bool") }

// table draws no empty map: the wire does not tell it from nil.
func table(t *rapid.T) map[string]string {
	m := rapid.MapOfN(rapid.StringN(1, 20, maxToken), rapid.StringN(-1, 20, 80), 0, 5).Draw(t, "table")
	if len(m) == 0 {
		return nil
	}
	return m
}

func drawCounts(t *rapid.T) analysis.Counts {
	return analysis.Counts{Requests: rapid.Int64Min(0).Draw(t, "requests"), Errors: rapid.Int64Min(0).Draw(t, "errors")}
}

func drawHealth(t *rapid.T) Health {
	h := Health{
		Host: rapid.StringMatching(`[a-z0-9.-]{1,253}`).Draw(t, "host"), Version: token(t), Nonce: rapid.Uint64().Draw(t, "nonce"),
		Sequence: rapid.Uint64().Draw(t, "sequence"), Started: token(t), Labels: table(t), Docker: token(t), HAProxy: token(t),
		Run: rapid.Uint64().Draw(t, "run"), Wall: rapid.Int64().Draw(t, "wall"), Mark: time.Duration(rapid.Int64Min(0).Draw(t, "mark")),
	}
	if rapid.Bool().Draw(t, "looked") {
		h.Checks = &Checks{
			DockerProblem: words(t), HAProxyProblem: words(t),
			DiskFree: rapid.Int64Min(0).Draw(t, "free"), DiskSize: rapid.Int64Min(0).Draw(t, "size"),
		}
	}
	seen := map[string]bool{}
	for range number(t, 0, 4) {
		s := drawServiceHealth(t)
		if !seen[s.Service] {
			h.Services = append(h.Services, s)
		}
		seen[s.Service] = true
	}
	return h
}

func drawServiceHealth(t *rapid.T) ServiceHealth {
	s := ServiceHealth{
		Service: name(t), Epoch: rapid.Uint64().Draw(t, "epoch"), Settled: yes(t), HasImage: yes(t), Weight: number(t, 0, 10_000),
		Stable: token(t), Canary: token(t), StableReady: number(t, 0, 64), CanaryReady: number(t, 0, 64), Deaths: number(t, 0, maxNumber),
		Death: words(t), Problem: words(t), Fatal: yes(t), Doing: words(t), WantsRaise: yes(t), Incarnation: token(t),
		Cause:        rapid.SampledFrom([]rollout.Cause{"", rollout.CauseDeath, rollout.CauseImage, rollout.CauseStart}).Draw(t, "cause"),
		CanaryCounts: drawCounts(t), CanaryInstances: number(t, 0, 64),
	}
	for range number(t, 0, 3) {
		if s.StableCounts == nil {
			s.StableCounts = map[string]analysis.Counts{}
		}
		s.StableCounts[token(t)] = drawCounts(t)
	}
	drawTelemetry(t, &s)
	return s
}

func drawTelemetry(t *rapid.T, s *ServiceHealth) {
	events := func() int64 { return rapid.Int64Range(0, maxRequests).Draw(t, "events") }
	counts := func() analysis.Counts { return analysis.Counts{Requests: events(), Errors: events()} }
	for i := range number(t, 0, 3) {
		l := analysis.Latency{Canary: yes(t), Route: "/" + strconv.Itoa(i), Lines: events()}
		if !l.Canary {
			l.Instance = strconv.Itoa(i)
		}
		if i == 0 {
			l.Route, l.Requests = "", events()
		}
		if l.Lines > 0 {
			l.Sketch = sampleSketch(rapid.SliceOfN(rapid.Int64Range(0, 1<<30), 0, 20).Draw(t, "micros")...)
		}
		s.Latencies = append(s.Latencies, l)
	}
	for i := range number(t, 0, 3) {
		if s.Signals == nil {
			s.Signals = map[string]analysis.Signal{}
		}
		signal := analysis.Signal{Canary: counts()}
		if yes(t) {
			signal.Stable = map[string]analysis.Counts{token(t): counts(), "": {}}
		}
		s.Signals["gate-"+strconv.Itoa(i)] = signal
		s.Usage = append(s.Usage, analysis.Usage{
			Canary: yes(t), Instance: strconv.Itoa(i), Memory: events(), Limit: rapid.Int64Min(0).Draw(t, "limit"),
			Periods: events(), Throttled: events(), Restarts: number(t, 0, maxNumber), OOMs: number(t, 0, maxNumber),
		})
		s.Readings = append(s.Readings, Reading{Gate: "gate-" + strconv.Itoa(i), Variable: "v", Canary: drawSpread(t), Stable: drawSpread(t)})
	}
}

func drawSpread(t *rapid.T) Spread {
	s := Spread{Containers: number(t, 0, maxInstances)}
	if s.Containers > 0 {
		s.Sum, s.Min, s.Max = rapid.Float64().Draw(t, "sum"), rapid.Float64().Draw(t, "min"), rapid.Float64().Draw(t, "max")
	}
	return s
}

func drawWanted(t *rapid.T) *rollout.Telemetry {
	w := &rollout.Telemetry{Routes: []string{"/"}[:number(t, 0, 1)]}
	if len(w.Routes) == 0 {
		w.Routes = nil
	}
	for i := range number(t, 0, 3) {
		gate, path := "gate-"+strconv.Itoa(i), rapid.StringMatching(`/[a-z/?=%0-9]{0,20}`).Draw(t, "path")
		if yes(t) {
			w.Checks = append(w.Checks, rollout.Probe{Gate: gate, Path: path, Every: span(t), Timeout: span(t)})
			continue
		}
		w.Metrics = append(w.Metrics, rollout.Scrape{
			Gate: gate, Path: path, Port: number(t, 0, 65535), Bad: words(t), Total: words(t), Read: table(t), Every: span(t),
		})
	}
	return w
}

func drawRevision(t *rapid.T) *rollout.Revision {
	kind := rapid.SampledFrom([]rollout.HealthKind{rollout.HTTPHealth, rollout.TCPHealth, rollout.DockerHealth}).Draw(t, "kind")
	r := &rollout.Revision{
		ID: rapid.StringMatching(`[a-f0-9]{10}`).Draw(t, "id"), Name: words(t), Image: digest, Replicas: number(t, 1, rollout.MaxReplicas),
		Container: rollout.Container{
			Port: number(t, 1, 65535), Env: table(t), EnvFile: words(t), User: token(t), Network: token(t),
			Memory: rapid.Int64Min(0).Draw(t, "memory"), CPUMilli: number(t, 0, maxNumber), StopGrace: span(t), DrainLimit: span(t),
			Health: rollout.Health{Kind: kind, Path: words(t), Timeout: span(t)},
		},
	}
	for range number(t, 0, 3) {
		r.Container.Command = append(r.Container.Command, words(t))
	}
	return r
}

func drawAssign(t *rapid.T) Assign {
	a := Assign{
		Host: rapid.StringMatching(`[a-z0-9.-]{1,253}`).Draw(t, "host"), Nonce: rapid.Uint64().Draw(t, "nonce"), Leader: token(t),
		Term: rapid.Uint64().Draw(t, "term"), Interval: span(t), Lease: span(t),
	}
	seen := map[string]bool{}
	for range number(t, 0, 3) {
		one := drawAssignment(t)
		if !seen[one.Service] {
			a.Assignments = append(a.Assignments, one)
		}
		seen[one.Service] = true
	}
	return a
}

func drawAssignment(t *rapid.T) rollout.Assignment {
	a := rollout.Assignment{
		Service: name(t), Epoch: rapid.Uint64Min(1).Draw(t, "epoch"), Rollout: token(t),
		Frontend:      rollout.Frontend{Backend: "checkout", Routing: rollout.Weighted},
		OnControlLoss: rapid.SampledFrom([]rollout.OnControlLoss{rollout.RevertOnLoss, rollout.HoldOnLoss}).Draw(t, "loss"),
	}
	if yes(t) {
		a.Stable = drawRevision(t)
	}
	if a.Stable != nil && yes(t) {
		a.Canary, a.Weight = drawRevision(t), number(t, 0, 10_000)
	}
	if yes(t) {
		a.Prefetch = []string{digest}
	}
	if yes(t) {
		a.Telemetry = drawWanted(t)
	}
	return a
}

func drawWave(t *rapid.T) rollout.Wave {
	w := rollout.Wave{Service: name(t), Epoch: rapid.Uint64Min(1).Draw(t, "epoch"), Rollout: token(t), Canary: token(t)}
	if w.Canary != "" {
		w.Weight = number(t, 0, 10_000)
	}
	return w
}
