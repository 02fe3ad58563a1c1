package e2e

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/localfleet"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// lease is how long these fleets' agents keep a canary without a leader.
const lease = 10 * time.Second

// atLatest is when a canary has lost its share although nobody led any more: the lease,
// and what a busy machine may add. It is less than the lease that agents have by default.
const atLatest = lease * 5 / 2

// controlLost: all replicas are away in the middle of a step of 5 %. When the
// lease ends every host is at stable alone, by the account of HAProxy itself and of
// the users; when a majority is back it goes on where it was. No user sees any of it.
func (w *world) controlLost(own string) {
	load, stop := w.users(w.serving()...)
	w.publish("control-lost", w.ungated("v1", "[{weight: 5%, approve: true}, {weight: 100%}]"))
	w.startShop(0, "v1", "[{weight: 5%, approve: true}, {weight: 100%}]", "--detach")
	w.until("the canary has its share", w.canaryEverywhere)
	w.until("the canary behind its owner's HAProxy has its share", func() error { return w.shopShare(own, true) })
	began := time.Now()
	for _, r := range w.Replicas {
		if err := w.Kill(bounded(w.t, patience), r.Name); err != nil {
			w.t.Fatal(err)
		}
	}
	killed := time.Now()
	w.until("no HAProxy sends anybody to the canary", func() error { return w.nothingShared(own) })
	lowered := time.Since(killed)
	took := w.lastAnswer(load, "v1").Sub(began)
	w.t.Logf("after the last leader died every HAProxy was at stable alone within %s; the last canary answered after %s",
		lowered.Round(100*time.Millisecond), took.Round(100*time.Millisecond))
	if took < lease/2 {
		w.t.Errorf("the canary was given up after %s, long before its lease of %s", took, lease)
	}
	if lowered > atLatest {
		w.t.Errorf("I5: HAProxy gave the canary its share for %s, and the lease is %s", lowered, lease)
	}
	if err := w.stableAlone(); err != nil {
		w.t.Errorf("I5: after the lease: %v", err)
	}
	if err := w.nothingShared(own); err != nil {
		w.t.Errorf("I13: without a coordinator: %v", err)
	}
	for _, r := range w.Replicas[:2] { // a majority
		if err := w.Start(r.Name); err != nil {
			w.t.Fatal(err)
		}
	}
	w.until("the canary has its share again", w.canaryEverywhere)
	w.until("the one behind its owner's HAProxy, too", func() error { return w.shopShare(own, true) })
	if s := ask[api.ServiceStatus](w, api.GetService, service); s.Rollout == nil || s.Rollout.Phase != rollout.Paused {
		w.t.Errorf("the rollout stands at %+v", s.Rollout)
	}
	w.comeBack(w.Replicas[2].Name)
	stop()
	w.wantServed(load.Take())
	w.wantEventsComplete()
	w.serin(0, "abort", shop, "--yes")
}

// nothingShared wants every HAProxy to say that nobody is sent to a canary.
func (w *world) nothingShared(own string) error {
	for _, h := range w.managed() {
		share, err := split(w.t.Context(), filepath.Join(w.Dir, h.Name, "haproxy"), service)
		if err == nil && share > 0 {
			err = fmt.Errorf("%d basis points", share)
		}
		if err != nil {
			return fmt.Errorf("the HAProxy of %s: %w", h.Name, err)
		}
	}
	return w.shopShare(own, false)
}

// shopShare wants the HAProxy of its owner to give a canary beside stable a share, or none.
func (w *world) shopShare(own string, want bool) error {
	sums, err := weights(w.t.Context(), own, "the_"+shop)
	if err != nil {
		return err
	}
	if shared := sums['a'] > 0 && sums['b'] > 0; shared != want || sums['a']+sums['b'] == 0 {
		return fmt.Errorf("the weights of its banks are %v", sums)
	}
	return nil
}

// lastAnswer waits until users have met nothing of a version for long enough,
// and returns when they last did, within half a second.
func (w *world) lastAnswer(load *localfleet.Load, version string) (last time.Time) {
	w.t.Helper()
	const enough = 400 // requests: at 5 % they would all miss it once in 800 million times
	missed := 0
	eventually(w.t, "the last answer of "+version, func() error {
		s := load.Take()
		w.wantServed(s)
		missed += s.Requests
		if s.Versions[version] > 0 {
			last, missed = time.Now(), 0
		}
		if missed < enough {
			return fmt.Errorf("%d requests since", missed)
		}
		return nil
	})
	return last
}

// wantServed is I6.
func (w *world) wantServed(s localfleet.Stats) {
	w.t.Helper()
	if s.Failed > 0 || s.AppErrors > 0 {
		w.t.Errorf("I6: of %d requests %d failed, %d were answered with an error: %v", s.Requests, s.Failed, s.AppErrors, s.Examples)
	}
}

func (w *world) until(what string, try func() error) {
	w.t.Helper()
	eventually(w.t, what, try)
}

// canaryEverywhere wants v1 to answer now and then on every host, and v2 mostly.
func (w *world) canaryEverywhere() error { return w.shared("v1") }

// shared wants that version to answer now and then on every host.
func (w *world) shared(canary string) error {
	return w.canaryOn(canary, func(n int) bool { return n > 0 && n < asked/2 })
}

// stableAlone wants v1 to answer never.
func (w *world) stableAlone() error { return w.canaryOn("v1", func(n int) bool { return n == 0 }) }

const asked = 100 // requests to each host

func (w *world) canaryOn(version string, good func(int) bool) error {
	for _, h := range w.managed() {
		canary := 0
		for range asked {
			if w.version(h.URL(w.Port)) == version {
				canary++
			}
		}
		if !good(canary) {
			return fmt.Errorf("on %s the canary answers %d of %d requests", h.Name, canary, asked)
		}
	}
	return nil
}
