package replica

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// slow hands answers out late: they are on their way when the leader is cut off.
type slow struct {
	*raft.InmemTransport
	delay time.Duration
}

func (s slow) AppendEntries(id raft.ServerID, at raft.ServerAddress, ask *raft.AppendEntriesRequest, answer *raft.AppendEntriesResponse) error {
	err := s.InmemTransport.AppendEntries(id, at, ask, answer)
	time.Sleep(s.delay)
	return err
}

// Answers to what was asked before the cut are no answers to what is asked
// after it, however many there are.
func TestNoAnswerFromBeforeTheCutConfirms(t *testing.T) {
	const runs = 60
	for run := range runs {
		synctest.Test(t, func(t *testing.T) {
			b := newBubbleOf(t, 3, func(tr *raft.InmemTransport) raft.Transport { return slow{tr, 40 * time.Millisecond} })
			defer b.close()
			old := b.leader()
			time.Sleep(time.Second + time.Duration(run)*7*time.Millisecond) // a heartbeat is anywhere on its way
			b.cut(old)
			for i := range 3 { // one after the other, as those who are confirmed in turn
				if err := b.all[old].Verify(t.Context()); !errors.Is(err, ErrNotLeader) {
					t.Errorf("run %d, question %d after the cut: %v, want ErrNotLeader", run, i+1, err)
				}
			}
		})
	}
}

// A voter that is away costs nothing but its bounded share of open questions.
func TestOneVoterAwayHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 3)
		defer b.close()
		old := b.leader()
		b.cut((old + 1) % 3)
		for range 1000 {
			began := time.Now()
			if err := b.all[old].Verify(t.Context()); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > 0 {
				t.Fatalf("took %s, though a majority answers at once", took)
			}
		}
		b.cut((old + 2) % 3)
		ctx, stop := context.WithTimeout(t.Context(), time.Millisecond)
		defer stop()
		if err := b.all[old].Verify(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error = %v, want the end of the context", err)
		}
	})
}

func TestALoneVoterConfirmsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 1)
		defer b.close()
		if err := b.all[b.leader()].Verify(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
