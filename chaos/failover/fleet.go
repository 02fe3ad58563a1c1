package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/localfleet"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

const (
	service    = "demo"
	steps      = 200
	askEach    = 100 * time.Millisecond // triggers, while somebody leads
	askHard    = 10 * time.Millisecond  // while nobody does
	askTimeout = 5 * time.Second
	fresh      = 3 * time.Second // since the rollout's last action, for a kill to be in the middle of one
	begun      = 2               // from this step on somebody is killed: in the first one Docker starts the canary
	margin     = 20              // steps before the end of a rollout in which nobody is killed
)

// fleet is serin: replicas, a host, and rollouts of many small steps, one after
// the other.
type fleet struct {
	*localfleet.Fleet

	conns map[string]*bus.Conn // to each replica's own server
	end   context.CancelFunc
	work  sync.WaitGroup
	asked atomic.Int64
	hard  atomic.Bool // nobody leads: ask more often

	acked   chan time.Time // answers
	mu      sync.Mutex
	epoch   uint64 // the highest that was broadcast
	movedAt time.Time
	moves   chan time.Time // broadcasts of higher epochs
}

// failover is one measurement.
type failover struct {
	commit time.Duration // from the kill to the first that is known to be committed: an answer, or a step
	action time.Duration // from there to the rollout's next step
	whole  time.Duration // from the kill to that step
}

func startFleet(ctx context.Context, bin string) (f *fleet, err error) {
	local, err := localfleet.New(ctx, localfleet.Config{Name: "failover", Bin: bin, Hosts: 1, Replicas: replicas, Err: os.Stderr})
	if err != nil {
		return nil, err
	}
	work, end := context.WithCancel(ctx)
	f = &fleet{Fleet: local, conns: map[string]*bus.Conn{}, end: end, acked: make(chan time.Time, 64), moves: make(chan time.Time, 64)}
	defer func() { //nolint:contextcheck // what was begun is ended whatever became of ctx
		if err != nil {
			err = errors.Join(err, f.stop(err))
		}
	}()
	if err := local.Up(ctx); err != nil {
		return nil, err
	}
	for _, r := range local.Replicas {
		conn, err := bus.Connect(ctx, bus.Config{URLs: []string{"nats://" + r.NATS}, Name: "failover", ReconnectJitter: time.Millisecond, Log: zerolog.Nop()})
		if err != nil {
			return nil, err
		}
		f.conns[r.Name] = conn
		if _, err := conn.Subscribe(bus.StepSubject(service), f.wave); err != nil {
			return nil, err
		}
		f.work.Go(func() { f.ask(work, conn) })
	}
	f.work.Go(func() { f.rollOut(work) })
	return f, nil
}

// stop removes everything. What ended the run is the argument: unless it is nil the
// fleet's logs are kept, and the error says where.
func (f *fleet) stop(why error) error {
	f.end()
	f.work.Wait()
	var errs []error
	if why != nil {
		errs = append(errs, f.keepLogs())
	}
	for _, c := range f.conns {
		errs = append(errs, c.Close())
	}
	return errors.Join(append(errs, f.End())...)
}

// kill kills the leader in the middle of a rollout, measures, and starts it again.
func (f *fleet) kill(ctx context.Context) (failover, error) {
	leader, err := f.inTheMiddle(ctx)
	if err != nil {
		return failover{}, err
	}
	drain(f.acked)
	drain(f.moves)
	f.hard.Store(true)
	defer f.hard.Store(false)
	began := time.Now()
	if err := f.Kill(ctx, leader); err != nil {
		return failover{}, err
	}
	commit, err := after(ctx, f.acked, began.Add(leaving))
	if err != nil {
		return failover{}, fmt.Errorf("no answer: %w", err)
	}
	f.hard.Store(false)
	action, err := after(ctx, f.moves, began.Add(leaving))
	if err != nil {
		return failover{}, fmt.Errorf("no action: %w", err)
	}
	if action.Before(commit) {
		commit = action // an answer takes a little longer than the commit that it tells of
	}
	return failover{commit: commit.Sub(began), action: action.Sub(commit), whole: action.Sub(began)}, f.Start(leader)
}

// leaving is how long what a dead leader has sent may be on its way: less than any
// election takes.
const leaving = 200 * time.Millisecond

// inTheMiddle waits until a rollout moves and all replicas are there, and returns
// who leads.
func (f *fleet) inTheMiddle(ctx context.Context) (string, error) {
	const limit = 3 * patience
	return await(ctx, limit, f.look)
}

// await repeats a look until it finds something. What ends ctx is told apart from a
// limit that has passed, after which the error says what was lacking.
func await(ctx context.Context, limit time.Duration, look func(context.Context) (string, error)) (string, error) {
	bounded, stop := context.WithTimeout(ctx, limit)
	defer stop()
	why := errors.New("nobody has looked yet")
	for bounded.Err() == nil {
		var found string
		if found, why = look(bounded); why == nil {
			return found, nil
		}
		select {
		case <-bounded.Done():
		case <-time.After(askEach):
		}
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	return "", fmt.Errorf("for %s: %w", limit, why)
}

func (f *fleet) look(ctx context.Context) (string, error) {
	ctx, stop := context.WithTimeout(ctx, 2*time.Second)
	defer stop()
	conn := f.conns[f.Replicas[0].Name]
	group, err := localfleet.Ask[api.ClusterStatus](ctx, conn, api.GetCluster, "")
	if err != nil {
		return "", err
	}
	s, err := localfleet.Ask[api.ServiceStatus](ctx, conn, api.GetService, service)
	if err != nil {
		return "", err
	}
	f.mu.Lock()
	idle := time.Since(f.movedAt)
	f.mu.Unlock()
	r := s.Rollout
	switch {
	case r == nil || r.Phase != rollout.Progressing || r.Step < begun || r.Step > steps-margin || r.From == "":
		return "", errors.New("no rollout is in the middle")
	case idle > fresh:
		return "", fmt.Errorf("%s has not moved for %s: %s", r.ID, idle, r.Waiting)
	}
	return group.Leader, f.whole(ctx)
}

// whole tells what a replica lacks to be ready: one that was killed and has not
// caught up is no successor, and the next kill would leave one of three.
func (f *fleet) whole(ctx context.Context) error {
	for _, r := range f.Replicas {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.HTTP+"/readyz", http.NoBody)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return fmt.Errorf("%s is not ready: %w", r.Name, err)
		}
		if err := answer.Body.Close(); err != nil {
			return err
		}
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s is not ready", r.Name)
		}
	}
	return nil
}

// wave notes a broadcast.
func (f *fleet) wave(m bus.Msg) {
	w, err := wire.DecodeWave(m.Data)
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.Epoch <= f.epoch {
		return // said again, perhaps by a new leader
	}
	f.epoch, f.movedAt = w.Epoch, time.Now()
	tell(f.moves, f.movedAt)
}

// ask sends triggers that are refused: each is recorded in the log before it is
// answered, and needs nobody else.
func (f *fleet) ask(ctx context.Context, conn *bus.Conn) {
	for ctx.Err() == nil {
		id := fmt.Sprintf("load-%d", f.asked.Add(1))
		go func() {
			ctx, stop := context.WithTimeout(ctx, askTimeout)
			defer stop()
			m, err := conn.Request(ctx, bus.TriggerSubject("load"), []byte(`{"id":"`+id+`","spec":"service: load"}`))
			var r api.Reply
			if err == nil && json.Unmarshal(m.Data, &r) == nil && r.Code == rollout.CodeInvalid {
				tell(f.acked, time.Now())
			}
		}()
		pause := askEach
		if f.hard.Load() {
			pause = askHard
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// rollOut rolls out one version after the other, in steps of half a percent.
func (f *fleet) rollOut(ctx context.Context) {
	var path strings.Builder
	for k := range steps {
		fmt.Fprintf(&path, "  - {weight: %.1f%%}\n", 100*float64(k+1)/steps)
	}
	conn := f.conns[f.Replicas[0].Name]
	for i := 0; ctx.Err() == nil; i++ {
		id := fmt.Sprintf("version-%d", i)
		file := fmt.Sprintf("service: %s\nimage: %s\nhosts: {labels: {fleet: demo}}\nlisten: \":%s\"\ncontainer: {port: %d, stop_grace: 2s, health: {path: %s}}\nsteps:\n%sgates: {errors: off}\ndeadline: 1h\n",
			service, f.Image(fmt.Sprintf("v%d", i%2+1)), f.Port, localfleet.AppPort, localfleet.HealthPath, &path)
		trigger, err := localfleet.Trigger(id, file, "failover")
		if err != nil {
			return
		}
		f.untilEnded(ctx, conn, trigger)
	}
}

// untilEnded repeats a trigger, which has an id, until its rollout has ended or can
// never begin.
func (f *fleet) untilEnded(ctx context.Context, conn *bus.Conn, trigger []byte) {
	for ctx.Err() == nil {
		bounded, stop := context.WithTimeout(ctx, askTimeout)
		var r api.Reply
		if m, err := conn.Request(bounded, bus.TriggerSubject(service), trigger); err == nil {
			_ = json.Unmarshal(m.Data, &r) // it is asked again
		}
		s, err := localfleet.Ask[api.ServiceStatus](bounded, conn, api.GetService, service)
		stop()
		over := refused(r) || err == nil && !s.Running && s.Rollout != nil && s.Rollout.ID == r.Rollout
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
		if over {
			return
		}
	}
}

// refused tells whether a trigger will never start a rollout, however often it is
// repeated: its version is stable, as after a rollout that went back, or something
// else is wrong. Whoever cannot decide at the moment has not refused it.
func refused(r api.Reply) bool {
	if r.OK {
		return r.Unchanged && r.Rollout == ""
	}
	return r.Code != "" && r.Code != rollout.CodeBusy
}

// after waits for a moment that is not before another.
func after(ctx context.Context, moments <-chan time.Time, begin time.Time) (time.Time, error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	for {
		select {
		case at := <-moments:
			if !at.Before(begin) {
				return at, nil
			}
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		}
	}
}

// tell passes a moment on, unless too many wait.
func tell(moments chan<- time.Time, at time.Time) {
	select {
	case moments <- at:
	default:
	}
}

func drain(moments <-chan time.Time) {
	for {
		select {
		case <-moments:
		default:
			return
		}
	}
}
