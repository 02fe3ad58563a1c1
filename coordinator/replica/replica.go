package replica

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// answerLimit is how long a replica that stops waits for Raft's answers. A leader
// without a majority gives up within its lease, and then answers.
const answerLimit = 2 * time.Second

// Replica is this coordinator's part of the group.
type Replica struct {
	cfg     Config
	log     zerolog.Logger
	machine *machine
	stores  *stores
	trans   raft.Transport
	raft    *raft.Raft

	tenure  atomic.Pointer[tenure]
	leading chan bool // from Raft; watch reads it
	asked   *asked    // futures of Raft
	running atomic.Bool
	// questions holds, by voter, a token for each that Verify waits for.
	questions sync.Map

	why     atomic.Pointer[error] // why it has stopped
	done    chan struct{}         // closed when why is set
	ended   chan struct{}         // closed when Raft has ended after that
	watched sync.WaitGroup
}

// Open starts the replica. Its log is replayed as the group confirms it, so
// State may lag at first; Lead waits for that. The errors ErrDirectory and
// ErrDamaged say what to do.
func Open(ctx context.Context, cfg Config) (*Replica, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("open replica: %w", err)
	}
	r := &Replica{
		cfg: cfg, log: cfg.Log.With().Str("component", "replica").Str("replica", cfg.ID).Logger(),
		leading: make(chan bool, 1), asked: newAsked(), done: make(chan struct{}), ended: make(chan struct{}),
	}
	r.machine = newMachine(cfg.Level, r.stop)
	r.tenure.Store(newTenure(false))
	if err := r.start(ctx); err != nil {
		return nil, fmt.Errorf("open replica %s: %w", cfg.ID, err)
	}
	return r, nil
}

// Close hands leadership over if there is somebody to take it, ends Raft, and
// closes the stores. ctx bounds the wait. Closing twice is harmless.
func (r *Replica) Close(ctx context.Context) error {
	if r.Err() == nil && r.raft.State() == raft.Leader && r.voters() > 1 {
		if err := r.Transfer(ctx, ""); err != nil {
			r.log.Warn().Err(err).Msg("leadership was not handed over; the others will elect")
		} else {
			r.log.Info().Msg("leadership handed over")
		}
	}
	return r.end(ctx)
}

// State returns what the replicas agree on, as far as this one knows it. It is
// never changed; the next change brings another.
func (r *Replica) State() *rollout.State { return r.machine.current.Load().state }

// Changed returns a channel that is closed when the state is replaced. Take it
// before State, and no change is missed: `c := r.Changed(); use(r.State()); <-c`.
func (r *Replica) Changed() <-chan struct{} { return r.machine.current.Load().changed }

// Done is closed when the replica has stopped: by Close, because the group has
// removed it, or because it must not go on (see the package's words). Whoever
// runs it should then end, with Err.
func (r *Replica) Done() <-chan struct{} { return r.done }

// Err says why Done is closed; nil before.
func (r *Replica) Err() error {
	if why := r.why.Load(); why != nil {
		return *why
	}
	return nil
}

// Entries returns the index of the last entry in this replica's log.
func (r *Replica) Entries() uint64 { return r.raft.LastIndex() }

// Private

func (r *Replica) start(ctx context.Context) (err error) {
	if r.stores, err = openStores(r.cfg, r.stop); err != nil {
		return err
	}
	undo := []func() error{r.stores.close}
	defer func() {
		for i := len(undo) - 1; err != nil && i >= 0; i-- {
			err = errors.Join(err, undo[i]())
		}
	}()
	var s *stream
	if r.trans = r.cfg.Transport; r.trans == nil {
		if s, err = listen(ctx, r.cfg); err != nil {
			return err
		}
		network := s.transport(newRaftLogger(r.cfg.Log))
		undo = append(undo, network.Close)
		r.trans = network
	}
	if err = r.found(); err != nil {
		return err
	}
	cache, err := raft.NewLogCache(logCache, raftLogs{r.stores.logs})
	if err != nil {
		return fmt.Errorf("cache the log: %w", err)
	}
	if err := r.newRaft(cache); err != nil {
		return fmt.Errorf("start raft: %w", err)
	}
	if s != nil {
		hosts := r.memberHosts
		s.hosts.Store(&hosts)
	}
	r.warnAboutVoters()
	r.watch()
	return nil
}

// newRaft starts Raft from a goroutine of its own, which ends without a result if
// the disk does not take the term (see raftStable).
func (r *Replica) newRaft(logs raft.LogStore) (err error) {
	started := make(chan struct{})
	go func() {
		defer close(started)
		r.raft, err = raft.NewRaft(r.cfg.raft(r.leading), r.machine, logs, raftStable{r.stores.stable}, r.stores.snapshots, r.trans)
	}()
	<-started
	if r.raft == nil && err == nil {
		return r.Err()
	}
	return err
}

// found writes the first configuration of a new group, once.
func (r *Replica) found() error {
	if !r.stores.fresh {
		return nil
	}
	switch {
	case r.cfg.Join:
		r.log.Info().Msg("waiting to be added to the group")
	case len(r.cfg.Peers) == 0:
		return errors.New("there is no state yet: list the voters of the new group (peers), or join an existing one (join)")
	default:
		err := raft.BootstrapCluster(r.cfg.raft(nil), r.stores.logs, r.stores.stable, r.stores.snapshots, r.trans, r.cfg.bootstrap())
		if err != nil {
			if why := r.Err(); why != nil {
				err = why // Raft tells it as text only
			}
			return fmt.Errorf("start a new group: %w", err)
		}
	}
	return r.stores.ready()
}

// stop makes the replica end for the given reason; the first one counts. It
// does not block: Raft's own goroutines call it.
func (r *Replica) stop(why error) {
	if r.why.CompareAndSwap(nil, &why) {
		close(r.done)
	}
}

// watch follows Raft until the replica stops, and then ends Raft.
func (r *Replica) watch() {
	seen := make(chan raft.Observation, 16)
	observer := raft.NewObserver(seen, false, func(o *raft.Observation) bool { return o.Data == raft.Shutdown })
	r.raft.RegisterObserver(observer)
	r.watched.Go(func() {
		defer close(r.ended)
		tick := time.NewTicker(snapshotEvery)
		defer tick.Stop()
		for {
			select {
			case leads := <-r.leading:
				r.lead(leads)
			case <-seen:
				r.stop(ErrRemoved)
			case <-tick.C:
				r.watched.Go(r.snapshot)
			case <-r.done:
				r.shutdown()
				return
			}
		}
	})
}

// shutdown ends Raft and waits for its goroutines.
func (r *Replica) shutdown() {
	if why := r.Err(); !errors.Is(why, ErrClosed) {
		r.log.Error().Err(why).Msg("replica has stopped")
	}
	removed := r.raft.State() == raft.Shutdown // by itself; it tells nobody when it has ended
	if !removed {
		r.drain()
	}
	future := r.raft.Shutdown()
	for removed && r.tenure.Load().leading {
		select {
		case leads := <-r.leading: // the last thing that a leader does
			r.lead(leads)
		case <-time.After(time.Second):
			removed = false
		}
	}
	r.lead(false)
	if err := future.Error(); err != nil {
		r.log.Warn().Err(err).Msg("raft did not end well")
	}
	if t, ok := r.trans.(raft.WithClose); ok {
		_ = t.Close() // closed already unless the group removed this replica
	}
}

// drain waits, not for long, until Raft has answered what it was asked: it
// leaves open what it has not when it ends.
func (r *Replica) drain() {
	timer := time.NewTimer(answerLimit)
	defer timer.Stop()
	answered := r.asked.close()
	for {
		select {
		case leads := <-r.leading: // Raft waits for somebody who takes this
			r.lead(leads)
		case <-answered:
			return
		case <-timer.C:
			return
		}
	}
}

// end stops the replica and waits until everything is closed.
func (r *Replica) end(ctx context.Context) error {
	r.stop(ErrClosed)
	select {
	case <-r.ended:
	case <-ctx.Done():
		return fmt.Errorf("close replica %s: %w", r.cfg.ID, ctx.Err())
	}
	r.watched.Wait()
	return r.stores.close()
}

// snapshot shortens the log if there is anything new.
func (r *Replica) snapshot() {
	if err := r.raft.Snapshot().Error(); err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) && r.Err() == nil {
		r.log.Warn().Err(err).Msg("no snapshot was taken")
	}
}
