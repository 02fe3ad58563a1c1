package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

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

// limit bounds each of the demo's rollouts.
const limit = 4 * time.Minute

// Run runs the demo and returns when it has ended and, unless it is kept,
// everything that it made is gone. An error means that the demo did not show
// what it is there to show.
func Run(ctx context.Context, o Options) (err error) {
	if err := o.Validate(); err != nil {
		return err
	}
	run, err := prepare(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, run.end(err == nil && o.Keep)) }()
	if err := run.up(ctx); err != nil {
		return err
	}
	report, err := run.story(ctx)
	if err != nil {
		return err
	}
	run.screen.write(report.String())
	if err := report.write(o.Report); err != nil {
		return err
	}
	if o.Keep {
		run.howToTalk()
	}
	return report.check()
}

// Private

// story installs v1, rolls out v2 and then v3, under load.
func (r *run) story(ctx context.Context) (report, error) {
	out := report{Hosts: r.Hosts, Replicas: r.Replicas}
	r.say("installing v1 on %d hosts", r.Hosts)
	if _, err := r.rollOut(ctx, "v1", nil); err != nil {
		return out, err
	}
	load := newLoad(r.frontends())
	stop := load.start(ctx)
	defer stop()
	good, err := r.measured(ctx, "v2", load)
	if err != nil {
		return out, err
	}
	out.Good = good.result
	bad, err := r.measured(ctx, "v3", load)
	if err != nil {
		return out, err
	}
	out.Bad = badResult{
		result: bad.result, CanaryErrors: bad.stats.appErrors,
		DetectMillis: bad.verdict.Wall - bad.stats.firstBad.UnixMilli(), RollbackMillis: bad.final.ZeroMillis,
	}
	return out, nil
}

// measurement is one rollout with the load during it.
type measurement struct {
	result
	stats          stats
	verdict, final rollout.Event
}

func (r *run) measured(ctx context.Context, version string, load *load) (measurement, error) {
	r.say("rolling out %s at %d requests/s", version, rate)
	load.reset()
	began := time.Now()
	events, err := r.rollOut(ctx, version, load)
	if err != nil {
		return measurement{}, err
	}
	m := measurement{stats: load.snapshot(), final: events[len(events)-1]}
	m.result = result{
		Outcome: string(m.final.Phase), Requests: m.stats.requests, Failed: m.stats.failed,
		Seconds: time.Since(began).Round(time.Millisecond).Seconds(),
	}
	for _, e := range events {
		if e.Kind == rollout.KindRollingBack {
			m.verdict = e
		}
	}
	for _, line := range m.stats.examples {
		r.say("a failed request: %s", line)
	}
	return m, nil
}

func (r *run) say(format string, args ...any) {
	r.screen.line(fmt.Sprintf(format, args...))
}

func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	return writeText(path, string(data)+"\n")
}

func writeText(path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
