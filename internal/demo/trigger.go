package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/event"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// rolloutFile is what the demo submits. The margin of one point lets the gate
// decide within some hundred requests of the canary.
const rolloutFile = `service: %s
image: %s/serin-demo:%s
hosts: {labels: {fleet: demo}}
listen: ":%s"
container: {port: %d, stop_grace: 5s, health: {path: /healthz}}
steps:
  - {weight: 10%%}
  - {weight: 50%%}
  - {weight: 100%%, hold: 3s}
gates:
  errors: {max_increase: 1%%}
deadline: 5m
`

var errDone = errors.New("the rollout has ended")

// rollOut triggers a rollout by publishing and follows it by subscribing, until
// its last event. It returns the rollout's events.
func (r *run) rollOut(ctx context.Context, version string, load *load) ([]rollout.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := r.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() //nolint:contextcheck // it bounds itself
	id := r.name + "-" + version
	if err := r.publish(conn, id, version); err != nil {
		return nil, err
	}
	if load != nil {
		stop := r.showLoad(ctx, load, version)
		defer stop()
	}
	var events []rollout.Event
	err = conn.Events(ctx, bus.Filter{Service: service, Follow: true}, func(m bus.EventMsg) error {
		e, err := event.Decode(m.Data)
		if err != nil {
			return err
		}
		if len(events) == 0 && e.Key != "id:"+service+":"+id {
			return nil // of an earlier rollout
		}
		if e.Kind == rollout.KindRefused {
			return fmt.Errorf("the trigger was refused: %s", e.Text)
		}
		events = append(events, e)
		r.say("%s", eventLine(e))
		if e.Phase.Final() {
			return errDone
		}
		return nil
	})
	if !errors.Is(err, errDone) {
		return nil, fmt.Errorf("follow the rollout of %s: %w; see the logs in %s", version, errors.Join(err, ctx.Err()), r.dir)
	}
	return events, nil
}

// Private

func (r *run) file(version string) string {
	return fmt.Sprintf(rolloutFile, service, r.registry, version, r.listen, AppPort)
}

// publish fires the trigger and forgets it, as any NATS client can.
func (r *run) publish(conn *bus.Conn, id, version string) error {
	spec, err := json.Marshal(r.file(version))
	if err != nil {
		return fmt.Errorf("encode the trigger: %w", err)
	}
	trigger, err := json.Marshal(api.Trigger{ID: id, Spec: spec, By: "demo"})
	if err != nil {
		return fmt.Errorf("encode the trigger: %w", err)
	}
	return conn.Publish(bus.TriggerSubject(service), trigger)
}

// showLoad redraws the status line until it is stopped.
func (r *run) showLoad(ctx context.Context, load *load, version string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(500 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				r.screen.show("")
				return
			case <-ticker.C:
				r.screen.show(statusLine(load.snapshot(), version))
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// howToTalk tells how to use a fleet that was kept.
func (r *run) howToTalk() {
	servers := strings.Join(r.natsURLs(), ",")
	file := r.path("rollout.yaml")
	if err := writeText(file, r.file("v2")); err != nil {
		r.say("%v", err)
	}
	r.screen.write(fmt.Sprintf(`
The fleet goes on running. Talk to it:
  export SERIN_SERVER=%[1]s
  bin/serin status
  bin/serin start %[2]s --image %[3]s/serin-demo:v3
  bin/serin explain %[4]s
  curl -i %[5]s
  nats --server %[1]s sub 'serin.v1.event.>'
  nats --server %[1]s req serin.v1.trigger.%[4]s '{"image": "%[3]s/serin-demo:v1"}'
End it:
  bin/serin demo sweep --dir %[6]s --images %[3]s/serin-demo%[7]s </dev/null
`, servers, file, r.registry, service, r.frontends()[0], r.dir, hostFlags(r.hosts)))
}

func hostFlags(hosts []host) string {
	var b strings.Builder
	for _, h := range hosts {
		b.WriteString(" --host " + h.name)
	}
	return b.String()
}
