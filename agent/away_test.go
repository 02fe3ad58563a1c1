package agent

import (
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// TestImagesOfAnotherAssignment: what a look found for one assignment says
// nothing about the images of the next.
func TestImagesOfAnotherAssignment(t *testing.T) {
	st := status{settled: true, hasImages: true}
	st.assigned(rollout.Assignment{Epoch: 6}, rollout.Assignment{Epoch: 7, Prefetch: []string{"shop@sha256:2"}})
	if st.hasImages || st.settled {
		t.Errorf("before the first look at epoch 7 it says %+v", st)
	}
}

// TestHAProxyGoneWhileAServiceGoes: what is to go has to be seen in HAProxy
// first. One that is gone is started again, or nothing would ever go.
func TestHAProxyGoneWhileAServiceGoes(t *testing.T) {
	for name, restart := range map[string]bool{"the agent runs on": false, "the agent restarts": true} {
		t.Run(name, func(t *testing.T) { haproxyGone(t, restart) })
	}
}

func haproxyGone(t *testing.T, restart bool) {
	t.Helper()
	inBubble(t, func(b *bench) {
		b.assign(b.want(5, b.revision("1", 2), nil, 0))
		b.settled(5)
		b.leads(false)
		time.Sleep(5 * time.Second) // the last licence ends
		gone := b.want(6, nil, nil, 0)
		gone.Frontend = rollout.Frontend{}
		b.mu.Lock()
		b.assigned[shop] = gone
		b.mu.Unlock()
		b.send(0)
		b.until("waits for a licence", time.Minute, func(s wire.ServiceHealth) bool { return s.Epoch == 6 && s.WantsRaise })
		if restart {
			b.end()
		}
		b.haproxy.Crash()
		if restart {
			b.start()
		}
		b.leads(true)
		b.settled(6)
		if left := b.names(); len(left) > 0 {
			t.Errorf("I8: left behind: %v", left)
		}
	})
}
