package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/statefile"
)

// bubble is a group in memory, for virtual time.
type bubble struct {
	t     *testing.T
	trans []*raft.InmemTransport
	all   []*Replica
}

func newBubble(t *testing.T, n int) *bubble {
	t.Helper()
	return newBubbleOf(t, n, func(tr *raft.InmemTransport) raft.Transport { return tr })
}

// newBubbleOf makes a group of n that send through what wrap makes of their
// transports.
func newBubbleOf(t *testing.T, n int, wrap func(*raft.InmemTransport) raft.Transport) *bubble {
	t.Helper()
	b := &bubble{t: t}
	var peers []Peer
	for i := range n {
		id := fmt.Sprintf("c%d", i+1)
		_, tr := raft.NewInmemTransportWithTimeout(raft.ServerAddress(id), time.Second)
		b.trans = append(b.trans, tr)
		peers = append(peers, Peer{ID: id, Address: id})
	}
	for i, p := range peers {
		b.connect(i)
		store := raft.NewInmemStore()
		r, err := Open(t.Context(), Config{
			ID: p.ID, Peers: peers, Transport: wrap(b.trans[i]), Logs: store, Stable: store, Snapshots: raft.NewInmemSnapshotStore(), Log: zerolog.Nop(),
		})
		if err != nil {
			t.Fatal(err)
		}
		b.all = append(b.all, r)
	}
	return b
}

func (b *bubble) connect(i int) {
	for j := range b.trans {
		if i != j {
			b.trans[i].Connect(b.trans[j].LocalAddr(), b.trans[j])
			b.trans[j].Connect(b.trans[i].LocalAddr(), b.trans[i])
		}
	}
}

func (b *bubble) cut(i int) {
	b.trans[i].DisconnectAll()
	for j := range b.trans {
		if i != j {
			b.trans[j].Disconnect(b.trans[i].LocalAddr())
		}
	}
}

func (b *bubble) close() {
	for _, r := range b.all {
		if err := r.end(b.t.Context()); err != nil {
			b.t.Error(err)
		}
	}
	time.Sleep(time.Minute) // what waits with a timeout in the transports ends
}

// leader returns the replica whose leadership a majority confirms.
func (b *bubble) leader() int {
	b.t.Helper()
	for range 1000 {
		for i, r := range b.all {
			if r.Err() == nil && r.Verify(b.t.Context()) == nil {
				return i
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.t.Fatal("nobody leads")
	return 0
}

func TestDeposedLeaderIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 3)
		defer b.close()
		old := b.leader()
		if _, err := b.all[old].Propose(t.Context(), submit("checkout", "k1")); err != nil {
			t.Fatal(err)
		}
		b.cut(old)
		// It has not noticed yet; the entry may or may not have got through.
		if _, err := b.all[old].Propose(t.Context(), submit("lost", "k2")); !errors.Is(err, ErrUnknown) {
			t.Errorf("error = %v, want ErrUnknown", err)
		}
		if _, err := b.all[old].Propose(t.Context(), submit("lost", "k2")); !errors.Is(err, ErrNotLeader) {
			t.Errorf("error = %v, want ErrNotLeader", err)
		}
		if err := b.all[old].Verify(t.Context()); !errors.Is(err, ErrNotLeader) {
			t.Errorf("error = %v, want ErrNotLeader", err)
		}
		next := b.leader()
		if _, err := b.all[next].Propose(t.Context(), submit("search", "k3")); err != nil {
			t.Fatal(err)
		}
		b.connect(old)
		time.Sleep(10 * time.Second)
		want := stateBytes(t, b.all[next].State())
		for _, r := range b.all {
			if got := stateBytes(t, r.State()); got != want {
				t.Errorf("%s has another state:\n%s\n%s", r.cfg.ID, want, got)
			}
		}
		if b.all[next].State().Services["lost"] != nil {
			t.Error("an entry of the deposed leader was committed")
		}
	})
}

// Raft does not answer what is open when it ends, so the replica waits before:
// the bubble does not end with a goroutine left behind.
func TestNothingIsAskedOfTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 3)
		defer b.close()
		at := b.leader()
		b.cut(at)
		asked := make(chan struct{})
		go func() {
			defer close(asked)
			_, _ = b.all[at].Propose(t.Context(), submit("lost", "k1")) // nobody knows what becomes of it
		}()
		synctest.Wait()
		if err := b.all[at].end(t.Context()); err != nil {
			t.Error(err)
		}
		<-asked
		if err := b.all[at].Verify(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("error = %v, want ErrClosed", err)
		}
	})
}

func TestProposeEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 3)
		defer b.close()
		at := b.leader()
		b.cut(at)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := b.all[at].Propose(ctx, submit("lost", "k1")); !errors.Is(err, ErrUnknown) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error = %v, want ErrUnknown for a deadline", err)
		}
		if _, err := b.all[at].Propose(ctx, submit("lost", "k1")); errors.Is(err, ErrUnknown) || err == nil {
			t.Errorf("error = %v: nothing was proposed", err)
		}
	})
}

// Over many changes of leadership: one f at a time on each replica, its context
// ends with its term, terms rise, and its state holds all that was committed.
func TestLeadContract(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 3)
		defer b.close()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 3)
		var committed, runs atomic.Int64
		for _, r := range b.all {
			var inside atomic.Int32
			var lastTerm uint64
			go func() {
				ended <- r.Lead(ctx, func(ctx context.Context, term uint64) error {
					if inside.Add(1) != 1 {
						t.Errorf("%s: two terms overlap", r.cfg.ID)
					}
					defer inside.Add(-1)
					if term <= lastTerm {
						t.Errorf("%s: term %d after %d", r.cfg.ID, term, lastTerm)
					}
					lastTerm = term
					runs.Add(1)
					if n := int64(len(r.State().Services)); n < committed.Load() {
						t.Errorf("%s leads in term %d with %d services, %d are committed", r.cfg.ID, term, n, committed.Load())
					}
					<-ctx.Done()
					time.Sleep(2 * time.Second) // cleaning up takes its time
					return ctx.Err()
				})
			}()
		}
		for i := range 20 {
			at := b.leader()
			if _, err := b.all[at].Propose(ctx, submit(fmt.Sprintf("s%d", i), fmt.Sprintf("k%d", i))); err != nil {
				t.Fatal(err)
			}
			committed.Add(1)
			time.Sleep(time.Second)
			if i%2 == 0 {
				if err := b.all[at].Transfer(ctx, ""); err != nil {
					t.Fatal(err)
				}
				continue
			}
			b.cut(at)
			time.Sleep(time.Second)
			b.connect(at)
			time.Sleep(5 * time.Second)
		}
		cancel()
		for range b.all {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if runs.Load() < 20 {
			t.Errorf("led %d times in 20 changes", runs.Load())
		}
	})
}

// An heir that is behind and cut off is not waited for within Raft, where two tries
// would keep this replica from ever leading again.
func TestHeirThatIsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 3)
		defer b.close()
		at := b.leader()
		heir, other := (at+1)%3, (at+2)%3
		b.trans[at].Disconnect(b.trans[heir].LocalAddr())
		b.trans[heir].DisconnectAll() // nor does it disturb the others
		b.trans[other].Disconnect(b.trans[heir].LocalAddr())
		if _, err := b.all[at].Propose(t.Context(), submit("checkout", "k1")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // by now Raft tries every ten seconds only
		for range 3 {
			if err := b.all[at].Transfer(t.Context(), b.all[heir].cfg.ID); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error = %v, want that it is not caught up in time", err)
			}
			if _, err := b.all[at].Propose(t.Context(), submit("checkout", "k1")); err != nil {
				t.Errorf("after it: %v", err)
			}
		}
		b.cut(at)
		time.Sleep(10 * time.Second)
		for i := range b.all {
			b.connect(i)
		}
		time.Sleep(30 * time.Second)
		if err := b.all[b.leader()].Transfer(t.Context(), b.all[at].cfg.ID); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		leads := errors.New("it leads")
		if err := b.all[at].Lead(ctx, func(context.Context, uint64) error { return leads }); !errors.Is(err, leads) {
			t.Errorf("error = %v, want that it leads again", err)
		}
	})
}

func TestHandoverThatNeverEnds(t *testing.T) {
	for name, c := range map[string]struct {
		refusals int
		want     error
	}{
		"it ends in time": {refusals: 100},
		"it does not":     {refusals: 1000, want: ErrHandover},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, 1)
				defer b.close()
				r := b.all[b.leader()]
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() {
					<-r.Done()
					cancel() // as serve does
				}()
				tries := 0
				_, ok := r.settle(ctx, func() raft.Future {
					if tries++; tries <= c.refusals {
						return settled{raft.ErrLeadershipTransferInProgress}
					}
					return r.barrier()
				})
				if err := r.Err(); !errors.Is(err, c.want) || ok != (c.want == nil) {
					t.Errorf("error = %v, settled %v; want %v", err, ok, c.want)
				}
			})
		})
	}
}

func TestLeadReturnsWhatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 1)
		defer b.close()
		broken := errors.New("broken")
		if err := b.all[0].Lead(t.Context(), func(context.Context, uint64) error { return broken }); !errors.Is(err, broken) {
			t.Errorf("error = %v", err)
		}
		calls := 0
		go func() {
			time.Sleep(time.Minute)
			b.all[0].stop(ErrDamaged)
		}()
		err := b.all[0].Lead(t.Context(), func(context.Context, uint64) error {
			calls++
			second := b.all[0].Lead(t.Context(), nil)
			if second == nil {
				t.Error("two ran at once")
			}
			return nil
		})
		if !errors.Is(err, ErrDamaged) || calls != 1 {
			t.Errorf("error = %v after %d calls", err, calls)
		}
	})
}

func TestNoChangeIsMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 1)
		defer b.close()
		r := b.all[b.leader()]
		seen := make(chan int)
		go func() {
			for {
				changed := r.Changed()
				n := len(r.State().Services)
				if n == 50 {
					seen <- n
					return
				}
				<-changed
			}
		}()
		for i := range 50 {
			if _, err := r.Propose(t.Context(), submit(fmt.Sprintf("s%d", i), fmt.Sprintf("k%d", i))); err != nil {
				t.Fatal(err)
			}
		}
		<-seen
	})
}

// An entry of a newer release reaches a replica through the log.
func TestReplicaStopsAtANewerEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 1)
		defer b.close()
		r := b.all[b.leader()]
		f := r.raft.Apply([]byte(`{"v":1,"type":"mirror","stamp":{},"command":{}}`), 0)
		<-r.Done()
		if err := r.Err(); !errors.Is(err, ErrNotUnderstood) {
			t.Errorf("stopped with %v", err)
		}
		_ = f.Error()
		if _, err := r.Propose(t.Context(), submit("checkout", "k1")); !errors.Is(err, ErrNotUnderstood) {
			t.Errorf("error = %v", err)
		}
		if _, err := r.Cluster(); err == nil {
			t.Error("a stopped replica described the group")
		}
	})
}

// What is newer than the group's level is not proposed; once it has been raised,
// a replica of an earlier release stops, and does not guess.
func TestLevelGatesWhatIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, 3)
		defer b.close()
		leader := b.all[b.leader()]
		old := b.all[(b.leader()+1)%3]
		old.machine.level = rollout.LevelFirst // an earlier release
		first := submit("checkout", "k1")
		if _, err := leader.Propose(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		newer := submit("shop", "k2")
		c := newer.Command.(rollout.Submit)
		c.Spec = c.Spec.At(rollout.LevelLost)
		newer.Command = c
		lose := rollout.Entry{Command: rollout.Lose{Hosts: []string{"web-2"}}}
		for _, e := range []rollout.Entry{newer, lose} {
			if _, err := leader.Propose(t.Context(), e); !errors.Is(err, ErrLevel) {
				t.Errorf("%T below its level: %v, want ErrLevel", e.Command, err)
			}
		}
		time.Sleep(time.Second) // a heartbeat tells it what is committed
		if err := old.Err(); err != nil || old.State().Services["checkout"] == nil {
			t.Fatalf("the earlier release stopped before the level was raised: %v", err)
		}
		if _, err := leader.Propose(t.Context(), rollout.Entry{Command: rollout.Raise{Level: rollout.LevelLost}}); err != nil {
			t.Fatal(err)
		}
		if r, err := leader.Propose(t.Context(), newer); err != nil || r.Refused != nil {
			t.Errorf("at its level: %v, %v", err, r.Refused)
		}
		<-old.Done()
		if err := old.Err(); !errors.Is(err, ErrNotUnderstood) || old.State().Services["shop"] != nil {
			t.Errorf("the earlier release stopped with %v", err)
		}
	})
}

// A snapshot of a later level is not understood either.
func TestSnapshotOfALaterLevel(t *testing.T) {
	s := rollout.NewState()
	s.Level = rollout.LevelLost
	data, err := statefile.Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	m := newMachine(rollout.LevelFirst, func(error) { stopped = true })
	if err := m.Restore(io.NopCloser(bytes.NewReader(data))); !errors.Is(err, ErrNotUnderstood) || !stopped {
		t.Errorf("restored with %v", err)
	}
	if err := newMachine(rollout.LevelLost, never(t)).Restore(io.NopCloser(bytes.NewReader(data))); err != nil {
		t.Error(err)
	}
}
