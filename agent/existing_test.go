package agent

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-rollouts/serin/agent/haproxy/haproxytest"
	"github.com/serin-rollouts/serin/internal/bus/bustest"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// TestExistingHAProxy: the same rollout on a HAProxy of the user's own, where
// the split is made by server weights.
func TestExistingHAProxy(t *testing.T) {
	bustest.Hold(t)
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBenchWith(t, dir, haproxytest.NewExisting(8, "mine"))
		t.Cleanup(b.end)
		want := func(epoch uint64, stable, canary *rollout.Revision, weight int) rollout.Assignment {
			a := b.want(epoch, stable, canary, weight)
			a.Frontend = rollout.Frontend{Backend: "mine", Routing: rollout.Weighted}
			return a
		}
		r1, r2 := b.revision("1", 2), b.revision("2", 2)
		b.assign(want(5, r1, nil, 0))
		b.settled(5)
		b.assign(want(6, r1, r2, 1000))
		if s := b.settled(6); s.Weight != 1000 {
			t.Errorf("canary: %+v", s)
		}
		if got := b.haproxy.Serve(haproxytest.Traffic{Service: "mine", Requests: 1000}); got.Canary < 80 || got.Canary > 110 || got.Failed > 0 {
			t.Errorf("at 10%%: %+v", got)
		}
		b.end()
		b.start()
		if s := b.settled(6); s.Weight != 1000 {
			t.Errorf("after a restart of the agent: %+v", s)
		}
		b.docker.Die("serin-web-1-shop-a1-"+r1.ID, 1)
		time.Sleep(5 * time.Second)
		if s := b.settled(6); s.StableReady != 2 || s.Weight != 1000 {
			t.Errorf("after a death of stable: %+v", s)
		}
		if got := b.haproxy.Serve(haproxytest.Traffic{Service: "mine", Requests: 1000}); got.Canary < 80 || got.Canary > 110 || got.Failed > 0 {
			t.Errorf("at 10%% again: %+v", got)
		}
		b.assign(want(7, r1, r2, rollout.Full))
		b.settled(7)
		b.wave(rollout.Wave{Service: shop, Epoch: 8})
		b.until("zero", time.Second, func(s wire.ServiceHealth) bool { return s.Weight == 0 })
		b.assign(want(8, r1, r2, rollout.Full))
		b.settled(8)
		b.assign(want(9, r2, nil, 0))
		if s := b.settled(9); s.Stable != r2.ID || len(b.names()) != 2 {
			t.Errorf("promoted: %+v", s)
		}
		if got := b.haproxy.Serve(haproxytest.Traffic{Service: "mine", Requests: 100}); got.Failed > 0 {
			t.Errorf("after promotion: %+v", got)
		}
	})
}

// TestTooFine: a share that weights cannot give is the rollout's problem.
func TestTooFine(t *testing.T) {
	bustest.Hold(t)
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBenchWith(t, dir, haproxytest.NewExisting(8, "mine"))
		t.Cleanup(b.end)
		a := b.want(5, b.revision("1", 1), nil, 0)
		a.Frontend = rollout.Frontend{Backend: "mine", Routing: rollout.Weighted}
		b.assign(a)
		b.settled(5)
		a.Epoch, a.Rollout, a.Canary, a.Weight = 6, "shop-1", b.revision("2", 1), 1
		b.assign(a)
		s := b.until("problem", time.Minute, func(s wire.ServiceHealth) bool { return s.Fatal })
		if s.Cause != rollout.CauseStart || !strings.Contains(s.Problem, "no less than") {
			t.Errorf("%+v", s)
		}
	})
}
