package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/serin-rollouts/serin/internal/localfleet"
)

// Options are what a user can choose about a demo.
type Options struct {
	Hosts, Replicas int
	Report          string // file for the result as JSON; empty: none
	Keep            bool   // leave the fleet running
	// Scenarios are what is told, in order, of Scenarios(). Repeat is how often
	// the good one is.
	Scenarios []string
	Repeat    int
	Out, Err  io.Writer
	// Live redraws a status line; otherwise there is one line for each event.
	Live bool
	// Result, if not nil, takes what goes into Report too. Out is left to it:
	// progress goes to Err, one line for each event.
	Result func(any) error
	Quiet  bool // tell no progress
}

// Validate names the option that is out of range.
func (o Options) Validate() error {
	switch {
	case o.Hosts < 1 || o.Hosts > 20:
		return fmt.Errorf("--hosts: is %d; use 1 to 20", o.Hosts)
	case o.Replicas != 1 && o.Replicas != 3 && o.Replicas != 5:
		return fmt.Errorf("--replicas: is %d; use 1, 3 or 5", o.Replicas)
	case o.Repeat < 1 || o.Repeat > maxRepeat:
		return fmt.Errorf("--repeat: is %d; use 1 to %d", o.Repeat, maxRepeat)
	case o.Repeat > 1 && !slices.Contains(o.Scenarios, Good):
		return errors.New("--repeat: repeats the good scenario, which is not in --scenario")
	}
	return checkScenarios(o.Scenarios)
}

// rate is the load of a service on the whole fleet in requests per second.
const rate = 200

// maxRepeat good rollouts take about an hour.
const maxRepeat = 200

// Run runs the demo and returns when it has ended and, unless it is kept,
// everything that it made is gone. An error means that the demo did not show
// what it is there to show; context.Canceled is in it if ctx ended it.
func Run(ctx context.Context, o Options) (err error) {
	if err := o.Validate(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	fleet, err := localfleet.New(ctx, localfleet.Config{
		Name: "demo", Bin: filepath.Dir(self), Hosts: o.Hosts, Replicas: o.Replicas, Operate: true, Err: o.Err,
	})
	if err != nil {
		return err
	}
	r := newRun(o, fleet)
	err = r.show(ctx)
	return errors.Join(err, r.end(err))
}

// Private

// run is one demo.
type run struct {
	Options

	fleet  *localfleet.Fleet
	screen *screen
}

func newRun(o Options, fleet *localfleet.Fleet) *run {
	s := &screen{out: o.Out, live: o.Live && !o.Quiet, quiet: o.Quiet}
	if o.Result != nil {
		s.out, s.live = o.Err, false
	}
	return &run{Options: o, fleet: fleet, screen: s}
}

// show brings the fleet up, tells the story and reports.
func (r *run) show(ctx context.Context) error {
	r.say("starting %d coordinator replicas and %d agents; logs are in %s", r.Replicas, r.Hosts, r.fleet.Dir)
	if err := r.fleet.Up(ctx); err != nil {
		return err
	}
	report, err := r.story(ctx)
	if err != nil {
		return err
	}
	if err := r.tell(report); err != nil {
		return err
	}
	if err := report.check(); err != nil {
		return err
	}
	if !r.Keep {
		return nil
	}
	return r.howToTalk()
}

// tell hands out what the demo came to, good or not.
func (r *run) tell(report report) error {
	if r.Result == nil {
		r.screen.write(report.String())
	} else if err := r.Result(report); err != nil {
		return err
	}
	return report.write(r.Report)
}

// end keeps a demo that went well if it is to be kept. Otherwise it removes
// everything, after it has told what the logs say of a failure.
func (r *run) end(failure error) error {
	if failure == nil && r.Keep {
		return r.fleet.Keep()
	}
	if failure != nil && !errors.Is(failure, context.Canceled) {
		r.explain()
	}
	r.say("removing the fleet")
	return r.fleet.End()
}

func (r *run) explain() {
	text := r.fleet.Trouble()
	if text == "" {
		text = "nothing\n"
	}
	r.screen.write("what the fleet's logs complain about:\n" + text)
}

// story installs v1 and then tells the scenarios one after another, under load.
func (r *run) story(ctx context.Context) (report, error) {
	out := report{Hosts: r.Hosts, Replicas: r.Replicas}
	s, err := r.set(ctx, service, r.fleet.Port)
	if err != nil {
		return out, err
	}
	defer s.stop()
	for i, name := range r.Scenarios {
		last := i == len(r.Scenarios)-1
		if name == Good && r.Repeat > 1 {
			out.GoodRuns, err = r.repeat(ctx, s, last)
		} else {
			err = r.once(ctx, s, scenarioOf(name), last, &out)
		}
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// once tells a scenario, after the last of which the load ends.
func (r *run) once(ctx context.Context, s *stage, c scenario, last bool, out *report) error {
	m, err := r.measured(ctx, s, c, last)
	if err != nil {
		return err
	}
	out.take(c, m)
	return nil
}

func (r *run) say(format string, args ...any) {
	r.screen.line(fmt.Sprintf(format, args...))
}
