package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/serin-rollouts/serin/chaos/check"
	"github.com/serin-rollouts/serin/chaos/fleet"
	"github.com/serin-rollouts/serin/chaos/history"
	"github.com/serin-rollouts/serin/chaos/nemesis"
	"github.com/serin-rollouts/serin/chaos/workload"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/localfleet"
)

// Options say what a run is.
type Options struct {
	Nemesis                         string // names of kinds, "mix" or "none"
	Versions                        string // names of ill versions, or "all"
	Seed                            uint64
	For                             time.Duration // of faults and load
	Count                           int           // of faults; 0: no bound
	Hosts, Replicas, Services, Rate int
	OwnBus                          bool          // the NATS server is one of the user's own
	Calm                            time.Duration // the longest time between two faults

	Ground Ground
	Say    func(format string, args ...any)
}

// noNemesis is the name by which nothing is broken.
const noNemesis = "none"

// Validate names the option that is wrong.
func (o Options) Validate() error {
	kinds, err := o.kinds()
	if err != nil {
		return fmt.Errorf("-nemesis: %w", err)
	}
	if i := slices.IndexFunc(kinds, func(k nemesis.Kind) bool { return k.OwnBus }); i >= 0 && !o.OwnBus {
		return fmt.Errorf("-nemesis %s: needs -own-bus", kinds[i].Name)
	}
	if _, err := o.dishes(); err != nil {
		return fmt.Errorf("-versions: %w", err)
	}
	switch {
	case o.For <= 0 || o.Calm < 0:
		return errors.New("-for and -calm: must be longer than 0")
	case o.Hosts < 1 || o.Replicas < 1 || o.Services < 1 || o.Rate < 1:
		return errors.New("-hosts, -replicas, -services and -rate: must be at least 1")
	}
	return missing()
}

// Run runs a fleet, breaks it while it is used, mends everything, and returns
// what everybody saw.
func Run(ctx context.Context, o Options) (*history.Record, error) {
	dishes, err := o.dishes()
	if err != nil {
		return nil, fmt.Errorf("-versions: %w", err)
	}
	f, err := fleet.New(ctx, fleet.Config{
		Dir: o.Ground.Dir, Bin: o.Ground.Bin, Hosts: o.Hosts, Replicas: o.Replicas, OwnBus: o.OwnBus, Lease: lease, Seed: o.Seed, Versions: versions(dishes),
	})
	defer f.End()
	if err != nil {
		return nil, fmt.Errorf("start the fleet: %w", err)
	}
	conn, err := f.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() //nolint:contextcheck // it bounds itself
	r := &storm{Options: o, fleet: f, conn: conn, dishes: dishes, log: history.New(o.Seed)}
	r.log.Set(func(h *history.Record) {
		h.Lease, h.Nemesis = lease, o.Nemesis
		for _, n := range f.Hosts {
			h.Hosts = append(h.Hosts, n.Name)
		}
		for _, n := range f.Replicas {
			h.Replicas = append(h.Replicas, n.Name)
		}
	})
	return r.all(ctx)
}

// Private

func (o Options) kinds() ([]nemesis.Kind, error) {
	if o.Nemesis == noNemesis {
		return nil, nil
	}
	return nemesis.Find(o.Nemesis, o.OwnBus)
}

// lease is short, so that what its end does is seen in a run.
const lease = 10 * time.Second

// firstPort is where the first service takes its traffic on every host.
const firstPort = 8081

// storm is one run under way.
type storm struct {
	Options

	fleet     *fleet.Fleet
	conn      *bus.Conn
	dishes    []dish // what operators choose from
	log       *history.Log
	operators []*workload.Operators
	strangers []history.Stranger
}

// chance is a stream of chance of its own for each part, so that one part's
// luck does not depend on another's speed.
func (r *storm) chance(part uint64) *rand.Rand { return rand.New(rand.NewPCG(r.Seed, part)) }

// The parts that leave something to chance.
const (
	ofUsers = iota + 1
	ofNemesis
	ofServices // and as many more as there are services
)

func (r *storm) all(ctx context.Context) (*history.Record, error) {
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	var watchers sync.WaitGroup
	watchers.Go(func() { workload.Follow(watching, r.conn, r.log) })
	for _, n := range r.fleet.Hosts {
		watchers.Go(func() { workload.Weigh(watching, n, r.log) })
		watchers.Go(func() { workload.Stops(watching, n, r.log) })
	}
	if err := r.overhear(watching, &watchers); err != nil {
		return nil, err
	}
	if err := r.install(ctx); err != nil {
		return nil, err
	}
	r.Say("%d hosts and %d replicas are up, %d services installed", r.Hosts, r.Replicas, r.Services)
	r.rage(ctx)
	if ctx.Err() != nil {
		return nil, errors.New("interrupted")
	}
	r.Say("everything is mended; waiting for the end of rollouts")
	r.calm(ctx)
	// Events that the stream holds reach whoever follows.
	r.awaitFollower(ctx)
	stopWatching()
	watchers.Wait()
	r.look(ctx)
	var record history.Record
	r.log.Read(func(h *history.Record) { record = *h })
	record.Took = r.log.Now()
	return &record, nil
}

// overhear listens at each server of the bus by itself: what one says that is cut
// off from the others is heard by those who are connected to it.
func (r *storm) overhear(ctx context.Context, watchers *sync.WaitGroup) error {
	for _, n := range r.fleet.Servers() {
		conn, err := r.fleet.ConnectTo(ctx, n)
		if err != nil {
			return err
		}
		leader := n.Name
		if r.OwnBus {
			leader = "" // whoever leads
		}
		watchers.Go(func() {
			defer func() { _ = conn.Close() }() //nolint:contextcheck // it bounds itself
			if err := workload.Overhear(ctx, conn, leader, r.log); err != nil {
				r.Say("listening in at %s: %v", n.Name, err)
			}
		})
	}
	return nil
}

// install puts the first version of every service on all hosts, and a container
// of somebody else's beside it.
func (r *storm) install(ctx context.Context) error {
	const patience = 4 * time.Minute
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	errs := make(chan error, r.Services)
	for i := range r.Services {
		o := r.operatorsOf(i)
		r.operators = append(r.operators, o)
		go func() { errs <- o.Install(ctx, r.dishes[0].choice()) }()
	}
	var all []error
	for range r.Services {
		all = append(all, <-errs)
	}
	for _, n := range r.fleet.Hosts {
		s, err := n.AddStranger(ctx, good[0])
		all = append(all, err)
		r.strangers = append(r.strangers, s)
	}
	return errors.Join(all...)
}

// rage is the run proper: users, operators and the nemesis, side by side.
func (r *storm) rage(ctx context.Context) {
	using, stopUsing := context.WithCancel(ctx)
	var users sync.WaitGroup
	users.Go(func() {
		workload.Users{Targets: r.targets(), PerSecond: r.Rate, Log: r.log, Chance: r.chance(ofUsers)}.Run(using)
	})
	defer users.Wait()
	defer stopUsing()
	storming, calm := context.WithTimeout(ctx, r.For)
	defer calm()
	var others sync.WaitGroup
	for _, o := range r.operators {
		others.Go(func() { o.Deliver(storming, 0) })
		others.Go(func() { o.Disturb(storming) })
		others.Go(func() { o.Steer(storming) })
	}
	if kinds, _ := r.kinds(); len(kinds) > 0 { // Validate has found them
		n := nemesis.Nemesis{Fleet: r.fleet, Log: r.log, Chance: r.chance(ofNemesis), Kinds: kinds, Calm: r.Calm, Whole: r.whole, Say: r.Say}
		n.Run(storming, r.Count)
		if r.Count > 0 {
			calm()
		}
	}
	<-storming.Done()
	others.Wait()
	r.settle(ctx)
}

// settle waits, while users go on, until no rollout runs, and releases hosts.
func (r *storm) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	for _, o := range r.operators {
		o.AwaitEnd(ctx)
		o.LetGo(ctx)
	}
}

// calm waits until the fleet is whole and tidy, or for as long as it may take;
// what is not in order by then is found by the check of the end.
func (r *storm) calm(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, tidyLimit)
	defer cancel()
	for ctx.Err() == nil {
		r.look(ctx)
		var record history.Record
		r.log.Read(func(h *history.Record) { record.End = h.End; record.Faults = h.Faults })
		if len(check.Converged(&record)) == 0 && len(check.Tidy(&record)) == 0 {
			return
		}
		pause(ctx, time.Second)
	}
}

// How long rollouts may take to end, and hosts to be tidy after that.
const (
	settleLimit = deadline + time.Minute
	tidyLimit   = 90 * time.Second
)

func (r *storm) awaitFollower(ctx context.Context) {
	const patience = 20 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for ctx.Err() == nil {
		behind := false
		r.log.Read(func(h *history.Record) { behind = len(h.Events) < len(h.End.Events) })
		if !behind {
			return
		}
		pause(ctx, 100*time.Millisecond)
	}
}

func (r *storm) targets() []workload.Target {
	var targets []workload.Target
	for _, n := range r.fleet.Hosts {
		for i, o := range r.operators {
			targets = append(targets, workload.Target{
				Host: n.Name, Service: o.Service.Name, URL: "http://" + n.Address + ":" + strconv.Itoa(firstPort+i) + "/",
			})
		}
	}
	return targets
}

func (r *storm) operatorsOf(i int) *workload.Operators {
	const streams = 3
	chance := func(k uint64) *rand.Rand { return r.chance(ofServices + streams*uint64(i) + k) } //nolint:gosec // it is small
	var hosts []string
	for _, n := range r.fleet.Hosts {
		hosts = append(hosts, n.Name)
	}
	return &workload.Operators{
		Service: r.service(i, chance(0)), Hosts: hosts, Conn: r.conn, Log: r.log, Number: workload.Clients * i, Chance: chance(1), Hand: chance(2),
	}
}

func versions(of []dish) []localfleet.Version {
	var all []localfleet.Version
	for _, v := range of {
		all = append(all, v.Version)
	}
	return all
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
