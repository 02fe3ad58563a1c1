package agent

import (
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/demoimage"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// TestLiveLatencies: what a real HAProxy logs about a canary that is twice as
// slow, by either way that lines can take.
func TestLiveLatencies(t *testing.T) {
	const fast, slow = 250 * time.Millisecond, 500 * time.Millisecond // far more than a busy machine adds
	v := newLive(t)
	v.log = "127.0.0.1:0"
	r1, r2 := v.delayed("1", fast), v.delayed("2", slow)
	v.start()
	v.assign(v.want(5, r1, nil, 0))
	v.settles(5)
	v.assign(v.want(6, r1, r2, 5000))
	v.settles(6)
	l := v.startLoad("/", "/", "/", "/", "/", "/", "/", "/", "/", "/", "/", "/")
	v.wantLatencies(fast, slow)

	// The same by a socket of HAProxy's directory: another configuration, which
	// the agent has HAProxy read, and lines that wait for their reader meanwhile.
	if err := v.stop(); err != nil {
		t.Fatal(err)
	}
	before := v.service().Incarnation
	v.log = "unix"
	v.start()
	v.until("another incarnation", patience, func(s wire.ServiceHealth) bool { return s.Incarnation != before && s.Settled })
	v.wantLatencies(fast, slow)
	l.stop()
	if n := l.failed.Load(); n > 0 {
		t.Errorf("I6: %d of %d requests failed: %v", n, l.sent.Load(), l.firstFailure())
	}
}

// delayed is a revision that takes its time for each answer.
func (v *live) delayed(version string, delay time.Duration) *rollout.Revision {
	v.t.Helper()
	pinned, err := demoimage.Push(v.t.Context(), v.registry, demoimage.App{
		Name: "serin-live", Tag: version, Binary: v.binary, Env: map[string]string{"VERSION": version, "DELAY": delay.String()}, Port: 8080,
	})
	if err != nil {
		v.t.Fatal(err)
	}
	spec := rollout.Spec{
		Service: shop, Image: "serin-live:" + version, Replicas: 2,
		Container: rollout.Container{Port: 8080, StopGrace: 2 * time.Second, Health: rollout.Health{Kind: rollout.HTTPHealth, Path: "/healthz", Timeout: time.Minute}},
	}.WithDefaults()
	rev := rollout.NewRevision(spec, pinned)
	return &rev
}

// wantLatencies waits for enough lines, and wants medians that are as the delays
// are to each other.
func (v *live) wantLatencies(fast, slow time.Duration) {
	v.t.Helper()
	const enough = 150
	s := v.until("lines of both", patience, func(s wire.ServiceHealth) bool {
		canary, stable := tracks(v.t, s)
		return covered(canary, enough) && covered(stable, enough)
	})
	ofCanary, ofStable := tracks(v.t, s)
	canary, _ := ofCanary.sketch.Quantile(0.5)
	stable, _ := ofStable.sketch.Quantile(0.5)
	v.t.Logf("medians %d and %d us of %d and %d lines; sketches of %d and %d bytes", canary, stable,
		ofCanary.lines, ofStable.lines, ofCanary.size, ofStable.size)
	for _, x := range []struct {
		got  int64
		want time.Duration
	}{{canary, slow}, {stable, fast}} {
		if float64(x.got) < 0.99*float64(x.want.Microseconds()) {
			v.t.Errorf("median %d us of answers that took %s at least", x.got, x.want)
		}
	}
	// Without noise it would be exactly that; a busy machine adds to both.
	ratio, want := float64(canary)/float64(stable), float64(slow)/float64(fast)
	if ratio < 0.7*want || ratio > 1.3*want {
		v.t.Errorf("the canary's median is %.2f times stable's, want about %.1f", ratio, want)
	}
}

func covered(l times, enough int64) bool {
	return l.lines >= enough && float64(l.lines) >= 0.9*float64(l.requests)
}
