package wire

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
	serinv1 "github.com/serin-rollouts/serin/proto/serin/v1"
)

// Every change makes a good message one that must be refused, with words that
// name what is wrong.
func TestHealthRefusals(t *testing.T) {
	for _, tc := range []struct {
		want   string
		change func(*Health)
	}{
		{"host is missing", func(h *Health) { h.Host = "" }},
		{"host has 254 bytes", func(h *Health) { h.Host = strings.Repeat("h", 254) }},
		{"host \"a b\"", func(h *Health) { h.Host = "a b" }},
		{"version has", func(h *Health) { h.Version = strings.Repeat("1", 129) }},
		{"labels has an entry without a name", func(h *Health) { h.Labels[""] = "x" }},
		{"labels value has", func(h *Health) { h.Labels["x"] = strings.Repeat("x", 2000) }},
		{"not a name", func(h *Health) { h.Services[0].Service = "Check.out" }},
		{"there twice", func(h *Health) { h.Services[1].Service = "checkout" }},
		{"weight is out of range", func(h *Health) { h.Services[0].Weight = 10_001 }},
		{"weight is out of range", func(h *Health) { h.Services[0].Weight = -1 }},
		{"stable_ready is out of range", func(h *Health) { h.Services[0].StableReady = 65 }},
		{"deaths is out of range", func(h *Health) { h.Services[0].Deaths = -1 }},
		{"cause \"mood\" is unknown", func(h *Health) { h.Services[0].Cause = "mood" }},
		{"canary_counts are negative", func(h *Health) { h.Services[0].CanaryCounts.Errors = -1 }},
		{"stable_counts are negative", func(h *Health) { h.Services[0].StableCounts["s1"] = analysis.Counts{Requests: -1} }},
		{"disk is negative", func(h *Health) { h.Checks = &Checks{DiskFree: -1} }},
		{"services, at most", func(h *Health) { h.Services = make([]ServiceHealth, 257) }},
	} {
		h := sampleHealth()
		tc.change(&h)
		_, err := EncodeHealth(h)
		wantError(t, err, tc.want)
	}
}

func TestAssignRefusals(t *testing.T) {
	for _, tc := range []struct {
		want   string
		change func(*Assign, *rollout.Assignment)
	}{
		{"host is missing", func(a *Assign, _ *rollout.Assignment) { a.Host = "" }},
		{"interval is missing", func(a *Assign, _ *rollout.Assignment) { a.Interval = 0 }},
		{"lease is out of range", func(a *Assign, _ *rollout.Assignment) { a.Lease = -1 }},
		{"there twice", func(a *Assign, _ *rollout.Assignment) { a.Assignments[1].Service = "checkout" }},
		{"epoch is missing", func(_ *Assign, one *rollout.Assignment) { one.Epoch = 0 }},
		{"weight is out of range", func(_ *Assign, one *rollout.Assignment) { one.Weight = 10_001 }},
		{"without a canary", func(_ *Assign, one *rollout.Assignment) { one.Canary = nil }},
		{"without a stable", func(_ *Assign, one *rollout.Assignment) { one.Stable = nil }},
		{"listen or backend is missing", func(_ *Assign, one *rollout.Assignment) { one.Frontend.Listen = "" }},
		{"both there", func(_ *Assign, one *rollout.Assignment) { one.Frontend.Backend = "b" }},
		{"routing \"round\" is unknown", func(_ *Assign, one *rollout.Assignment) { one.Frontend.Routing = "round" }},
		{"on_control_loss \"cry\" is unknown", func(_ *Assign, one *rollout.Assignment) { one.OnControlLoss = "cry" }},
		{"prefetch \"web:1\" is not pinned", func(_ *Assign, one *rollout.Assignment) { one.Prefetch = []string{"web:1"} }},
		{"stable: id is missing", func(_ *Assign, one *rollout.Assignment) { one.Stable.ID = "" }},
		{"stable: image \"web:1\" is not pinned", func(_ *Assign, one *rollout.Assignment) { one.Stable.Image = "web:1" }},
		{"canary: replicas are out of range", func(_ *Assign, one *rollout.Assignment) { one.Canary.Replicas = 0 }},
		{"container: port is out of range", func(_ *Assign, one *rollout.Assignment) { one.Stable.Container.Port = 0 }},
		{"container: health.kind \"\" is unknown", func(_ *Assign, one *rollout.Assignment) { one.Stable.Container.Health.Kind = "" }},
		{"container: memory is negative", func(_ *Assign, one *rollout.Assignment) { one.Stable.Container.Memory = -1 }},
		{"container: stop_grace is out of range", func(_ *Assign, one *rollout.Assignment) { one.Stable.Container.StopGrace = math.MaxInt64 }},
		{"container: env value has", func(_ *Assign, one *rollout.Assignment) {
			one.Stable.Container.Env["A"] = strings.Repeat("a", maxArgument+1)
		}},
	} {
		a := sampleAssign()
		tc.change(&a, &a.Assignments[0])
		_, err := EncodeAssign(a)
		wantError(t, err, tc.want)
	}
}

func TestWantedRefusals(t *testing.T) {
	for _, tc := range []struct {
		want   string
		change func(*rollout.Telemetry)
	}{
		{"65 routes", func(w *rollout.Telemetry) { w.Routes = make([]string, 65) }},
		{"route \"api\" does not begin", func(w *rollout.Telemetry) { w.Routes[0] = "api" }},
		{"route has 129 bytes", func(w *rollout.Telemetry) { w.Routes[0] = "/" + strings.Repeat("a", 128) }},
		{"route \"/api/\" is there twice", func(w *rollout.Telemetry) { w.Routes[0] = "/api/" }},
		{"gate is missing", func(w *rollout.Telemetry) { w.Metrics[0].Gate = "" }},
		{"gate \"healthz\" is there twice", func(w *rollout.Telemetry) { w.Metrics[0].Gate = "healthz" }},
		{"path \"http://elsewhere/\" does not", func(w *rollout.Telemetry) { w.Metrics[0].Path = "http://elsewhere/" }},
		{"character that no path has", func(w *rollout.Telemetry) { w.Checks[0].Path = "/ HTTP/1.1\r\nHost: x" }},
		{"port is out of range", func(w *rollout.Telemetry) { w.Metrics[0].Port = 65536 }},
		{"bad has", func(w *rollout.Telemetry) { w.Metrics[0].Bad = strings.Repeat("a", 2000) }},
		{"total has", func(w *rollout.Telemetry) { w.Metrics[0].Total = strings.Repeat("a", 2000) }},
		{"read has an entry without", func(w *rollout.Telemetry) { w.Metrics[1].Read[""] = "x" }},
		{"every is out of range", func(w *rollout.Telemetry) { w.Metrics[0].Every = -1 }},
		{"timeout is out of range", func(w *rollout.Telemetry) { w.Checks[0].Timeout = -1 }},
		{"66 gates", func(w *rollout.Telemetry) { w.Checks = make([]rollout.Probe, 64) }},
	} {
		a := sampleWanted()
		tc.change(a.Assignments[0].Telemetry)
		_, err := EncodeAssign(a)
		wantError(t, err, "telemetry: ")
		wantError(t, err, tc.want)
	}
}

func TestBroadcastRefusals(t *testing.T) {
	wave := func(change func(*rollout.Wave)) error {
		w := sampleWave()
		change(&w)
		_, err := EncodeWave(w)
		return err
	}
	wantError(t, wave(func(w *rollout.Wave) { w.Service = "" }), "not a name")
	wantError(t, wave(func(w *rollout.Wave) { w.Epoch = 0 }), "epoch is missing")
	wantError(t, wave(func(w *rollout.Wave) { w.Weight = -1 }), "weight is out of range")
	wantError(t, wave(func(w *rollout.Wave) { w.Canary = "" }), "without a canary")
	_, err := EncodeBeat(Beat{Lease: 1})
	wantError(t, err, "leader is missing")
	_, err = EncodeBeat(Beat{Leader: "c1"})
	wantError(t, err, "lease is missing")
	_, err = EncodeBeat(Beat{Leader: "c1", Lease: 1, Clock: -1})
	wantError(t, err, "clock is negative")
	_, err = EncodeHealth(Health{Host: "a", Mark: -1})
	wantError(t, err, "mark is negative")
	_, err = EncodeResolve(Resolve{})
	wantError(t, err, "image is missing")
	_, err = EncodeResolved(Resolved{})
	wantError(t, err, "either an image or an error")
	_, err = EncodeResolved(Resolved{Image: "web:1"})
	wantError(t, err, "not pinned")
}

// What no encoder of ours produces must be refused all the same.
func TestDecodeRefusesWhatOverflows(t *testing.T) {
	data, err := proto.Marshal(&serinv1.Beat{Leader: "c1", LeaseMs: math.MaxInt64})
	if err != nil {
		t.Fatal(err)
	}
	_, err = DecodeBeat(data)
	wantError(t, err, "lease is out of range")
	if data, err = proto.Marshal(&serinv1.Wave{Service: "a", Epoch: 1, Canary: "b", Weight: math.MaxUint32}); err != nil {
		t.Fatal(err)
	}
	_, err = DecodeWave(data)
	wantError(t, err, "weight is out of range")
	_, err = DecodeHealth(make([]byte, maxReport+1))
	wantError(t, err, "at most")
	_, err = DecodeWave([]byte{0xff})
	wantError(t, err, "decode wave")
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error = %v, want one with %q", err, want)
	}
}

// TestTelemetryIsRefusedAlone: an entry that is none is not taken in, the
// report is, and so are the other entries; nobody sends one.
func TestTelemetryIsRefusedAlone(t *testing.T) {
	long := strings.Repeat("x", maxToken+1)
	for _, x := range []struct {
		want string
		bad  func(*ServiceHealth)
	}{
		{"lines are out of range", badLatency(analysis.Latency{Lines: -1})},
		{"requests are out of", badLatency(analysis.Latency{Requests: maxRequests + 1})},
		{"requests are told of one", badLatency(analysis.Latency{Requests: 1, Route: "/"})},
		{"instance has 129 bytes", badLatency(analysis.Latency{Instance: long})},
		{"route has 129 bytes", badLatency(analysis.Latency{Route: long})},
		{"of stable only", badLatency(analysis.Latency{Canary: true, Instance: "s1", Route: "/"})},
		{"it is there twice", badLatency(analysis.Latency{Instance: "s1"})},
		{"times without a line", badLatency(analysis.Latency{Sketch: sampleSketch(1000)})},
		{"sketch: it does not", badLatency(analysis.Latency{Lines: 1, Sketch: []byte("garbage")})},
		{"at most 8192 are", badLatency(analysis.Latency{Lines: 1, Sketch: make([]byte, 9000)})},
		{"sketch: it ends too ear", badLatency(analysis.Latency{Lines: 1, Sketch: sampleSketch(1000, 2000)[:20]})},
		{"it has 131199 buckets, 1", badLatency(analysis.Latency{Lines: 1, Sketch: append(sampleSketch(1000)[:18], 0xff, 0x80, 0x08)})},
		{"canary errors are out of", badSignal("gate", analysis.Signal{Canary: analysis.Counts{Errors: maxRequests + 1}})},
		{"stable requests are out", badSignal("gate", analysis.Signal{Stable: map[string]analysis.Counts{"s1": {Requests: -1}}})},
		{"gate is missing", badSignal("", analysis.Signal{})},
		{"gate has 129 bytes", badSignal(long, analysis.Signal{})},
		{"instance has 129 bytes", badSignal("gate", analysis.Signal{Stable: map[string]analysis.Counts{long: {}}})},
		{"instance is missing", badUsage(analysis.Usage{})},
		{"it is there twice", badUsage(analysis.Usage{Instance: "s1"})},
		{"memory are out of", badUsage(analysis.Usage{Instance: "s7", Memory: -1})},
		{"limit is negative", badUsage(analysis.Usage{Instance: "s7", Limit: -1})},
		{"throttled are out", badUsage(analysis.Usage{Instance: "s7", Throttled: -1})},
		{"restarts is out", badUsage(analysis.Usage{Instance: "s7", Restarts: maxNumber + 1})},
		{"variable is missing", badReading(Reading{Gate: "queue"})},
		{"it is there twice", badReading(Reading{Gate: "queue", Variable: "depth"})},
		{"canary: NaN is no", badReading(Reading{Gate: "queue", Variable: "v", Canary: Spread{Containers: 1, Sum: math.NaN()}})},
		{"stable: -Inf is no", badReading(Reading{Gate: "queue", Variable: "v", Stable: Spread{Containers: 1, Min: math.Inf(-1)}})},
		{"value of no container", badReading(Reading{Gate: "queue", Variable: "v", Stable: Spread{Max: 1}})},
		{"containers is out of", badReading(Reading{Gate: "queue", Variable: "v", Stable: Spread{Containers: 65}})},
	} {
		h := sampleTelemetry()
		x.bad(&h.Services[0])
		_, err := EncodeHealth(h)
		wantError(t, err, "telemetry: ")
		wantError(t, err, x.want)

		data, err := proto.Marshal(&serinv1.Health{Host: "web-1", Services: []*serinv1.ServiceHealth{encodeServiceHealth(h.Services[0])}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeHealth(data)
		if err != nil {
			t.Fatalf("%s: %v", x.want, err)
		}
		want := sampleTelemetry().Services[0]
		want.TelemetryProblem = got.Services[0].TelemetryProblem
		if diff := cmp.Diff(want, got.Services[0]); diff != "" {
			t.Errorf("%s: the rest is not taken in:\n%s", x.want, diff)
		}
		wantError(t, errors.New(got.Services[0].TelemetryProblem), x.want)
	}
}

func badLatency(l analysis.Latency) func(*ServiceHealth) {
	l.Canary = l.Canary || l.Instance == ""
	if l.Canary && l.Route == "" {
		l.Route = "/bad"
		if l.Requests > 0 { // it would be refused for the route
			l.Instance, l.Canary, l.Route = "s2", false, ""
		}
	}
	return func(s *ServiceHealth) { s.Latencies = append(s.Latencies, l) }
}

func badSignal(gate string, signal analysis.Signal) func(*ServiceHealth) {
	return func(s *ServiceHealth) { s.Signals[gate] = signal }
}

func badUsage(u analysis.Usage) func(*ServiceHealth) {
	return func(s *ServiceHealth) { s.Usage = append(s.Usage, u) }
}

func badReading(r Reading) func(*ServiceHealth) {
	return func(s *ServiceHealth) { s.Readings = append(s.Readings, r) }
}

// TestTelemetryIsBounded: whoever sends more than any host has is heard up to
// there.
func TestTelemetryIsBounded(t *testing.T) {
	var s ServiceHealth
	s.Service = "checkout"
	s.Signals = map[string]analysis.Signal{}
	for i := range 1100 {
		name := strconv.Itoa(i)
		s.Latencies = append(s.Latencies, analysis.Latency{Instance: name})
		s.Usage = append(s.Usage, analysis.Usage{Instance: name})
		s.Readings = append(s.Readings, Reading{Gate: "g", Variable: name})
		s.Signals[name] = analysis.Signal{}
	}
	data, err := proto.Marshal(&serinv1.Health{Host: "web-1", Services: []*serinv1.ServiceHealth{encodeServiceHealth(s)}})
	if err != nil {
		t.Fatal(err)
	}
	h, err := DecodeHealth(data)
	if err != nil {
		t.Fatal(err)
	}
	got := h.Services[0]
	if len(got.Latencies) != maxLatencies || len(got.Usage) != 2*maxInstances || len(got.Readings) != maxEntries || len(got.Signals) != maxGates {
		t.Errorf("%d latencies, %d usages, %d readings, %d signals", len(got.Latencies), len(got.Usage), len(got.Readings), len(got.Signals))
	}
	wantError(t, errors.New(got.TelemetryProblem), "there are more than")
	if _, err := EncodeHealth(h); err != nil {
		t.Error(err)
	}
}
