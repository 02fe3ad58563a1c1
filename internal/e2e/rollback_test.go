package e2e

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/localfleet"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// broken is a version that answers every request with an error, which makes the
// verdict quick.
const broken = "v4"

// leaderKilledGoingBack: the leader dies as soon as it has decided to go back.
// One host hears of that from the next leader alone.
func (w *world) leaderKilledGoingBack() {
	deaf := w.managed()[1]
	leader := ""
	w.takesBack("leader-killed-back", func(e rollout.Event) {
		switch e.Kind {
		case rollout.KindStep:
			w.deafen(deaf)
		case rollout.KindRollingBack:
			leader = w.leader()
			if err := w.Kill(w.t.Context(), leader); err != nil {
				w.t.Error(err)
			}
			w.t.Logf("kill -9 of the leader %s", leader)
			if err := w.Signal(deaf.Name, syscall.SIGCONT); err != nil {
				w.t.Error(err)
			}
		default:
		}
	})
	w.comeBack(leader)
	w.wantEventsComplete()
}

// agentsKilledGoingBack: all agents die as soon as the leader has decided to go
// back; one of them has surely not heard of it.
func (w *world) agentsKilledGoingBack() {
	hosts := w.managed()
	w.takesBack("agents-killed-back", func(e rollout.Event) {
		switch e.Kind {
		case rollout.KindStep:
			w.deafen(hosts[1])
		case rollout.KindRollingBack:
			for _, h := range hosts {
				w.killAgent(h)
			}
		default:
		}
	})
}

// takesBack rolls a version out that only fails, and wants all of it to be gone
// in the end, with no other harm done than the version's own errors. Users come
// when saw has seen the first step, so that nothing is decided before.
func (w *world) takesBack(id string, saw func(rollout.Event)) {
	w.t.Helper()
	if err := w.Push(w.t.Context(), localfleet.Version{Tag: broken, ErrorPercent: 100}); err != nil {
		w.t.Fatal(err)
	}
	load, stop := localfleet.NewLoad(w.serving(), rate), func() {}
	events := w.rollOut(id, w.file(broken, twoSteps), rollout.RolledBack, func(e rollout.Event) {
		saw(e)
		if e.Kind == rollout.KindStep {
			stop = sync.OnceFunc(load.Start(w.t.Context()))
			w.t.Cleanup(stop)
		}
	})
	w.wantWeightZero()
	during := load.Take()
	eventually(w.t, "a hundred requests after the end", func() error {
		if n := load.Stats().Requests; n < 100 {
			return fmt.Errorf("%d requests", n)
		}
		return nil
	})
	stop()
	after := load.Stats()
	w.t.Logf("%d requests, by version %v; afterwards %d, %v", during.Requests, during.Versions, after.Requests, after.Versions)
	if n := during.Versions[broken]; n == 0 || during.AppErrors != n {
		w.t.Errorf("%s gave %d answers, %d answers were errors: %v", broken, n, during.AppErrors, during.Versions)
	}
	if after.Versions[broken] > 0 || after.AppErrors > 0 {
		w.t.Errorf("after the end there were %d errors, answers by version %v", after.AppErrors, after.Versions)
	}
	if during.Failed+after.Failed > 0 {
		w.t.Errorf("I6: %d and %d requests failed: %v", during.Failed, after.Failed, slices.Concat(during.Examples, after.Examples))
	}
	var kinds []rollout.Kind
	for _, e := range events {
		kinds = append(kinds, e.Kind)
	}
	want := []rollout.Kind{rollout.KindSubmitted, rollout.KindStep, rollout.KindRollingBack, rollout.KindRolledBack}
	if last := events[len(events)-1]; !slices.Equal(kinds, want) || len(last.Lost) > 0 {
		w.t.Errorf("events %v, want %v; lost %v", kinds, want, last.Lost)
	}
	w.wantTidy("v2")
	w.wantEventsComplete()
}

// deafen stops an agent once its host gives the canary traffic: the host goes on
// so, whatever the leader says.
func (w *world) deafen(h *localfleet.Host) {
	w.t.Helper()
	eventually(w.t, h.Name+" has a canary", func() error {
		weight, err := w.weight(h)
		if err == nil && weight == 0 {
			err = errors.New("weight 0")
		}
		return err
	})
	if err := w.Signal(h.Name, syscall.SIGSTOP); err != nil {
		w.t.Error(err)
	}
}

// wantWeightZero wants no canary on any host, by the hosts' own account.
func (w *world) wantWeightZero() {
	w.t.Helper()
	for _, h := range w.managed() {
		if weight, err := w.weight(h); err != nil || weight > 0 {
			w.t.Errorf("%s: canary's weight is %d, %v", h.Name, weight, err)
		}
	}
}

// weight is the canary's weight on a host, in basis points.
func (w *world) weight(h *localfleet.Host) (int, error) {
	w.t.Helper()
	for _, s := range ask[api.HostStatus](w, api.GetHost, h.Name).Services {
		if s.Service == service {
			return s.Weight, nil
		}
	}
	return 0, fmt.Errorf("%s does not speak of %s", h.Name, service)
}
