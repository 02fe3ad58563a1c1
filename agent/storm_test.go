package agent

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/agent/docker/dockertest"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// stormSeeds is how many storms there are; SERIN_STORMS asks for another
// number, SERIN_STORM for a single one again.
const stormSeeds = 12

// TestStorm rolls out and back while everything that can fail fails: the agent
// is killed, Docker refuses, hangs and loses answers, HAProxy's sockets break,
// messages come late, leaders go away. Nothing that lives dies in it, so no
// request may fail; and when it is over the host is as it should be.
func TestStorm(t *testing.T) {
	first, last := uint64(0), uint64(stormSeeds)
	if n, err := strconv.ParseUint(os.Getenv("SERIN_STORMS"), 10, 32); err == nil {
		last = n
	}
	if n, err := strconv.ParseUint(os.Getenv("SERIN_STORM"), 10, 32); err == nil {
		first, last = n, n+1
	}
	for seed := first; seed < last; seed++ {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			inBubble(t, func(b *bench) { storm(b, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func storm(b *bench, r *rand.Rand) {
	revs := []*rollout.Revision{b.revision("1", 2), b.revision("2", 1), b.revision("3", 2)}
	epoch, stable := uint64(5), 0
	b.assign(b.want(epoch, revs[stable], nil, 0))
	b.settled(epoch)
	var old []rollout.Assignment
	for range 12 {
		epoch++
		canary := (stable + 1 + r.IntN(2)) % 3
		a := b.want(epoch, revs[stable], revs[canary], []int{0, 500, 5000, rollout.Full}[r.IntN(4)])
		switch r.IntN(4) {
		case 0:
			a = b.want(epoch, revs[stable], nil, 0)
		case 1:
			stable = canary
			a = b.want(epoch, revs[stable], nil, 0)
		}
		a.Rollout = "shop-1"
		old = append(old, a)
		b.assign(a)
		for range r.IntN(6) {
			b.trouble(r, old)
			time.Sleep(time.Duration(r.IntN(400)) * time.Millisecond)
			if got := b.serve(20); got.Failed > 0 {
				b.t.Fatalf("I6: epoch %d: %+v", epoch, got)
			}
		}
	}
	b.leads(true)
	s, a := b.settled(epoch), old[len(old)-1]
	if s.Weight != a.Weight || s.Stable != a.Stable.ID {
		b.t.Errorf("I10: %+v", s)
	}
	count := 0
	for _, rev := range []*rollout.Revision{a.Stable, a.Canary} {
		if rev != nil {
			count += rev.Replicas
		}
	}
	if len(b.names()) != count {
		b.t.Errorf("I8: %d containers wanted: %v", count, b.names())
	}
}

// trouble makes one thing go wrong, or right again.
func (b *bench) trouble(r *rand.Rand, old []rollout.Assignment) {
	switch r.IntN(9) {
	case 0, 1:
		b.end()
		b.start()
	case 2:
		b.docker.Inject(dockertest.Fault{Status: 500, Message: "storm", Times: 1 + r.IntN(3)})
	case 3:
		b.docker.Inject(dockertest.Fault{Method: "POST", Drop: true, Late: r.IntN(2) == 0})
	case 4:
		b.haproxy.FailNext(1 + r.IntN(3))
	case 5:
		b.haproxy.CutNext(1 + r.IntN(3))
	case 6:
		b.leads(r.IntN(3) > 0)
	case 7:
		late := old[r.IntN(len(old))]
		b.wave(rollout.Wave{Service: shop, Epoch: late.Epoch, Rollout: late.Rollout})
	case 8:
		b.docker.Cut()
	}
}
