package coordinator

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/fleetclock"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// listener is what a replica hears of the fleet: its hosts, and the evidence about
// each running rollout. Every replica has one as long as it runs, and whoever
// leads works with his own: so a new leader goes on where the last one stood.
// Only who holds the token uses it: the leader's loop, or else follow.
type listener struct {
	log    zerolog.Logger
	ledger ledger
	token  chan struct{}
	leads  atomic.Bool // for the bus's callbacks

	told     fleetclock.Clock // what leaders tell
	inbox    *inbox
	health   *bus.Subscription // that fills the inbox; nil before
	feedback *feedback
	roster   *roster   // what others than the loop know of the fleet
	recorder *recorder // nil: nothing is recorded
	fleet    *fleet
	watches  map[string]*watch // by service
	clocked  bool              // a leader has told the time
	since    time.Duration     // when it began to hear the fleet, on the fleet's clock
}

func newListener(c parts) *listener {
	since := c.ledger.State().Clock
	n := &listener{
		log: c.log, ledger: c.ledger, token: make(chan struct{}, 1),
		inbox: newInbox(), feedback: newFeedback(), roster: newRoster(), recorder: newRecorder(c.cfg.Record, c.log),
		fleet: newFleet(since), watches: map[string]*watch{}, since: since,
	}
	n.token <- struct{}{}
	return n
}

// subscribe begins to hear the fleet and who leads it. What it opened is to be
// closed, also if it fails.
func (n *listener) subscribe(conn *bus.Conn) ([]*bus.Subscription, error) {
	var subs []*bus.Subscription
	for subject, f := range map[string]func(bus.Msg){
		bus.AllHealth: n.inbox.receive, bus.AllFeedback: n.hearFeedback, bus.BeatSubject: n.hearBeat,
	} {
		s, err := conn.Subscribe(subject, f)
		if err != nil {
			return subs, err
		}
		subs = append(subs, s)
		if subject == bus.AllHealth {
			n.health = s
		}
	}
	return subs, nil
}

// lost counts the reports that this replica could not take in: that came faster
// than it reads, could not be read, or were too old.
func (n *listener) lost() int64 {
	lost := n.inbox.dropped.Load()
	if n.health != nil {
		lost += int64(n.health.Dropped())
	}
	return lost
}

// take returns once nobody else works with the view; false if ctx ends before.
func (n *listener) take(ctx context.Context) bool {
	select {
	case <-n.token:
		return true
	case <-ctx.Done():
		return false
	}
}

func (n *listener) giveBack() { n.token <- struct{}{} }

// follow keeps the view up to date while this replica does not lead, until ctx
// ends. It asks nobody and tells nobody anything.
func (n *listener) follow(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n.take(ctx) {
		began := time.Now()
		changed := n.ledger.Changed()
		s := n.ledger.State()
		now := n.now(s)
		n.sync(s, now)
		for _, reports := range n.inbox.take() {
			for _, h := range reports {
				n.hear(h, now)
			}
		}
		n.fold()
		n.giveBack()
		// A large fleet: let reports gather for as long as a look at it takes.
		timer.Reset(time.Since(began))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		select {
		case <-changed:
		case <-n.inbox.ready:
			if len(n.token) == 0 {
				n.inbox.wake() // it is the leader's
			}
		case <-ctx.Done():
			return
		}
	}
}

// sync brings the watches in line with the state, and returns the new ones.
func (n *listener) sync(s *rollout.State, now time.Duration) []*watch {
	var begun []*watch
	for _, name := range s.Names() {
		svc := s.Services[name]
		w := n.watches[name]
		switch {
		case svc.Active == nil:
			delete(n.watches, name)
		case w == nil || w.rollout.ID != svc.Active.ID:
			n.watches[name] = n.newWatch(svc, now)
			begun = append(begun, n.watches[name])
		case w.rollout != svc.Active:
			w.sync(svc)
			n.replay(w, name, now)
		}
	}
	return begun
}

// hear takes in one report. It returns nil for one that is older than what is
// known.
func (n *listener) hear(health wire.Health, now time.Duration) *host {
	n.complain(health)
	h, missed, ok := n.fleet.hear(health, now)
	if !ok {
		n.inbox.dropped.Add(1)
		return nil
	}
	n.roster.put(health.Host, health.Labels)
	marked := health.Mark > 0 && health.Mark <= now+aheadMost
	for _, x := range health.Services {
		switch w := n.watches[x.Service]; {
		case w == nil:
		case marked:
			w.merge.lose(missed)
			w.hearMarked(arrival{health.Mark, health.Host, health.Sequence, x}, now)
		default:
			w.hear(health.Host, x, now)
		}
	}
	for _, w := range n.watches {
		w.saw(health.Host, now)
	}
	return h
}

// fold hands to the judges what has come into order.
func (n *listener) fold() {
	for _, w := range n.watches {
		w.fold()
	}
}

// Private

// now is the fleet's time while another replica leads.
func (n *listener) now(s *rollout.State) time.Duration {
	told := n.told.At(time.Now())
	if told > 0 && !n.clocked {
		n.clocked, n.since = true, told
	}
	return max(s.Clock, told)
}

func (n *listener) hearBeat(m bus.Msg) {
	b, err := wire.DecodeBeat(m.Data)
	if err != nil {
		n.log.Debug().Err(err).Msg("beat not understood")
		return
	}
	n.told.Hear(time.Now(), b.Clock, b.Lease, b.Term)
}

// newWatch begins with what the hosts said before there was anything to watch.
func (n *listener) newWatch(svc *rollout.Service, now time.Duration) *watch {
	n.feedback.begin(svc.Name)
	w := newWatch(svc, n.since, now)
	w.feedback = n.feedback
	w.panel.record(n.recorder.tape(svc.Active.ID), svc.Active, now)
	n.replay(w, svc.Name, now)
	return w
}

// replay hands a watch the last reports again, which may mean more under the
// new state. Judges have them, or get them in their order.
func (n *listener) replay(w *watch, service string, now time.Duration) {
	for _, name := range w.rollout.Hosts {
		h := n.fleet.hosts[name]
		if h == nil {
			continue
		}
		for _, x := range h.health.Services {
			if x.Service == service {
				w.look(name, x, now)
			}
		}
		w.saw(name, h.seen)
	}
}

// complain tells of telemetry that was refused, when it begins to be.
func (n *listener) complain(health wire.Health) {
	for _, x := range health.Services {
		if x.TelemetryProblem != "" && !n.fleet.complained(health.Host, x.Service, x.TelemetryProblem) {
			n.log.Warn().Str("host", health.Host).Str("service", x.Service).Str("problem", x.TelemetryProblem).Msg("telemetry not taken in")
		}
	}
}
