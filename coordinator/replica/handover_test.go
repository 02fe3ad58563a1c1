package replica

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestCloseHandsOver: a leader that is closed waits until another one leads, and
// nobody waits for a heartbeat that does not come. An election would take that.
func TestCloseHandsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 3)
		defer b.close()
		old := b.leader()
		if _, err := b.all[old].Propose(t.Context(), submit("checkout", "k1")); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := b.all[old].Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		var next *Replica
		for next == nil {
			for _, r := range b.all {
				if r.Err() == nil && r.tenure.Load().leading {
					next = r
				}
			}
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(began); took >= DefaultHeartbeat {
			t.Errorf("nobody led for %s: leadership was not handed over", took)
		}
		if _, err := next.Propose(t.Context(), submit("billing", "k2")); err != nil {
			t.Error(err)
		}
		if n := len(next.State().Services); n != 2 {
			t.Errorf("%d services, want 2", n)
		}
	})
}
