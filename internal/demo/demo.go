package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/serin-rollouts/serin/internal/localfleet"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Options are what a user can choose about a demo.
type Options struct {
	Hosts, Replicas int
	Report          string // file for the result as JSON; empty: none
	Keep            bool   // leave the fleet running
	Out, Err        io.Writer
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
	}
	return nil
}

// rate is the load on the whole fleet in requests per second.
const rate = 200

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
		Name: "demo", Bin: filepath.Dir(self), Hosts: o.Hosts, Replicas: o.Replicas, Err: o.Err,
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

// story installs v1, rolls out v2 and then v3, under load.
func (r *run) story(ctx context.Context) (report, error) {
	out := report{Hosts: r.Hosts, Replicas: r.Replicas}
	r.say("installing v1 on %d hosts", r.Hosts)
	if _, err := r.rollOut(ctx, "v1", nil); err != nil {
		return out, err
	}
	load := localfleet.NewLoad(r.fleet.Frontends(), rate)
	stop := load.Start(ctx)
	defer stop()
	good, err := r.measured(ctx, "v2", load, load.Take)
	if err != nil {
		return out, err
	}
	out.Good = good.result
	bad, err := r.measured(ctx, "v3", load, func() localfleet.Stats {
		stop() // what was asked before the end is answered after it
		return load.Take()
	})
	if err != nil {
		return out, err
	}
	out.Bad = badResult{
		result: bad.result, CanaryErrors: bad.stats.AppErrors,
		DetectMillis: bad.verdict.Wall - bad.stats.FirstBad.UnixMilli(), RollbackMillis: bad.final.ZeroMillis,
	}
	return out, nil
}

// measurement is one rollout with the load during it.
type measurement struct {
	result
	stats          localfleet.Stats
	verdict, final rollout.Event
}

// measured rolls a version out and takes what the load counted until then.
// Every request counts in one of the measurements.
func (r *run) measured(ctx context.Context, version string, load *localfleet.Load, take func() localfleet.Stats) (measurement, error) {
	r.say("rolling out %s at %d requests/s", version, rate)
	began := time.Now()
	events, err := r.rollOut(ctx, version, load)
	if err != nil {
		return measurement{}, err
	}
	took := time.Since(began)
	m := measurement{stats: take(), final: events[len(events)-1]}
	m.result = result{
		Outcome: string(m.final.Phase), Requests: m.stats.Requests, Failed: m.stats.Failed,
		Seconds: took.Round(time.Millisecond).Seconds(),
	}
	for _, e := range events {
		if e.Kind == rollout.KindRollingBack {
			m.verdict = e
		}
	}
	for _, line := range m.stats.Examples {
		r.say("a failed request: %s", line)
	}
	return m, nil
}

func (r *run) say(format string, args ...any) {
	r.screen.line(fmt.Sprintf(format, args...))
}
