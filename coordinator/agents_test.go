package coordinator

import (
	"context"
	"maps"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/fleetclock"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// requestsPerSecond is each fake host's traffic.
const requestsPerSecond = 100

// errorsOf says how many of a thousand requests a version answers with an
// error.
func errorsOf(version string) int64 {
	switch {
	case strings.HasPrefix(version, "bad"):
		return 200
	default:
		return 5
	}
}

// fakeAgent speaks the agents' side of the wire and stands for a host that
// does at once what it may.
type fakeAgent struct {
	name string
	conn *bus.Conn
	kick chan struct{}

	mu       sync.Mutex
	nonce    uint64
	sequence uint64
	interval time.Duration
	services map[string]*fakeService
	fleet    fleetclock.Clock // marks reports
	marks    bool
	waves    []rollout.Wave
	raisedBy []string // leaders whose word raised something
	mute     bool
	deaf     bool // answers no questions
	// logs has it report latencies, every other time: the canary's 182 ms,
	// stable's 180 ms.
	logs bool
	// queue is what the canary reads of a gate of that name; 0: it says nothing.
	queue float64
	// deaths is how often its canary has died.
	deaths int
	// still has it serve nothing more.
	still bool
}

type fakeService struct {
	want           rollout.Assignment
	stable, canary string
	version        string // of the canary
	weight         int
	life           int
	canaryCounts   analysis.Counts
	stableCounts   analysis.Counts
}

// startAgent runs a fake agent until ctx ends.
func startAgent(ctx context.Context, t *testing.T, conn *bus.Conn, name string) *fakeAgent {
	t.Helper()
	a := &fakeAgent{
		name: name, conn: conn, kick: make(chan struct{}, 1),
		interval: idleInterval, services: map[string]*fakeService{},
	}
	for subject, f := range map[string]func(bus.Msg){
		bus.AssignSubject(name):  a.assign,
		bus.AllSteps:             a.wave,
		bus.ResolveSubject(name): a.resolve,
		bus.BeatSubject:          a.beat,
	} {
		if _, err := conn.Subscribe(subject, f); err != nil {
			t.Fatal(err)
		}
	}
	go a.run(ctx)
	return a
}

func (a *fakeAgent) run(ctx context.Context) {
	last := time.Now()
	for ctx.Err() == nil {
		a.mu.Lock()
		now := time.Now()
		a.serve(now.Sub(last))
		last = now
		data, err := wire.EncodeHealth(a.health())
		interval, mute := a.interval, a.mute
		a.mu.Unlock()
		if err == nil && !mute {
			_ = a.conn.Publish(bus.HealthSubject(a.name), data) // it reports again
		}
		timer := time.NewTimer(interval)
		select {
		case <-timer.C:
		case <-a.kick:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// serve counts the requests of the time that has passed.
func (a *fakeAgent) serve(d time.Duration) {
	for _, s := range a.services {
		if a.still {
			return
		}
		all := int64(d.Seconds() * requestsPerSecond)
		canary := all * int64(s.weight) / rollout.Full
		if s.canary != "" {
			s.canaryCounts = count(s.canaryCounts, canary, errorsOf(s.version))
			all -= canary
		}
		if s.stable != "" {
			s.stableCounts = count(s.stableCounts, all, errorsOf(""))
		}
	}
}

func count(c analysis.Counts, requests, perMille int64) analysis.Counts {
	c.Requests += requests
	c.Errors = c.Requests * perMille / 1000
	return c
}

func (a *fakeAgent) health() wire.Health {
	a.nonce++
	a.sequence++
	h := wire.Health{
		Host: a.name, Version: "1.0.0", Nonce: a.nonce, Sequence: a.sequence, Started: "once",
		Labels: map[string]string{"role": "web"}, Wall: time.Now().UnixMilli(),
	}
	if a.marks {
		h.Mark = a.fleet.At(time.Now())
	}
	for name, s := range a.services {
		settled := s.settled()
		x := wire.ServiceHealth{
			Service: name, Epoch: s.want.Epoch, Settled: settled, HasImage: true, Weight: s.weight,
			Stable: s.stable, Canary: s.canary, WantsRaise: !settled,
			Incarnation: strconv.Itoa(s.life), CanaryCounts: s.canaryCounts,
			StableCounts: map[string]analysis.Counts{"a1": s.stableCounts},
		}
		if s.canary != "" {
			x.CanaryInstances, x.CanaryReady = 1, 1
			if x.Deaths = a.deaths; a.deaths > 0 {
				x.Death = "exit code 1; its last words: no such table | giving up"
			}
		}
		if a.logs && a.sequence%2 == 0 {
			canary, stable := latencyOf(s.canaryCounts.Requests, 182_000), latencyOf(s.stableCounts.Requests, 180_000)
			canary.Canary, stable.Instance = true, "a1"
			x.Latencies = []analysis.Latency{canary, stable}[a.sequence/2%2:] // not always both
		}
		if a.queue > 0 && s.canary != "" {
			x.Readings = []wire.Reading{{Gate: "queue", Variable: "queue", Canary: wire.Spread{Containers: 1, Sum: a.queue, Min: a.queue, Max: a.queue}}}
		}
		h.Services = append(h.Services, x)
	}
	return h
}

func (s *fakeService) settled() bool {
	return s.stable == idOf(s.want.Stable) && s.canary == idOf(s.want.Canary) && s.weight == s.want.Weight
}

func idOf(r *rollout.Revision) string {
	if r == nil {
		return ""
	}
	return r.ID
}

func (a *fakeAgent) assign(m bus.Msg) {
	msg, err := wire.DecodeAssign(m.Data)
	if err != nil {
		panic(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.interval = msg.Interval
	licensed := msg.Nonce != 0 && msg.Nonce == a.nonce
	moved := false
	for _, want := range msg.Assignments {
		s := a.services[want.Service]
		if s == nil {
			s = &fakeService{}
			a.services[want.Service] = s
		}
		if want.Epoch < s.want.Epoch {
			continue
		}
		moved = moved || want.Epoch > s.want.Epoch
		s.want = want
		s.weight = min(s.weight, want.Weight)
		if licensed && !s.settled() {
			a.raisedBy = append(a.raisedBy, msg.Leader)
			s.follow(want)
			moved = true
		}
	}
	if moved {
		a.hurry()
	}
}

// follow makes the host what it should be.
func (s *fakeService) follow(want rollout.Assignment) {
	if s.canary != idOf(want.Canary) {
		s.life++
		s.canaryCounts, s.stableCounts = analysis.Counts{}, analysis.Counts{}
	}
	s.stable, s.canary, s.weight, s.version = idOf(want.Stable), idOf(want.Canary), want.Weight, ""
	if want.Canary != nil {
		s.version = want.Canary.Version()
	}
}

func (a *fakeAgent) beat(m bus.Msg) {
	b, err := wire.DecodeBeat(m.Data)
	if err != nil {
		panic(err)
	}
	a.fleet.Hear(time.Now(), b.Clock, b.Lease, b.Term)
}

func (a *fakeAgent) wave(m bus.Msg) {
	w, err := wire.DecodeWave(m.Data)
	if err != nil {
		panic(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waves = append(a.waves, w)
	if s := a.services[w.Service]; s != nil && w.Epoch >= s.want.Epoch && s.canary != w.Canary {
		s.weight = 0
	}
}

func (a *fakeAgent) hurry() {
	select {
	case a.kick <- struct{}{}:
	default:
	}
}

func (a *fakeAgent) resolve(m bus.Msg) {
	a.mu.Lock()
	deaf := a.deaf
	a.mu.Unlock()
	if deaf {
		return
	}
	request, err := wire.DecodeResolve(m.Data)
	if err != nil {
		panic(err)
	}
	answer := wire.Resolved{Image: pin(request.Image)}
	if strings.Contains(request.Image, "missing") {
		answer = wire.Resolved{Error: "manifest unknown"}
	}
	if strings.Contains(request.Image, "local") { // known to Docker alone, and to some hosts only if uneven
		answer = wire.Resolved{Image: "sha256:" + contentHash("", []byte(request.Image)), Local: true}
		if strings.Contains(request.Image, "uneven") && a.name == "web-02" {
			answer = wire.Resolved{Error: "no such image"}
		}
	}
	data, err := wire.EncodeResolved(answer)
	if err != nil {
		panic(err)
	}
	_ = m.Respond(data) // who asked asks again
}

// pin makes a digest of a reference: another for each tag.
func pin(image string) string {
	return strings.Split(image, ":")[0] + "@sha256:" + contentHash("", []byte(image))
}

// stables returns what runs as stable, by service.
func (a *fakeAgent) stables() map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	stables := map[string]string{}
	for name, s := range a.services {
		stables[name] = s.stable
	}
	return maps.Clone(stables)
}
