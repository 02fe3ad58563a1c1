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
	"github.com/serin-rollouts/serin/internal/wire"
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
	ledger  ledger
	metrics *metrics.Metrics // nil: nobody watches
	bus     *bus.Conn
	cluster control.Cluster
	copies  int // of each stream

	clock     clock
	inbox     *inbox
	recorder  *recorder      // nil: nothing is recorded
	calls     chan func()    // run by the loop
	proposed  chan string    // services whose proposal has come back
	confirmed *atomic.Uint64 // last event that the stream holds
	gathered  chan struct{}  // closed once the fleet has had time to report
	work      workers        // everything in this term
	feedback  *feedback
	roster    *roster             // what others than the loop know of the fleet
	answers   *answers            // to hosts that asked
	fleet     *fleet              // the loop's
	watches   map[string]*watch   // the loop's, by service
	pending   map[string]struct{} // the loop's: services with a proposal on its way
}

func newLeader(c parts, term uint64) *leader {
	l := &leader{
		id: c.cfg.ID, term: term, source: c.source(), lease: c.cfg.Lease, level: c.cfg.level(), version: c.cfg.Version,
		log:       c.log.With().Uint64("term", term).Logger(),
		ledger:    c.ledger,
		metrics:   c.metrics,
		bus:       c.bus,
		cluster:   c.cluster,
		copies:    c.copies,
		clock:     newClock(c.ledger.State().Clock),
		inbox:     newInbox(),
		recorder:  newRecorder(c.cfg.Record, c.log),
		calls:     make(chan func()),
		proposed:  make(chan string, 1),
		confirmed: &atomic.Uint64{},
		gathered:  make(chan struct{}),
		feedback:  newFeedback(),
		roster:    newRoster(),
		fleet:     newFleet(),
		watches:   map[string]*watch{},
		pending:   map[string]struct{}{},
	}
	l.answers = newAnswers(l)
	return l
}

// lead runs one term until ctx ends with it.
func (l *leader) lead(ctx context.Context) error {
	l.log.Info().Uint64("index", l.ledger.State().Index).Msg("leading")
	defer l.log.Info().Msg("leading no more")
	health, err := l.bus.Subscribe(bus.AllHealth, l.inbox.receive)
	if err != nil {
		return err
	}
	defer l.close(health)
	feedback, err := l.bus.Subscribe(bus.AllFeedback, l.hearFeedback)
	if err != nil {
		return err
	}
	defer l.close(feedback)
	group, ctx := errgroup.WithContext(ctx)
	l.work.group = group
	intake := newIntake(l)
	for _, part := range []func(context.Context) error{
		l.work.seal, l.loop, l.publish, l.answers.run, l.beat, newJournal(l).run, l.recorder.run, l.streams, l.raise,
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
	for ctx.Err() == nil {
		began := time.Now()
		changed := l.ledger.Changed()
		s := l.ledger.State()
		l.sync(ctx, s)
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

// hearAll takes in what has arrived.
func (l *leader) hearAll(s *rollout.State) {
	for _, h := range l.inbox.take() {
		l.hear(s, h)
	}
}

// sync brings the watches in line with the state.
func (l *leader) sync(ctx context.Context, s *rollout.State) {
	now := l.clock.now()
	for _, name := range s.Names() {
		svc := s.Services[name]
		w := l.watches[name]
		switch {
		case svc.Active == nil:
			delete(l.watches, name)
		case w == nil || w.rollout.ID != svc.Active.ID:
			l.watches[name] = l.newWatch(svc, now)
			l.askOutside(ctx, l.watches[name])
		case w.rollout != svc.Active:
			w.sync(svc, now)
			l.replay(w, name, now)
		}
	}
}

// newWatch begins with what the hosts said before there was anything to watch.
func (l *leader) newWatch(svc *rollout.Service, now time.Duration) *watch {
	l.feedback.begin(svc.Name)
	w := newWatch(svc, l.clock.base, now)
	w.panel.record(l.recorder.tape(svc.Active.ID, l.term), svc.Active, now)
	l.replay(w, svc.Name, now)
	return w
}

// replay hands a watch the last reports again, which may mean more under the
// new state. To the judge they are repetitions and change nothing.
func (l *leader) replay(w *watch, service string, now time.Duration) {
	for _, name := range w.rollout.Hosts {
		h := l.fleet.hosts[name]
		if h == nil {
			continue
		}
		for _, x := range h.health.Services {
			if x.Service == service {
				w.hear(name, x, now)
			}
		}
		w.saw(name, h.seen)
	}
}

// hear takes in one report.
func (l *leader) hear(s *rollout.State, health wire.Health) {
	now := l.clock.now()
	l.complain(health)
	h, ok := l.fleet.hear(health, now)
	if !ok {
		l.inbox.dropped.Add(1)
		return
	}
	l.metrics.Heard(health)
	l.roster.put(health.Host, health.Labels)
	for _, x := range health.Services {
		if w := l.watches[x.Service]; w != nil {
			w.hear(health.Host, x, now)
		}
	}
	for _, w := range l.watches {
		w.saw(health.Host, now)
	}
	if health.Nonce != 0 && l.fleet.needsAnswer(h, s, now) {
		h.answered = now
		l.answers.add(health.Host, health.Labels, health.Nonce)
	}
}

// complain tells of telemetry that was refused, when it begins to be.
func (l *leader) complain(health wire.Health) {
	for _, x := range health.Services {
		if x.TelemetryProblem != "" && !l.fleet.complained(health.Host, x.Service, x.TelemetryProblem) {
			l.log.Warn().Str("host", health.Host).Str("service", x.Service).Str("problem", x.TelemetryProblem).Msg("telemetry not taken in")
		}
	}
}

// decide proposes what is to be done now, and returns when to look again.
func (l *leader) decide(ctx context.Context, s *rollout.State) time.Duration {
	now := l.clock.now()
	next := l.question(now)
	commands, look := rollout.Decide(s, l.evidence(now), now)
	for _, c := range commands {
		l.proposeDecision(ctx, c)
	}
	return min(look, next, l.gather(s, now))
}

// question gathers what does not come by itself, and returns when to ask again.
func (l *leader) question(now time.Duration) time.Duration {
	next := rollout.Never
	for _, w := range l.watches {
		w.askContainers(now)
		l.opinions(w, now)
		next = min(next, w.nextQuestion())
	}
	return next
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
// this leader: a rollout must not miss hosts because its leader is young.
func (l *leader) gather(s *rollout.State, now time.Duration) time.Duration {
	select {
	case <-l.gathered:
		return rollout.Never
	default:
	}
	end := l.clock.base + gatherLongest
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
