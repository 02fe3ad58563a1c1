package wire

import (
	"errors"
	"math"
	"strings"
	"testing"

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

// TestLatencyIsRefusedAlone: a latency that is none is not taken in, the report
// is; nobody sends one.
func TestLatencyIsRefusedAlone(t *testing.T) {
	for want, bad := range map[string]Latency{
		"lines are out of range":   {Lines: -1},
		"requests are out of":      {Requests: maxRequests + 1},
		"revision has 129 bytes":   {Revision: strings.Repeat("r", 129)},
		"times without a line":     {Sketch: sampleSketch(1000)},
		"sketch: it does not":      {Lines: 1, Sketch: []byte("garbage")},
		"at most 8192 are":         {Lines: 1, Sketch: make([]byte, 9000)},
		"sketch: it ends too ear":  {Lines: 1, Sketch: sampleSketch(1000, 2000)[:20]},
		"it has 131199 buckets, 1": {Lines: 1, Sketch: append(sampleSketch(1000)[:18], 0xff, 0x80, 0x08)},
	} {
		h := sampleHealth()
		h.Services[0].StableLatency = bad
		_, err := EncodeHealth(h)
		wantError(t, err, "stable_latency: ")
		wantError(t, err, want)

		data, err := proto.Marshal(&serinv1.Health{Host: "web-1", Services: []*serinv1.ServiceHealth{{
			Service: "checkout", Epoch: 3,
			CanaryLatency: &serinv1.Latency{Lines: 2, Sketch: sampleSketch(1000)},
			StableLatency: &serinv1.Latency{Revision: bad.Revision, Requests: bad.Requests, Lines: bad.Lines, Sketch: bad.Sketch},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeHealth(data)
		if err != nil {
			t.Fatal(err)
		}
		s := got.Services[0]
		if s.Epoch != 3 || s.CanaryLatency.Lines != 2 || !s.StableLatency.IsZero() {
			t.Errorf("%+v", s)
		}
		wantError(t, errors.New(s.LatencyProblem), "stable_latency: ")
		wantError(t, errors.New(s.LatencyProblem), want)
	}
}
