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

// service is what the demo rolls out.
const service = "demo"

// rolloutFile is what the demo submits. The margin of one point lets the gate
// decide within some hundred requests of the canary.
const rolloutFile = `service: %s
image: %s
hosts: {labels: {fleet: demo}}
listen: ":%s"
container: {port: %d, stop_grace: 5s, health: {path: %s}}
steps:
  - {weight: 10%%}
  - {weight: 100%%, hold: 3s}
gates:
  errors: {max_increase: 1%%}
deadline: 5m
`

// limit bounds each of the demo's rollouts.
const limit = 4 * time.Minute

var errTooLong = fmt.Errorf("it did not end in %s", limit)

// rollOut triggers a rollout by publishing and follows it by subscribing, until
// its last event. It returns the rollout's events.
func (r *run) rollOut(ctx context.Context, version string, load *localfleet.Load) ([]rollout.Event, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errTooLong)
	defer cancel()
	conn, err := r.fleet.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() //nolint:contextcheck // it bounds itself
	id := r.fleet.Name + "-" + version
	trigger, err := localfleet.Trigger(id, r.file(version), "demo")
	if err != nil {
		return nil, err
	}
	// Fired and forgotten, as any NATS client can.
	if err := conn.Publish(bus.TriggerSubject(service), trigger); err != nil {
		return nil, err
	}
	p := progress{run: r, conn: conn, load: load, version: version}
	stop := p.start(ctx)
	defer stop()
	events, err := localfleet.Follow(ctx, conn, service, id, func(e rollout.Event) {
		p.heard()
		r.say("%s", eventLine(e))
	})
	if errors.Is(context.Cause(ctx), errTooLong) {
		err = errTooLong
	}
	if err != nil {
		return nil, fmt.Errorf("roll out %s: %w", version, err)
	}
	return events, nil
}

// Private

func (r *run) file(version string) string {
	return fmt.Sprintf(rolloutFile, service, r.fleet.Image(version), r.fleet.Port, localfleet.AppPort, localfleet.HealthPath)
}
