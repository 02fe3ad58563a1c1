package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/localfleet"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// lease is how long these fleets' agents keep a canary without a leader.
const lease = 10 * time.Second

// controlLost: all replicas are away in the middle of a step of 5 %. When the
// lease ends every host is at stable alone; when a majority is back it goes on
// where it was. No user sees any of it.
func (w *world) controlLost() {
	load, stop := w.users(w.serving()...)
	w.publish("control-lost", w.ungated("v1", "[{weight: 5%, approve: true}, {weight: 100%}]"))
	w.until("the canary has its share", w.canaryEverywhere)
	killed := time.Now()
	for _, r := range w.Replicas {
		if err := w.Kill(bounded(w.t, patience), r.Name); err != nil {
			w.t.Fatal(err)
		}
	}
	took := w.lastAnswer(load, "v1").Sub(killed)
	w.t.Logf("the last canary answered %s after the last leader died", took.Round(100*time.Millisecond))
	if took < lease/2 {
		w.t.Errorf("the canary was given up after %s, long before its lease of %s", took, lease)
	}
	if err := w.stableAlone(); err != nil {
		w.t.Errorf("I5: after the lease: %v", err)
	}
	for _, r := range w.Replicas[:2] { // a majority
		if err := w.Start(r.Name); err != nil {
			w.t.Fatal(err)
		}
	}
	w.until("the canary has its share again", w.canaryEverywhere)
	if s := ask[api.ServiceStatus](w, api.GetService, service); s.Rollout == nil || s.Rollout.Phase != rollout.Paused {
		w.t.Errorf("the rollout stands at %+v", s.Rollout)
	}
	w.comeBack(w.Replicas[2].Name)
	stop()
	w.wantServed(load.Take())
	w.wantEventsComplete()
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

// quorumLost: two of three replicas lose their disks in the same step. The
// third one's becomes the state of a new group, and the rollout goes on.
func (w *world) quorumLost() {
	noneFailed := w.load(w.serving()...)
	w.until("the canary has its share", w.canaryEverywhere)
	last := w.Replicas[0].Name
	for _, r := range w.Replicas {
		if err := w.Kill(bounded(w.t, patience), r.Name); err != nil {
			w.t.Fatal(err)
		}
	}
	backup := filepath.Join(w.Dir, "backup")
	w.coordinator(last, "salvage", "", backup)
	for _, r := range w.Replicas {
		data := filepath.Join(w.Dir, r.Name)
		if err := os.Rename(data, data+"-old"); err != nil {
			w.t.Fatal(err)
		}
		w.coordinator(r.Name, "restore", backup, "")
	}
	for _, r := range w.Replicas {
		if err := w.Start(r.Name); err != nil {
			w.t.Fatal(err)
		}
	}
	eventually(w.t, "the rollout is there again", func() error {
		s := ask[api.ServiceStatus](w, api.GetService, service)
		if s.Rollout == nil || s.Rollout.Phase != rollout.Paused || !s.Rollout.NeedsApproval {
			return fmt.Errorf("it stands at %+v", s.Rollout)
		}
		return nil
	})
	w.until("the canary has its share again", w.canaryEverywhere)
	w.serin(0, "cluster", "snapshot", filepath.Join(w.Dir, "again"))
	w.serin(0, "promote", service)
	eventually(w.t, "the rollout ends", func() error {
		s := ask[api.ServiceStatus](w, api.GetService, service)
		if s.Running || s.Stable == nil || s.Stable.Version != "v1" {
			return fmt.Errorf("it stands at %+v", s.Rollout)
		}
		return nil
	})
	w.wantTidy("v1")
	noneFailed()
}

// coordinator runs a verb of a replica's program that ends by itself.
func (w *world) coordinator(name, verb, from, to string) {
	w.t.Helper()
	command := exec.CommandContext(w.t.Context(), filepath.Join(bin, "serin-coordinator"), verb, "--config", filepath.Join(w.Dir, name+".yaml"))
	command.Stderr = w.t.Output()
	if from != "" {
		in, err := os.Open(from)
		if err != nil {
			w.t.Fatal(err)
		}
		defer func() { _ = in.Close() }()
		command.Stdin = in
	}
	out, err := command.Output()
	if err != nil {
		w.t.Fatalf("serin-coordinator %s of %s: %v", verb, name, err)
	}
	if to != "" {
		writeFile(w.t, to, string(out))
	}
}

func (w *world) until(what string, try func() error) {
	w.t.Helper()
	eventually(w.t, what, try)
}

// canaryEverywhere wants v1 to answer now and then on every host, and v2 mostly.
func (w *world) canaryEverywhere() error {
	return w.canaryOn(func(n int) bool { return n > 0 && n < asked/2 })
}

// stableAlone wants v2 to answer always.
func (w *world) stableAlone() error { return w.canaryOn(func(n int) bool { return n == 0 }) }

const asked = 100 // requests to each host

func (w *world) canaryOn(good func(int) bool) error {
	for _, h := range w.managed() {
		canary := 0
		for range asked {
			if w.version(h.URL(w.Port)) == "v1" {
				canary++
			}
		}
		if !good(canary) {
			return fmt.Errorf("on %s the canary answers %d of %d requests", h.Name, canary, asked)
		}
	}
	return nil
}
