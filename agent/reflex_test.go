package agent

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/agent/docker/dockertest"
	"github.com/serin-rollouts/serin/agent/fence"
	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/agent/metrics"
	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// TestReflexDoesNotWait: the canary's traffic goes at once though the loop is
// in the middle of a pull that takes a minute.
func TestReflexDoesNotWait(t *testing.T) {
	inBubble(t, func(b *bench) {
		r1, r2 := b.revision("1", 1), b.revision("2", 1)
		b.assign(b.want(5, r1, nil, 0))
		b.settled(5)
		b.assign(b.want(6, r1, r2, 5000))
		b.settled(6)
		b.docker.Inject(dockertest.Fault{Method: "POST", Path: "/images/create", Hang: true, Times: -1})
		a := b.want(7, r1, r2, 5000)
		a.Prefetch = []string{"127.0.0.1:1/shop@sha256:e6b56180617efa73ab1163a315ac694eb8a3c46f1adb95fc072cddab68ee856b"}
		b.assign(a)
		b.until("pulls", 5*time.Second, func(s wire.ServiceHealth) bool { return s.Epoch == 7 && len(s.Doing) > 4 && s.Doing[:4] == "pull" })
		b.docker.Die("serin-web-1-shop-b1-"+r2.ID, 1)
		time.Sleep(250 * time.Millisecond)
		if s := b.service(); s.Weight != 0 {
			t.Errorf("I5: %+v", s)
		}
		changes := b.haproxy.Changes()
		if !slices.Contains(changes, "set server shop/b1 state maint") {
			t.Errorf("the slot of the dead canary is open: %v", changes[max(0, len(changes)-5):])
		}
		if got := b.serve(100); got.Canary > 0 || got.Failed > 0 {
			t.Errorf("%+v", got)
		}
	})
}

// splits is a splitter that notes what it is told; a raise says that it has
// come, and waits.
type splits struct {
	mu             sync.Mutex
	told           []int
	called, raises chan struct{}
}

func (s *splits) SetSplit(_ context.Context, _ string, split haproxy.Split) error {
	s.called <- struct{}{}
	<-s.raises
	s.note(split.Share)
	return nil
}

func (s *splits) Promote(context.Context, string, string) error { return errors.New("not here") }

func (s *splits) Zero(context.Context, string) error {
	s.note(0)
	s.called <- struct{}{}
	return nil
}

func (s *splits) note(share int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, share)
}

func loneService(out outside) *service {
	out.observer = metrics.New("test")
	a := newAgent(Config{Host: host, Log: zerolog.Nop()}, nil, out)
	s := newService(a, shop)
	r1, r2 := &rollout.Revision{ID: "r1", Replicas: 1}, &rollout.Revision{ID: "r2", Replicas: 1}
	s.accept(rollout.Assignment{Service: shop, Epoch: 6, Stable: r1, Canary: r2, Weight: 5000}, startOfTime+fence.LicenceTime)
	s.seen = sighting{split: plan.Split{Share: 500, Salt: "r2", Bank: plan.BankB, Replicas: 1}}
	return s
}

// TestLoweringWinsTheRace: a raise that is under way when a broadcast lowers
// does not have the last word, and one that comes later is refused.
func TestLoweringWinsTheRace(t *testing.T) {
	told := &splits{called: make(chan struct{}, 8), raises: make(chan struct{})}
	s := loneService(outside{splitter: told})
	_, turn := s.current()
	raise := plan.Share{Raise: true, Split: plan.Split{Share: 5000, Bank: plan.BankB}}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.steer(t.Context(), raise, turn); err != nil {
			t.Error(err)
		}
	})
	<-told.called // the raise holds the gate
	s.hold(rollout.Wave{Service: shop, Epoch: 7})
	wg.Go(func() {
		if err := s.react(t.Context()); err != nil {
			t.Error(err)
		}
	})
	<-told.called      // the first zero
	close(told.raises) // the raise comes after it
	wg.Wait()
	if want := []int{0, 5000, 0}; !slices.Equal(told.told, want) {
		t.Errorf("told %v, want %v", told.told, want)
	}
	if err := s.steer(t.Context(), raise, turn); !errors.Is(err, errTurned) {
		t.Errorf("a raise planned before the broadcast: %v", err)
	}
}

// TestRaiseEndsWithLicence: a raise that was planned under a licence is not
// carried out after its end.
func TestRaiseEndsWithLicence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := &splits{called: make(chan struct{}, 8), raises: make(chan struct{})}
		close(told.raises)
		s := loneService(outside{splitter: told})
		_, turn := s.current()
		raise := plan.Share{Raise: true, Split: plan.Split{Share: 5000, Bank: plan.BankB}}
		time.Sleep(fence.LicenceTime - time.Millisecond)
		if err := s.steer(t.Context(), raise, turn); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Millisecond)
		if err := s.steer(t.Context(), raise, turn); !errors.Is(err, errTurned) {
			t.Errorf("I12: %v", err)
		}
	})
}

// TestStaleLookCountsNothing: what was seen under one assignment says nothing
// about another.
func TestStaleLookCountsNothing(t *testing.T) {
	s := loneService(outside{})
	a, turn := s.current()
	next := a
	next.Epoch, next.Weight = 7, 9000
	s.accept(next, 0)
	op, _, done := s.decide(t.Context(), a, plan.Host{}, turn)
	done()
	if _, waits := op.(plan.Wait); !waits || s.status.doing != "" {
		t.Errorf("%q, status %+v", op, s.status)
	}
	s.failed(t.Context(), turn, "start", problem{text: "of the old one", fatal: true})
	if s.status.problem.fatal {
		t.Error("the old assignment's problem is blamed on the new one")
	}
}
