package wire

import (
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/latency"
	"github.com/serin-rollouts/serin/internal/rollout"
	serinv1 "github.com/serin-rollouts/serin/proto/serin/v1"
)

var update = flag.Bool("update", false, "write the golden bytes anew; an old agent must still understand them")

const digest = "registry.example.com/checkout@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func sampleRevision() *rollout.Revision {
	return &rollout.Revision{
		ID: "0a1b2c3d4e", Name: "registry.example.com/checkout:1.4.0", Image: digest, Replicas: 2,
		Container: rollout.Container{
			Port: 8080, Env: map[string]string{"LOG_LEVEL": "info", "ZONE": "b"}, EnvFile: "/etc/serin/checkout.env",
			Command: []string{"serve", "--fast"}, User: "app", Network: "front", Memory: 256 << 20, CPUMilli: 500,
			StopGrace: 10 * time.Second, DrainLimit: 30 * time.Second,
			Health: rollout.Health{Kind: rollout.HTTPHealth, Path: "/healthz", Timeout: 30 * time.Second},
		},
	}
}

func sampleHealth() Health {
	return Health{
		Host: "web-1.example.com", Version: "1.0.0", Nonce: 1 << 60, Sequence: 17, Started: "a1b2c3",
		Labels: map[string]string{"role": "web", "zone": "b"}, Docker: "28.5.2", HAProxy: "2.6.12", Wall: 1_790_000_000_123, Mark: 75*time.Minute + 1,
		Services: []ServiceHealth{{
			Service: "checkout", Epoch: 42, Settled: true, HasImage: true, Weight: 500, Stable: "0a1b2c3d4e", Canary: "f0e1d2c3b4",
			StableReady: 2, CanaryReady: 1, Deaths: 1, Death: "exit code 137", Problem: "container does not start", Cause: rollout.CauseStart,
			Fatal: true, Doing: "start checkout", WantsRaise: true, Incarnation: "c3d4", CanaryCounts: analysis.Counts{Requests: 1000, Errors: 3},
			CanaryInstances: 1, StableCounts: map[string]analysis.Counts{"s1": {Requests: 9000, Errors: 2}, "s2": {Requests: 9100}},
		}, {Service: "search"}},
	}
}

// sampleChecks is a report of a host on which not all is well.
func sampleChecks() Health {
	h := sampleHealth()
	h.Checks = &Checks{DockerProblem: "does not answer", HAProxyProblem: "no socket", DiskFree: 3 << 30, DiskSize: 40 << 30}
	return h
}

// sampleTelemetry is a report for a rollout's gates.
func sampleTelemetry() Health {
	h := sampleHealth()
	s := &h.Services[0]
	s.Latencies = []analysis.Latency{
		{Canary: true, Requests: 1000, Lines: 999, Sketch: sampleSketch(1800, 2000, 182_000)},
		{Canary: true, Route: "/api/", Lines: 1, Sketch: sampleSketch(900)},
		{Instance: "s1", Requests: 9000, Lines: 9000},
	}
	s.Signals = map[string]analysis.Signal{
		"orders":  {Canary: analysis.Counts{Requests: 40, Errors: 1}, Stable: map[string]analysis.Counts{"s1": {Requests: 400, Errors: 3}, "s2": {}}},
		"healthz": {},
	}
	s.Usage = []analysis.Usage{
		{Canary: true, Instance: "b1-f00", Memory: 100 << 20, Limit: 256 << 20, Periods: 600, Throttled: 30, Restarts: 2, OOMs: 1},
		{Instance: "s1", Memory: 90 << 20},
	}
	s.Readings = []Reading{{
		Gate: "queue", Variable: "depth", Canary: Spread{Containers: 1, Sum: 12, Min: 12, Max: 12},
		Stable: Spread{Containers: 2, Sum: -0.5, Min: -1, Max: 0.5},
	}, {Gate: "queue", Variable: "age"}}
	return h
}

func sampleSketch(micros ...int64) []byte {
	s := latency.New()
	for _, m := range micros {
		s.Add(m)
	}
	return s.Encode()
}

func sampleAssign() Assign {
	canary := sampleRevision()
	canary.ID = "f0e1d2c3b4"
	return Assign{
		Host: "web-1.example.com", Nonce: 1 << 60, Leader: "c1", Term: 7, Interval: time.Second, Lease: 30 * time.Second,
		Assignments: []rollout.Assignment{{
			Service: "checkout", Epoch: 42, Rollout: "checkout-3", Frontend: rollout.Frontend{Listen: ":8443", Routing: rollout.Sticky},
			Stable: sampleRevision(), Canary: canary, Weight: 500, Prefetch: []string{digest}, OnControlLoss: rollout.RevertOnLoss,
		}, {Service: "search", Epoch: 9}},
	}
}

// sampleWanted is an assignment with gates that want to know more.
func sampleWanted() Assign {
	a := sampleAssign()
	a.Assignments[0].Telemetry = &rollout.Telemetry{
		Routes: []string{"/", "/api/"},
		Metrics: []rollout.Scrape{
			{Gate: "orders", Path: "/metrics", Port: 9090, Bad: `orders_total{result="failed"}`, Total: "orders_total", Every: 5 * time.Second},
			{Gate: "queue", Path: "/metrics", Read: map[string]string{"depth": "queue_depth"}, Every: 10 * time.Second},
		},
		Checks: []rollout.Probe{{Gate: "healthz", Path: "/healthz?deep=1", Every: 5 * time.Second, Timeout: time.Second}},
	}
	return a
}

func sampleWave() rollout.Wave {
	return rollout.Wave{Service: "checkout", Epoch: 43, Rollout: "checkout-3", Canary: "f0e1d2c3b4", Weight: 2500}
}

// codec is one kind of message, for tests that hold for all of them.
type codec struct {
	name   string
	sample any
	encode func(any) ([]byte, error)
	decode func([]byte) (any, error)
}

func codecOf[T any](name string, sample T, encode func(T) ([]byte, error), decode func([]byte) (T, error)) codec {
	return codec{
		name: name, sample: sample,
		encode: func(v any) ([]byte, error) { return encode(v.(T)) },
		decode: func(b []byte) (any, error) { return decode(b) },
	}
}

func codecs() []codec {
	return []codec{
		codecOf("health", sampleHealth(), EncodeHealth, DecodeHealth),
		codecOf("health-telemetry", sampleTelemetry(), EncodeHealth, DecodeHealth),
		codecOf("health-checks", sampleChecks(), EncodeHealth, DecodeHealth),
		codecOf("assign", sampleAssign(), EncodeAssign, DecodeAssign),
		codecOf("assign-telemetry", sampleWanted(), EncodeAssign, DecodeAssign),
		codecOf("wave", sampleWave(), EncodeWave, DecodeWave),
		codecOf("beat", Beat{Leader: "c1", Term: 7, Lease: 30 * time.Second, Clock: 75*time.Minute + 1}, EncodeBeat, DecodeBeat),
		codecOf("resolve", Resolve{Image: "registry.example.com/checkout:1.4.0"}, EncodeResolve, DecodeResolve),
		codecOf("resolved", Resolved{Image: digest, Local: true}, EncodeResolved, DecodeResolved),
		codecOf("resolved-error", Resolved{Error: "no such image"}, EncodeResolved, DecodeResolved),
	}
}

// What was written once stays readable and is written the same way: an agent
// and a coordinator of different releases talk to each other.
func TestGoldenBytes(t *testing.T) {
	for _, c := range codecs() {
		t.Run(c.name, func(t *testing.T) {
			data, err := c.encode(c.sample)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", c.name+".hex")
			if *update {
				if err := os.WriteFile(path, []byte(wrapHex(data)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			golden := readHex(t, path)
			if diff := cmp.Diff(hex.Dump(golden), hex.Dump(data)); diff != "" {
				t.Errorf("the bytes have changed (-golden +now):\n%s", diff)
			}
			got, err := c.decode(golden)
			if err != nil {
				t.Fatalf("golden bytes are refused: %v", err)
			}
			if diff := cmp.Diff(c.sample, got); diff != "" {
				t.Errorf("golden bytes mean something else (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnknownFieldsOfNewerReleasesAreLeftAside(t *testing.T) {
	for _, c := range codecs() {
		data, err := c.encode(c.sample)
		if err != nil {
			t.Fatal(err)
		}
		data = protowire.AppendTag(data, 1000, protowire.BytesType)
		data = protowire.AppendString(data, "from the future")
		got, err := c.decode(data)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if diff := cmp.Diff(c.sample, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestUnknownRequirementIsRefusedByName(t *testing.T) {
	data, err := EncodeAssign(sampleAssign())
	if err != nil {
		t.Fatal(err)
	}
	var m serinv1.Assign
	if err := proto.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	m.Requires = []string{"mirroring"}
	if data, err = proto.Marshal(&m); err != nil {
		t.Fatal(err)
	}
	if _, err = DecodeAssign(data); err == nil || !strings.Contains(err.Error(), `"mirroring"`) {
		t.Errorf("error = %v, want one that names the feature", err)
	}
}

// An agent of an older release would gather nothing, without a word.
func TestTelemetryIsRequired(t *testing.T) {
	for want, a := range map[string]Assign{"telemetry": sampleWanted(), "": sampleAssign()} {
		data, err := EncodeAssign(a)
		if err != nil {
			t.Fatal(err)
		}
		var m serinv1.Assign
		if err := proto.Unmarshal(data, &m); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(m.GetRequires(), " "); got != want {
			t.Errorf("requires %q, want %q", got, want)
		}
	}
}

// Agents of older releases told latencies of whole tracks, in fields that are
// left aside now, and did not mark when they read what they report.
func TestLatenciesOfTracksAreLeftAside(t *testing.T) {
	got, err := DecodeHealth(readHex(t, filepath.Join("testdata", "health-latency.hex")))
	if err != nil {
		t.Fatal(err)
	}
	want := sampleHealth()
	want.Mark = 0
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTextsForPeopleAreCut(t *testing.T) {
	h := sampleHealth()
	h.Services[0].Problem = strings.Repeat("é", 5000) + "\xff"
	data, err := EncodeHealth(h)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeHealth(data)
	if err != nil {
		t.Fatal(err)
	}
	if p := got.Services[0].Problem; len(p) > maxText || !strings.HasSuffix(p, "é…") {
		t.Errorf("problem has %d bytes and ends %q", len(p), p[len(p)-6:])
	}
}

func TestDurationsAreRoundedUp(t *testing.T) {
	data, err := EncodeBeat(Beat{Leader: "c1", Lease: 1500*time.Microsecond + 1})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := DecodeBeat(data); err != nil || b.Lease != 2*time.Millisecond {
		t.Errorf("lease = %v, %v; want 2ms", b.Lease, err)
	}
}

func readHex(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func wrapHex(data []byte) string {
	var b strings.Builder
	for len(data) > 32 {
		b.WriteString(hex.EncodeToString(data[:32]) + "\n")
		data = data[32:]
	}
	b.WriteString(hex.EncodeToString(data) + "\n")
	return b.String()
}
