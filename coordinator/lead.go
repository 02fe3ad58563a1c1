package coordinator

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/serin-rollouts/serin/coordinator/control"
	"github.com/serin-rollouts/serin/coordinator/metrics"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// ledger is the replicated state as a leader uses it.
type ledger interface {
	// State returns the last published state; it is never changed.
	State() *rollout.State
	// Changed returns a channel that is closed by the first change after the call.
	Changed() <-chan struct{}
	// Propose returns what the entry came to, once it is committed and applied.
	Propose(ctx context.Context, e rollout.Entry) (rollout.Result, error)
	// Verify returns nil if this replica led at the moment of the call.
	Verify(ctx context.Context) error
}

const (
	self     = "serin"          // who decides where nobody is named
	askedAgo = 2 * time.Second  // by hosts that a new leader answers at once; agents take no answer after 3 s
	restFrom = time.Millisecond // a pass of the loop that takes longer is followed by a rest
)

// leader is one term of leading. Everything in it begins after the barrier and
// ends with the term.
type leader struct {
	id      string
	term    uint64
	source  string // of events
	lease   time.Duration
	level   int // of the log, that this replica understands
	version string
	log     zerolog.Logger
	metrics *metrics.Metrics // nil: nobody watches
	bus     *bus.Conn
	cluster control.Cluster
	copies  int // of each stream
	tracing *tracing

	*listener // the replica's; the loop's, but for what says otherwise
	clock     clock
	calls     chan func()         // run by the loop
	proposed  chan string         // services whose proposal has come back
	confirmed *atomic.Uint64      // last event that the stream holds
	gathered  chan struct{}       // closed once the fleet has had time to report
	work      workers             // everything in this term
	answers   *answers            // to hosts that asked
	pending   map[string]struct{} // the loop's: services with a proposal on its way
	waits     waits               // the loop's
}

func newLeader(c parts, term uint64) *leader {
	l := &leader{
		id: c.cfg.ID, term: term, source: c.source(), lease: c.cfg.Lease, level: c.cfg.level(), version: c.cfg.Version,
		log:       c.log.With().Uint64("term", term).Logger(),
		metrics:   c.metrics,
		bus:       c.bus,
		cluster:   c.cluster,
		copies:    c.copies,
		tracing:   c.tracing,
		listener:  c.listener,
		clock:     newClock(c.listener.now(c.ledger.State())),
		calls:     make(chan func()),
		proposed:  make(chan string, 1),
		confirmed: &atomic.Uint64{},
		gathered:  make(chan struct{}),
		pending:   map[string]struct{}{},
	}
	if !l.clocked {
		// Nobody has told this replica the time since it started: its state's clock was
		// that of an old snapshot then, and the fleet has still to be waited for.
		l.since = l.clock.base
	}
	l.answers = newAnswers(l)
	return l
}

// lead runs one term until ctx ends with it. The caller holds the listener.
func (l *leader) lead(ctx context.Context) error {
	l.log.Info().Uint64("index", l.ledger.State().Index).Msg("leading")
	defer l.log.Info().Msg("leading no more")
	l.leads.Store(true)
	defer l.leads.Store(false)
	group, ctx := errgroup.WithContext(ctx)
	l.work.group = group
	intake := newIntake(l)
	for _, part := range []func(context.Context) error{
		l.work.seal, l.loop, l.publish, l.answers.run, l.beat, newJournal(l).run, l.trace, l.streams, l.raise,
		l.keep("triggers", intake.run), l.keep("operators' API", l.serve),
	} {
		group.Go(func() error { return part(ctx) })
	}
	return group.Wait()
}

// loop owns the view of the fleet and the evidence. It wakes on a report, a
// change of the state, a call, or the time that Decide named; it never polls.
func (l *leader) loop(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	l.adopt(ctx, l.ledger.State())
	for ctx.Err() == nil {
		began := time.Now()
		changed := l.ledger.Changed()
		s := l.ledger.State()
		l.keepUp(ctx, s)
		wait, ready := max(0, l.decide(ctx, s)-l.clock.now()), l.inbox.ready
		if took := time.Since(began); took > restFrom {
			// A large fleet: let reports gather for as long as a look at it takes.
			wait, ready = min(wait, took), nil
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-ready:
			l.hearAll(s)
		case f := <-l.calls:
			f()
		case service := <-l.proposed:
			delete(l.pending, service)
		case <-timer.C:
			l.hearAll(s)
		}
	}
	return nil
}

// adopt goes on with what this replica knows already. Hosts that asked the last
// leader are answered. Evidence of which something is not known here, or was
// not known to others, begins anew before it decides anything.
func (l *leader) adopt(ctx context.Context, s *rollout.State) {
	l.keepUp(ctx, s)
	l.hearAll(s)
	now := l.clock.now()
	for _, w := range l.watches {
		l.askOutside(ctx, w)
		w.adopt(s.AtLevel() >= rollout.LevelRenew, now)
	}
	for _, h := range l.fleet.hosts {
		h.answered, h.index = -1, 0
		if now-h.seen < askedAgo {
			l.answer(s, h, now)
		}
	}
}

// hearAll takes in what has arrived.
func (l *leader) hearAll(s *rollout.State) {
	now := l.clock.now()
	for _, reports := range l.inbox.take() {
		for _, health := range reports {
			if h := l.hear(health, now); h != nil {
				l.metrics.Heard(health)
				l.answer(s, h, now)
			}
		}
	}
	l.fold()
}

// keepUp follows the state.
func (l *leader) keepUp(ctx context.Context, s *rollout.State) {
	for _, w := range l.sync(s, l.clock.now()) {
		l.askOutside(ctx, w)
	}
}

// answer answers a host's last report if it needs that.
func (l *leader) answer(s *rollout.State, h *host, now time.Duration) {
	if h.health.Nonce != 0 && l.fleet.needsAnswer(h, s, now) {
		h.answered = now
		l.answers.add(h.health.Host, h.health.Labels, h.health.Nonce)
	}
}

// decide proposes what is to be done now, and returns when to look again.
func (l *leader) decide(ctx context.Context, s *rollout.State) time.Duration {
	now := l.clock.now()
	next := l.question(now)
	evidence := l.evidence(now)
	commands, look := rollout.Decide(s, evidence, now)
	l.waits.tell(l.log, s, evidence, now)
	for _, w := range l.watches {
		look = min(look, w.nextSilence(now))
	}
	for _, c := range append(l.renewals(), commands...) {
		l.proposeDecision(ctx, c)
	}
	return min(look, next, l.gather(s, now))
}

// question gathers what does not come by itself, and returns when to ask again.
func (l *leader) question(now time.Duration) time.Duration {
	next := rollout.Never
	for _, w := range l.watches {
		w.askContainers(now)
		next = min(next, w.nextQuestion())
	}
	return next
}

// renewals begin the evidence anew where that is owed.
func (l *leader) renewals() []rollout.Command {
	var all []rollout.Command
	for _, w := range l.watches {
		if w.owed && w.moving() {
			all = append(all, rollout.Renew{Target: rollout.Target{Service: w.rollout.Service, Rollout: w.rollout.ID, Epoch: w.epoch}})
		}
	}
	return all
}

func (l *leader) evidence(now time.Duration) rollout.Evidence {
	e := make(rollout.Evidence, len(l.watches))
	for name, w := range l.watches {
		x := w.evidence(now)
		x.HeardAt, x.Since = l.fleet.heard, max(l.clock.base, l.fleet.resumed)
		e[name] = x
	}
	return e
}

// gather opens the gate for triggers once the fleet has had time to report to
// this replica: a rollout must not miss hosts because its leader is young.
func (l *leader) gather(s *rollout.State, now time.Duration) time.Duration {
	select {
	case <-l.gathered:
		return rollout.Never
	default:
	}
	end := l.since + gatherLongest
	if now >= end || l.allHeard(s) {
		close(l.gathered)
		return rollout.Never
	}
	return end
}

// allHeard reports whether every host of the last rollouts has reported.
func (l *leader) allHeard(s *rollout.State) bool {
	heard := false
	for _, svc := range s.Services {
		r, ok := svc.Latest()
		if !ok {
			continue
		}
		for _, name := range r.Hosts {
			if l.fleet.hosts[name] == nil {
				return false
			}
			heard = true
		}
	}
	return heard
}

// do runs f in the loop and waits for it.
func (l *leader) do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case l.calls <- func() { f(); close(done) }:
	case <-ctx.Done():
		return ctx.Err()
	}
	<-done
	return nil
}

func (l *leader) close(s *bus.Subscription) {
	if err := s.Close(); err != nil {
		l.log.Debug().Err(err).Msg("subscription not closed")
	}
}
