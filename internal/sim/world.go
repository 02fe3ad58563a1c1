package sim

import (
	"fmt"
	"time"
)

const (
	// lease is the time that an agent may keep a canary serving without a leader.
	lease = 30 * time.Second
	// patience bounds, in simulated time, what has to come to rest without faults.
	patience = 3 * time.Hour
	// quietEvery is how often a world without faults is looked at for rest.
	quietEvery = 5 * time.Second
	// troubleSteps bounds the steps of the part with faults if nobody says.
	troubleSteps = 30_000
)

// Options say what to simulate.
type Options struct {
	Seed  uint64
	Steps int             // of the part with faults, at most; 0: a default
	Only  map[uint64]bool // faults that may happen, by ID; nil: all that the seed brings
	Tell  bool            // write the story down
	Walls int64           // displaces all wall clocks, in milliseconds: it must make no difference

	trap func(*world) // called after each step: how tests break promises
}

// Outcome is what a run came to.
type Outcome struct {
	Seed      uint64
	Steps     int           // events simulated
	Simulated time.Duration // how long that was for the fleet
	Faults    []Fault
	Violation *Violation // nil: every promise was kept
	Story     []string
	Tally     Tally
	Digest    string // of everything that was decided, without wall clocks

	options Options
}

// Tally counts what a run has seen, so that one that tests nothing shows.
type Tally struct {
	Triggers, Rollouts, Succeeded, RolledBack, Aborted int
	Entries, Refused, Raises, Deaths                   int
	Lost, Parked, CanaryDeaths, WarmUps                int // hosts; rollouts; those that agents had to count; new weights
	Frozen                                             int // triggers that a freeze has refused
}

// Violation is a promise that was broken.
type Violation struct {
	Invariant string // its name, as in the documentation
	Text      string
	At        time.Duration
}

// Error renders it.
func (v *Violation) Error() string {
	return fmt.Sprintf("%s broken at %s: %s", v.Invariant, clockText(v.At), v.Text)
}

// Run simulates one fleet from a seed: first with faults, then healed until it
// comes to rest. With the same options it does the same. It ends at the first
// broken promise.
func Run(o Options) (out Outcome) {
	w := newWorld(o)
	defer func() {
		if p := recover(); p != nil {
			w.violate("no panic", "%v", p)
		}
		out = w.outcome()
		out.options = o
	}()
	w.begin()
	limit := o.Steps
	if limit == 0 {
		limit = troubleSteps
	}
	w.run(func() bool { return w.now < w.mix.trouble && w.steps < limit })
	w.heal()
	end := w.now + patience
	w.run(func() bool { return !w.resting && w.now < end })
	if w.broken == nil {
		w.checkEnd()
	}
	return out
}

// Private

// world is one fleet, its people, and the clock.
type world struct {
	seed    uint64
	only    map[uint64]bool
	walls   int64
	trap    func(*world)
	telling bool
	mix     mix

	now     time.Duration
	queue   queue
	steps   int
	faults  []Fault
	story   []string
	said    string // the last line
	broken  *Violation
	healed  bool
	resting bool
	tally   Tally

	versions *versions
	cluster  *cluster
	stream   *stream
	hosts    []*host
	people   []*person
	busAway  time.Duration // until when
	record   *record       // what the checkers remember
}

func newWorld(o Options) *world {
	w := &world{seed: o.Seed, only: o.Only, telling: o.Tell, walls: o.Walls, trap: o.trap, now: time.Minute}
	w.mix = w.draw()
	w.versions = newVersions(w)
	w.record = newRecord(w)
	w.stream = newStream(w)
	w.cluster = newCluster(w)
	for range w.mix.hosts {
		w.addHost()
	}
	w.people = []*person{newPerson(w, "ci"), newPerson(w, "alice"), newPerson(w, "bob")}
	return w
}

func (w *world) begin() {
	w.cluster.elect()
	for _, p := range w.people {
		p.begin()
	}
	w.at(w.now+time.Minute, nil, w.nemesis)
}

// run goes on as long as it may, and no promise is broken.
func (w *world) run(may func() bool) {
	for w.broken == nil && may() {
		if !w.step() {
			return
		}
	}
}

// step lets the next event happen, and checks what can be checked then.
func (w *world) step() bool {
	e, ok := w.queue.pop()
	if !ok {
		return false
	}
	w.now = max(w.now, e.at)
	w.steps++
	e.do()
	w.checkStep()
	if w.trap != nil {
		w.trap(w)
	}
	return true
}

// after has something happen later, if the life lasts until then.
func (w *world) after(d time.Duration, life *bool, do func()) { w.at(w.now+d, life, do) }

func (w *world) at(at time.Duration, life *bool, do func()) {
	w.queue.push(event{at: max(at, w.now), life: life, do: do})
}

// set makes an appointment that replaces the timer's last one.
func (w *world) set(t *timer, d time.Duration, life *bool, do func()) {
	t.gen++
	w.queue.push(event{at: w.now + max(d, 0), life: life, t: t, gen: t.gen, do: do})
}

func (w *world) violate(invariant, format string, args ...any) {
	if w.broken != nil {
		return
	}
	w.broken = &Violation{Invariant: invariant, Text: fmt.Sprintf(format, args...), At: w.now}
	if w.telling {
		w.tell("*** %v", w.broken)
	}
}

func (w *world) tell(format string, args ...any) {
	if !w.telling {
		return
	}
	text := fmt.Sprintf(format, args...)
	if text == w.said { // somebody waits
		return
	}
	w.said = text
	w.story = append(w.story, clockText(w.now)+" "+text)
}

func (w *world) outcome() Outcome {
	return Outcome{
		Seed: w.seed, Steps: w.steps, Simulated: w.now, Faults: w.faults, Violation: w.broken, Story: w.story,
		Tally: w.tally, Digest: w.record.digest(),
	}
}

// clockText renders simulated time as a story does: 01:02:03.456.
func clockText(d time.Duration) string {
	ms := d.Milliseconds()
	return fmt.Sprintf("%02d:%02d:%02d.%03d", ms/3_600_000, ms/60_000%60, ms/1000%60, ms%1000)
}
