package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/localfleet"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// limit bounds each of the demo's rollouts.
const limit = 4 * time.Minute

var errTooLong = fmt.Errorf("it did not end in %s", limit)

// rollOut triggers a rollout by publishing and follows it by subscribing, until
// its last event. It returns the rollout's events.
func (r *run) rollOut(ctx context.Context, s *stage, c scenario) ([]rollout.Event, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errTooLong)
	defer cancel()
	conn, err := r.fleet.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() //nolint:contextcheck // it bounds itself
	s.count++
	id := fmt.Sprintf("%s-%d", r.fleet.Name, s.count)
	trigger, err := localfleet.Trigger(id, r.file(s, c), "demo")
	if err != nil {
		return nil, err
	}
	// Fired and forgotten, as any NATS client can.
	if err := conn.Publish(bus.TriggerSubject(s.service), trigger); err != nil {
		return nil, err
	}
	p := progress{run: r, conn: conn, stage: s, version: c.version}
	stop := p.start(ctx)
	defer stop()
	events, err := localfleet.Follow(ctx, conn, s.service, id, func(e rollout.Event) {
		p.heard()
		r.say("%s", eventLine(e))
	})
	if errors.Is(context.Cause(ctx), errTooLong) {
		err = errTooLong
	}
	if err != nil {
		return nil, fmt.Errorf("roll out %s: %w", c.version, err)
	}
	return events, nil
}
