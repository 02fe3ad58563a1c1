package replica

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// retryPause is how long to wait before a barrier is tried again while this
	// replica leads.
	retryPause = 50 * time.Millisecond
	// handoverLongest is how long a handover of an earlier term can last: an election
	// and one message, which may take peerTimeout.
	handoverLongest = 10 * time.Second
)

// tenure is a time of leading, or of not leading.
type tenure struct {
	leading bool
	over    chan struct{} // closed when it is over
}

func newTenure(leading bool) *tenure { return &tenure{leading: leading, over: make(chan struct{})} }

// Lead runs f whenever this replica leads, after its state has caught up with
// everything that was committed before. When leadership goes, f's ctx is
// cancelled at once, and f is waited for before it is run for another term.
// Lead returns nil when ctx ends, f's error if f fails while it leads (this
// replica still leads then: close it), and Err when the replica stops. If f
// returns nil it is not run again in that term. Only one Lead may run.
func (r *Replica) Lead(ctx context.Context, f func(ctx context.Context, term uint64) error) error {
	if !r.running.CompareAndSwap(false, true) {
		return errors.New("lead: it runs already")
	}
	defer r.running.Store(false)
	for {
		t := r.tenure.Load()
		if t.leading {
			if err := r.serve(ctx, t, f); err != nil {
				return err
			}
		}
		select {
		case <-t.over:
		case <-r.done:
			return r.Err()
		case <-ctx.Done():
			return nil
		}
	}
}

// Leader returns the leader as this replica knows it; empty if it knows none.
func (r *Replica) Leader() (id, address string) {
	a, i := r.raft.LeaderWithID()
	return string(i), string(a)
}

// Private

// lead begins another tenure, if it is another. Only watch calls it.
func (r *Replica) lead(leading bool) {
	old := r.tenure.Load()
	if old.leading == leading {
		return
	}
	r.tenure.Store(newTenure(leading))
	close(old.over)
	event := r.log.Info().Uint64("term", r.raft.CurrentTerm())
	if leading {
		event.Msg("leading")
	} else {
		event.Msg("no longer leading")
	}
}

// serve runs f for one tenure.
func (r *Replica) serve(ctx context.Context, t *tenure, f func(context.Context, uint64) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		defer cancel()
		select {
		case <-t.over:
		case <-r.done:
		case <-ctx.Done():
		}
	})
	defer watch.Wait()
	defer cancel()
	term, ok := r.settle(ctx, r.barrier)
	if !ok {
		return nil
	}
	if err := f(ctx, term); err != nil && ctx.Err() == nil {
		return fmt.Errorf("lead in term %d: %w", term, err)
	}
	return nil
}

// settle waits until the state holds everything that was committed before, and
// returns the term in which this replica leads. A barrier is committed only in
// a term that this replica leads, so if the term was the same before and after
// it, it is that one.
//
// A handover that Raft has begun keeps it from taking entries, in later terms, too.
// One that waits for a voter whose replication has ended with an earlier term waits
// for ever (Raft's leadershipTransfer, which writes to a full channel that nobody
// reads any more): the others follow a leader that can do nothing. So the replica
// stops then, and they elect another.
func (r *Replica) settle(ctx context.Context, barrier func() raft.Future) (term uint64, ok bool) {
	var since time.Time // of the refusals for a handover
	for ctx.Err() == nil {
		before := r.raft.CurrentTerm()
		err := r.await(ctx, barrier)
		switch {
		case err == nil && r.raft.CurrentTerm() == before:
			return before, true
		case !errors.Is(err, raft.ErrLeadershipTransferInProgress):
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) >= handoverLongest:
			r.stop(ErrHandover)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryPause):
		}
	}
	return 0, false
}

// barrier is committed after everything that was proposed before it.
func (r *Replica) barrier() raft.Future { return r.raft.Barrier(0) }

// await waits for a future of Raft, for ctx, or for the end of the replica.
func (r *Replica) await(ctx context.Context, start func() raft.Future) error {
	if !r.asked.begin() {
		return r.Err()
	}
	got := make(chan error, 1)
	go func() {
		defer r.asked.end()
		got <- start().Error()
	}()
	select {
	case err := <-got:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-r.done:
		return r.Err()
	}
}

func (r *Replica) notLeader() error {
	id, address := r.Leader()
	if id == r.cfg.ID {
		id, address = "", "" // it has not noticed yet
	}
	return &NotLeaderError{ID: id, Address: address}
}
