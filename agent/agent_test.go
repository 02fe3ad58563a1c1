package agent

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/agent/docker/dockertest"
	"github.com/serin-rollouts/serin/agent/fence"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

func TestRolloutEndToEnd(t *testing.T) {
	inBubble(t, func(b *bench) {
		r1, r2 := b.revision("1", 2), b.revision("2", 2)
		b.assign(b.want(5, r1, nil, 0))
		s := b.settled(5)
		if s.Stable != r1.ID || s.StableReady != 2 || s.Weight != 0 {
			t.Fatalf("installed: %+v", s)
		}
		b.assign(b.want(6, r1, r2, 1000))
		s = b.settled(6)
		if s.Weight != 1000 || s.Canary != r2.ID || s.CanaryReady != 2 {
			t.Fatalf("canary: %+v", s)
		}
		if got := b.serve(1000); got.Failed > 0 || got.Canary != 100 {
			t.Errorf("at 10%%: %+v", got)
		}
		time.Sleep(2 * time.Second)
		if s = b.service(); s.CanaryCounts.Requests != 100 || s.CanaryInstances != 2 || len(s.StableCounts) != 2 {
			t.Errorf("counts: %+v", s)
		}
		b.assign(b.want(7, r1, r2, rollout.Full))
		b.settled(7)
		b.assign(b.want(8, r2, nil, 0))
		s = b.settled(8)
		if s.Stable != r2.ID || s.StableReady != 2 || s.Canary != "" {
			t.Errorf("promoted: %+v", s)
		}
		if got := b.serve(1000); got.Failed > 0 || got.Stable != 1000 {
			t.Errorf("after promotion: %+v", got)
		}
		want := map[string]string{"b1 " + r2.ID: "running", "b2 " + r2.ID: "running"}
		if got := b.names(); !maps.Equal(got, want) {
			t.Errorf("containers %v, want %v", got, want)
		}
	})
}

// TestWaveLowersAtOnce: a broadcast takes the canary's traffic though nothing
// grants a licence, and though the assignment still says 50 %.
func TestWaveLowersAtOnce(t *testing.T) {
	inBubble(t, func(b *bench) {
		r1, r2 := b.revision("1", 1), b.revision("2", 1)
		b.assign(b.want(5, r1, nil, 0))
		b.settled(5)
		b.assign(b.want(6, r1, r2, 5000))
		b.settled(6)
		b.leads(false)
		began := time.Now()
		b.wave(rollout.Wave{Service: shop, Epoch: 7})
		b.until("zero", time.Second, func(s wire.ServiceHealth) bool { return s.Weight == 0 })
		if took := time.Since(began); took > 250*time.Millisecond {
			t.Errorf("I5: zero after %s", took)
		}
		if got := b.serve(100); got.Canary != 0 || got.Failed > 0 {
			t.Errorf("after the broadcast: %+v", got)
		}
		// The old leader's assignment comes late, with a nonce that is good.
		b.leads(true)
		time.Sleep(5 * time.Second)
		if s := b.service(); s.Weight != 0 || s.Settled {
			t.Errorf("I2: an assignment of epoch 6 raised after epoch 7: %+v", s)
		}
		b.assign(b.want(7, r1, nil, 0))
		b.settled(7)
		if got := len(b.names()); got != 1 {
			t.Errorf("%d containers are left", got)
		}
	})
}

// TestFenceOutlivesRestart: what was accepted before a restart still fences.
func TestFenceOutlivesRestart(t *testing.T) {
	inBubble(t, func(b *bench) {
		r1, r2 := b.revision("1", 1), b.revision("2", 1)
		b.assign(b.want(5, r1, nil, 0))
		b.settled(5)
		b.assign(b.want(9, r1, nil, 0))
		b.settled(9)
		b.end()
		b.assigned[shop] = b.want(6, r1, r2, rollout.Full)
		b.start()
		time.Sleep(10 * time.Second)
		s := b.service()
		if s.Epoch != 9 || s.Weight != 0 || len(b.names()) != 1 {
			t.Errorf("I2: after the restart: %+v, containers %v", s, b.names())
		}
	})
}

// TestLateEchoRaisesNothing: an echo of a nonce older than 3 s is no licence.
func TestLateEchoRaisesNothing(t *testing.T) {
	inBubble(t, func(b *bench) {
		r1, r2 := b.revision("1", 1), b.revision("2", 1)
		b.assign(b.want(5, r1, nil, 0))
		b.settled(5)
		b.mu.Lock()
		b.lag = 4 * time.Second
		b.mu.Unlock()
		time.Sleep(5 * time.Second)
		b.assign(b.want(6, r1, r2, 5000))
		b.until("asks", 10*time.Second, func(s wire.ServiceHealth) bool { return s.WantsRaise })
		time.Sleep(20 * time.Second)
		if s := b.service(); s.Canary != "" || s.Weight != 0 {
			t.Errorf("I12: raised by an echo 4 s old: %+v", s)
		}
		b.mu.Lock()
		b.lag = 2 * time.Second
		b.mu.Unlock()
		if s := b.settled(6); s.Weight != 5000 {
			t.Errorf("with an echo 2 s old: %+v", s)
		}
	})
}

// TestLeaseEnds: without a leader the canary loses its traffic and nothing
// else; a licence gives it back.
func TestLeaseEnds(t *testing.T) {
	inBubble(t, func(b *bench) {
		r1, r2 := b.revision("1", 1), b.revision("2", 1)
		b.assign(b.want(5, r1, nil, 0))
		b.settled(5)
		b.assign(b.want(6, r1, r2, 5000))
		b.settled(6)
		before := b.names()
		b.leads(false)
		time.Sleep(8 * time.Second)
		if s := b.service(); s.Weight != 5000 {
			t.Errorf("within the lease: %+v", s)
		}
		b.until("zero", 3*time.Second, func(s wire.ServiceHealth) bool { return s.Weight == 0 })
		time.Sleep(time.Minute)
		if got := b.names(); !maps.Equal(got, before) {
			t.Errorf("I13: containers %v, before %v", got, before)
		}
		b.leads(true)
		if s := b.settled(6); s.Weight != 5000 {
			t.Errorf("with a leader again: %+v", s)
		}
	})
}

// TestHoldOnLoss: who says hold keeps the canary without a leader.
func TestHoldOnLoss(t *testing.T) {
	inBubble(t, func(b *bench) {
		r1, r2 := b.revision("1", 1), b.revision("2", 1)
		b.assign(b.want(5, r1, nil, 0))
		b.settled(5)
		a := b.want(6, r1, r2, 5000)
		a.OnControlLoss = rollout.HoldOnLoss
		b.assign(a)
		b.settled(6)
		b.leads(false)
		time.Sleep(time.Minute)
		if got := b.serve(100); got.Canary != 50 {
			t.Errorf("held: %+v", got)
		}
	})
}

// TestReflex: the death of a canary takes its traffic at once, without a
// leader; it is counted, and needs a licence to come back.
func TestReflex(t *testing.T) {
	inBubble(t, func(b *bench) {
		r1, r2 := b.revision("1", 1), b.revision("2", 1)
		b.assign(b.want(5, r1, nil, 0))
		b.settled(5)
		b.assign(b.want(6, r1, r2, 5000))
		b.settled(6)
		b.leads(false)
		time.Sleep(fence.LicenceTime)
		began := time.Now()
		b.docker.Die("serin-web-1-shop-b1-"+r2.ID, 3)
		s := b.until("death", time.Second, func(s wire.ServiceHealth) bool { return s.Deaths == 1 && s.Weight == 0 })
		if took := time.Since(began); took > 250*time.Millisecond {
			t.Errorf("I5: %s", took)
		}
		if !strings.Contains(s.Death, "exited with 3") {
			t.Errorf("death told as %q", s.Death)
		}
		if got := b.serve(200); got.Failed > 0 || got.Canary > 0 {
			t.Errorf("after the death: %+v", got)
		}
		b.leads(true)
		if s = b.settled(6); s.Weight != 5000 || s.Deaths != 1 {
			t.Errorf("after the restart: %+v", s)
		}
	})
}

// TestStableDies: it comes back without a leader, and gets its traffic back.
func TestStableDies(t *testing.T) {
	inBubble(t, func(b *bench) {
		r1 := b.revision("1", 2)
		b.assign(b.want(5, r1, nil, 0))
		b.settled(5)
		b.leads(false)
		b.docker.Die("serin-web-1-shop-a1-"+r1.ID, 137)
		b.until("restarted", time.Second, func(s wire.ServiceHealth) bool { return strings.Contains(s.Doing, "warms up") })
		if got := b.serve(200); got.Failed > 0 {
			t.Errorf("with one of two: %+v", got)
		}
		s := b.settled(5)
		if s.StableReady != 2 || s.Deaths != 0 {
			t.Errorf("after the restart: %+v", s)
		}
	})
}

// TestRebootWithoutLeader: a host that comes back serves what it served.
func TestRebootWithoutLeader(t *testing.T) {
	inBubble(t, func(b *bench) {
		r1, r2 := b.revision("1", 1), b.revision("2", 1)
		b.assign(b.want(5, r1, nil, 0))
		b.settled(5)
		b.assign(b.want(6, r1, r2, 5000))
		b.settled(6)
		b.leads(false)
		b.end()
		b.docker.Down()
		b.docker.Up()
		b.haproxy.Crash()
		b.start()
		b.until("stable", 30*time.Second, func(s wire.ServiceHealth) bool { return s.StableReady == 1 })
		time.Sleep(5 * time.Second)
		if s := b.service(); s.Weight != 0 || s.CanaryReady != 0 || s.Deaths != 0 || !s.WantsRaise {
			t.Errorf("I13: after the reboot: %+v", s)
		}
		if got := b.serve(100); got.Stable != 100 {
			t.Errorf("after the reboot: %+v", got)
		}
	})
}

// TestNeverReady: a canary that does not get ready is a problem of the rollout.
func TestNeverReady(t *testing.T) {
	inBubble(t, func(b *bench) {
		r1, r2 := b.revision("1", 1), b.revision("2", 1)
		b.sick[r2.ID] = true
		b.assign(b.want(5, r1, nil, 0))
		b.settled(5)
		b.assign(b.want(6, r1, r2, 5000))
		s := b.until("problem", 20*time.Second, func(s wire.ServiceHealth) bool { return s.Fatal })
		if s.Cause != rollout.CauseStart || !strings.Contains(s.Problem, "not ready after 5s: connection refused") || s.Weight != 0 {
			t.Errorf("%+v", s)
		}
		b.assign(b.want(7, r1, nil, 0))
		if s = b.settled(7); s.Problem != "" || len(b.names()) != 1 {
			t.Errorf("rolled back: %+v", s)
		}
	})
}

// TestImageMissing: an image that no registry has is a problem of the rollout.
func TestImageMissing(t *testing.T) {
	inBubble(t, func(b *bench) {
		r1, r2 := b.revision("1", 1), b.revision("2", 1)
		b.assign(b.want(5, r1, nil, 0))
		b.settled(5)
		b.docker.RemoveImage("shop:2")
		a := b.want(6, r1, nil, 0)
		a.Rollout, a.Prefetch = "shop-1", []string{r2.Image}
		b.assign(a)
		s := b.until("problem", 20*time.Second, func(s wire.ServiceHealth) bool { return s.Fatal })
		if s.Cause != rollout.CauseImage || s.HasImage || s.StableReady != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// TestPortTaken: an address that somebody else listens on ends an install, which
// could only wait for its deadline.
func TestPortTaken(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.haproxy.Occupy(":8080", true)
		a := b.want(5, b.revision("1", 1), nil, 0)
		a.Rollout = "shop-1"
		b.assign(a)
		s := b.until("problem", time.Minute, func(s wire.ServiceHealth) bool { return s.Fatal })
		if s.Cause != rollout.CauseStart || !strings.Contains(s.Problem, ":8080") || s.Settled {
			t.Errorf("%+v", s)
		}
	})
}

// TestDockerErrors: what fails is tried again, told while it lasts, and
// forgotten afterwards.
func TestDockerErrors(t *testing.T) {
	inBubble(t, func(b *bench) {
		r1 := b.revision("1", 1)
		remove := b.docker.Inject(dockertest.Fault{Method: "POST", Path: "/start", Times: -1, Status: 500, Message: "no space left on device"})
		b.assign(b.want(5, r1, nil, 0))
		s := b.until("problem", 10*time.Second, func(s wire.ServiceHealth) bool { return s.Problem != "" })
		if !strings.Contains(s.Problem, "no space left") || s.Settled || s.Fatal {
			t.Errorf("%+v", s)
		}
		remove()
		if s = b.settled(5); s.Problem != "" {
			t.Errorf("after it was mended: %+v", s)
		}
	})
}

// TestContainerThatCannotStart: a container that Docker refuses to start for ever, since
// a containerd that was killed has left something of its start, is made anew.
func TestContainerThatCannotStart(t *testing.T) {
	inBubble(t, func(b *bench) {
		r1, r2 := b.revision("1", 1), b.revision("2", 1)
		b.assign(b.want(5, r1, nil, 0))
		b.settled(5)
		first := b.docker.Inject(dockertest.Fault{Method: "POST", Path: "/start", Times: -1, Status: 500, Message: "task: already exists"})
		b.assign(b.want(6, r1, r2, 1000))
		b.until("problem", 10*time.Second, func(s wire.ServiceHealth) bool { return s.Problem != "" })
		stuck := b.containerOf(r2)
		defer b.docker.Inject(dockertest.Fault{Method: "POST", Path: stuck.ID + "/start", Times: -1, Status: 500, Message: "task: already exists"})()
		first()
		s := b.settled(6)
		if made := b.containerOf(r2); s.Problem != "" || made.ID == stuck.ID {
			t.Errorf("%+v with container %s, that cannot start", s, made.ID)
		}
	})
}

// TestVersionThatCannotStart: a version that Docker starts in no container, however
// often one is made anew, is a problem of the rollout.
func TestVersionThatCannotStart(t *testing.T) {
	inBubble(t, func(b *bench) {
		r1, r2 := b.revision("1", 1), b.revision("2", 1)
		b.assign(b.want(5, r1, nil, 0))
		b.settled(5)
		b.docker.Inject(dockertest.Fault{Method: "POST", Path: "/start", Times: -1, Status: 400, Message: "exec: no such file"})
		b.assign(b.want(6, r1, r2, 1000))
		s := b.until("problem", time.Minute, func(s wire.ServiceHealth) bool { return s.Fatal })
		if s.Cause != rollout.CauseStart || !strings.Contains(s.Problem, "no such file") {
			t.Errorf("%+v", s)
		}
	})
}

// TestHAProxyRestarts: what a new process has lost is put back.
func TestHAProxyRestarts(t *testing.T) {
	inBubble(t, func(b *bench) {
		r1, r2 := b.revision("1", 1), b.revision("2", 1)
		b.assign(b.want(5, r1, nil, 0))
		b.settled(5)
		b.assign(b.want(6, r1, r2, 5000))
		b.settled(6)
		b.serve(100)
		time.Sleep(time.Second)
		b.haproxy.Crash()
		time.Sleep(20 * time.Second)
		if got := b.serve(100); got.Canary != 50 || got.Failed > 0 {
			t.Errorf("after the crash: %+v", got)
		}
		time.Sleep(2 * time.Second)
		if s := b.service(); s.CanaryCounts.Requests < 50 || s.CanaryCounts.Requests > 100 {
			t.Errorf("counted twice, or lost before: %+v", s)
		}
	})
}

// TestAgentRestartsMidway: an agent that is killed at any time during a
// rollout finds its way, and nothing is lost meanwhile.
func TestAgentRestartsMidway(t *testing.T) {
	inBubble(t, func(b *bench) {
		r1, r2 := b.revision("1", 2), b.revision("2", 2)
		b.assign(b.want(5, r1, nil, 0))
		b.settled(5)
		for i, a := range []rollout.Assignment{
			b.want(6, r1, r2, 500), b.want(7, r1, r2, 5000), b.want(8, r1, nil, 0),
			b.want(9, r1, r2, 5000), b.want(10, r2, nil, 0), b.want(11, r2, r1, 500), b.want(12, r1, nil, 0),
		} {
			b.assign(a)
			for k := range 4 {
				time.Sleep(time.Duration(7*(i+1)+13*k) * time.Millisecond)
				b.end()
				if got := b.serve(50); got.Failed > 0 {
					t.Fatalf("I6: epoch %d, kill %d: %+v", a.Epoch, k, got)
				}
				b.start()
			}
			s := b.settled(a.Epoch)
			if s.Weight != a.Weight {
				t.Errorf("epoch %d: %+v", a.Epoch, s)
			}
		}
		if got := len(b.names()); got != 2 {
			t.Errorf("I8: containers %v", b.names())
		}
	})
}

// TestRestartBetweenReplicas: the agent dies when one of two containers was
// created and none was started.
func TestRestartBetweenReplicas(t *testing.T) {
	inBubble(t, func(b *bench) {
		r1 := b.revision("1", 2)
		remove := b.docker.Inject(dockertest.Fault{Method: "POST", Path: "/start", Times: -1, Status: 500, Message: "not now"})
		b.assign(b.want(5, r1, nil, 0))
		b.until("problem", 10*time.Second, func(s wire.ServiceHealth) bool { return s.Problem != "" })
		if got := len(b.names()); got != 1 {
			t.Fatalf("%d containers", got)
		}
		b.end()
		remove()
		b.start()
		b.settled(5)
	})
}

// TestBeforeTheFirstInstall: HAProxy does not run before there is something to
// serve. Images come all the same, and nothing to do is settled.
func TestBeforeTheFirstInstall(t *testing.T) {
	inBubble(t, func(b *bench) {
		r1 := b.revision("1", 1)
		a := rollout.Assignment{Service: shop, Epoch: 5, Rollout: "shop-1", Prefetch: []string{r1.Image}, OnControlLoss: rollout.RevertOnLoss}
		b.assign(a)
		if s := b.settled(5); !s.HasImage || s.Problem != "" {
			t.Errorf("preparing: %+v", s)
		}
		a.Epoch, a.Prefetch = 6, nil
		b.assign(a)
		b.settled(6) // it was aborted
		b.assign(b.want(7, r1, nil, 0))
		b.settled(7)
		b.assign(rollout.Assignment{Service: shop, Epoch: 8, Rollout: "shop-2", OnControlLoss: rollout.RevertOnLoss})
		if s := b.settled(8); len(b.names()) != 0 || s.Stable != "" {
			t.Errorf("the installation was taken back: %+v, containers %v", s, b.names())
		}
	})
}
