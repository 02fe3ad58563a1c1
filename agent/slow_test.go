package agent

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/agent/haproxy/haproxytest"
	"github.com/serin-rollouts/serin/internal/durable"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// TestDiskHangs: while the disk takes nothing, messages pile up behind it until
// some are dropped. Broadcasts lower at once all the same, of every service, the
// lease goes on, and when the disk is back the agent is where its leader wants it.
func TestDiskHangs(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.end()
		var hang atomic.Pointer[chan struct{}]
		var began atomic.Int64
		b.write = func(path string, data []byte) error {
			if c := hang.Load(); c != nil {
				began.Add(1)
				<-*c
			}
			return durable.Write(path, data)
		}
		b.start()
		r1, r2 := b.revision("1", 1), b.revision("2", 1)
		cafe := func(epoch uint64, weight int) rollout.Assignment {
			a := b.want(epoch, r1, r2, weight)
			a.Service, a.Rollout, a.Frontend.Listen = "cafe", "cafe-1", ":8081"
			return a
		}
		b.assign(b.want(5, r1, r2, 5000))
		b.settled(5)
		b.assign(cafe(6, 5000))
		b.until("cafe is settled", time.Minute, func(wire.ServiceHealth) bool { return b.settledAt("cafe", 6) })
		b.untilShares(map[string]int{shop: 500, "cafe": 500})

		back := make(chan struct{})
		hang.Store(&back)
		b.leads(false) // so that what follows is all that it hears
		b.wave(rollout.Wave{Service: shop, Epoch: 7, Rollout: "shop-1", Canary: r2.ID, Weight: 0})
		for began.Load() == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		b.wave(rollout.Wave{Service: "cafe", Epoch: 8, Rollout: "cafe-1", Canary: r2.ID, Weight: 1000})
		heard := time.Now()
		b.untilShares(map[string]int{shop: 0, "cafe": 100})
		if took := time.Since(heard); took > time.Second {
			t.Errorf("I5: lowered after %s", took)
		}
		large := *r1
		large.Container.Env = map[string]string{"X": strings.Repeat("x", 60<<10)}
		b.mu.Lock()
		b.assigned[shop] = b.want(9, &large, r2, 1000)
		b.mu.Unlock()
		for range 700 { // 41 MiB, of which 32 may wait
			b.send(0)
		}
		b.leads(true)
		time.Sleep(time.Minute)
		close(back)
		hang.Store(nil)
		b.assign(b.want(10, r1, r2, 3000))
		b.assign(cafe(11, 2000))
		b.settled(10)
		b.untilShares(map[string]int{shop: 300, "cafe": 200})

		b.end()
		b.start()
		b.assign(b.want(9, r1, r2, 10_000)) // of a leader that is none any more
		time.Sleep(time.Minute)
		b.untilShares(map[string]int{shop: 300, "cafe": 200})
	})
}

// settledAt tells whether the last report says so of a service.
func (b *bench) settledAt(service string, epoch uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.last.Services, func(s wire.ServiceHealth) bool {
		return s.Service == service && s.Epoch == epoch && s.Settled
	})
}

// untilShares waits until so many of a thousand requests go to the canaries.
func (b *bench) untilShares(want map[string]int) {
	b.t.Helper()
	var got map[string]int
	for end := time.Now().Add(time.Minute); time.Now().Before(end) && pause(b.t.Context(), 10*time.Millisecond) == nil; {
		got = map[string]int{}
		for service := range want {
			s := b.haproxy.Serve(haproxytest.Traffic{Service: service, Requests: 1000})
			if got[service] = s.Canary; s.Failed > 0 {
				b.t.Fatalf("I6: %s: %+v", service, s)
			}
		}
		if fmt.Sprint(got) == fmt.Sprint(want) {
			return
		}
	}
	b.t.Fatalf("canaries get %v of 1000 requests, want %v", got, want)
}
