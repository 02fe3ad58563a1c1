package localfleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/event"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Trigger encodes a trigger with an id and a rollout file.
func Trigger(id, file, by string) ([]byte, error) {
	spec, err := json.Marshal(file)
	if err != nil {
		return nil, fmt.Errorf("encode the trigger: %w", err)
	}
	trigger, err := json.Marshal(api.Trigger{ID: id, Spec: spec, By: by})
	if err != nil {
		return nil, fmt.Errorf("encode the trigger: %w", err)
	}
	return trigger, nil
}

// ErrRefused means that a trigger started no rollout; the error says why.
var ErrRefused = errors.New("the trigger was refused")

// errFinal ends the following of a rollout.
var errFinal = errors.New("the rollout has ended")

// Follow reads the events of the rollout that the trigger of that id started,
// from its first to its last, and returns them. It hands each to saw, which may
// be nil. The rollout may have begun, or ended, already.
func Follow(ctx context.Context, conn *bus.Conn, service, id string, saw func(rollout.Event)) ([]rollout.Event, error) {
	f := follower{key: "id:" + service + ":" + id, saw: saw}
	err := conn.Events(ctx, bus.Filter{Service: service, Follow: true}, f.take)
	if errors.Is(err, errFinal) {
		return f.events, nil
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return f.events, fmt.Errorf("follow %s: %w", service, err)
}

// Private

// follower picks the events of one rollout out of its service's.
type follower struct {
	key    string // of its trigger
	saw    func(rollout.Event)
	name   string // of the rollout, once it is known
	events []rollout.Event
}

func (f *follower) take(m bus.EventMsg) error {
	e, err := event.Decode(m.Data)
	if err != nil {
		return err
	}
	if e.Key == f.key {
		if e.Kind == rollout.KindRefused {
			return fmt.Errorf("%w: %w", ErrRefused, e.Refusal)
		}
		f.name = e.Rollout
	}
	if f.name == "" || !event.Of(e, f.name) {
		return nil
	}
	f.events = append(f.events, e)
	if f.saw != nil {
		f.saw(e)
	}
	if e.Phase.Final() {
		return errFinal
	}
	return nil
}
