package fleettest_test

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/fleettest"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// storms is how many there are; SERIN_FLEET_STORMS asks for another number.
const storms = 3

// stormy is gated, with more gates.
var stormy = strings.Replace(gated, `"gates":{`, `"gates":{"latency":[{"quantile":"p90","max_increase":"50%"}],"saturation":"on",`, 1)

// TestStorm rolls good and bad versions out, one over the other, while
// coordinators, agents and the bus go and come. When it is over the fleet has
// to come to rest like any other, and nobody may have lost a request.
func TestStorm(t *testing.T) {
	n := storms
	if racing {
		n = 1
	}
	if asked, err := strconv.Atoi(os.Getenv("SERIN_FLEET_STORMS")); err == nil {
		n = asked
	}
	for i := range n {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			fleettest.Run(t, fleettest.Options{Hosts: 4, Logs: true}, func(f *fleettest.Fleet) {
				f.Install("1", stormy)
				s := storm{t: t, fleet: f, replica: -1, hosts: map[int]func(){}}
				for version := 2; version < 6; version++ {
					s.roll(strconv.Itoa(version))
				}
				s.over()
			})
		})
	}
}

// storm knows what is broken. At most one replica is, so that there is a
// majority, and two hosts of four, so that somebody can be asked.
type storm struct {
	t       *testing.T
	fleet   *fleettest.Fleet
	replica int // -1: none
	mend    func()
	hosts   map[int]func() // how to mend them
}

// roll starts a rollout and makes things go wrong.
func (s *storm) roll(version string) {
	r := s.fleet.Rand()
	apps := []fleettest.App{{}, {}, {Errors: 1000}, {DiesAfter: 5 * time.Second}, {NotReady: true}, {Slower: 100}, {Leak: 5}}
	app := apps[r.IntN(len(apps))]
	s.fleet.Push(version, app)
	if r.IntN(2) == 0 {
		host, odd := r.IntN(4), apps[r.IntN(len(apps))]
		s.log("version %s is %+v on host %d", version, odd, host)
		s.fleet.Odd(host, version, odd)
	}
	replace := r.IntN(2) == 0
	reply := s.fleet.Trigger(api.Trigger{ID: version, Image: fleettest.Image(version), Replace: replace})
	s.log("version %s, %+v, replace %v: ok %v %s", version, app, replace, reply.OK, reply.Message)
	if !reply.OK && reply.Code != rollout.CodeConflict {
		s.t.Errorf("trigger: %+v", reply)
	}
	for range 1 + r.IntN(8) {
		s.fleet.Sleep(time.Duration(r.IntN(30_000)) * time.Millisecond)
		s.trouble()
	}
}

// trouble breaks one thing, or mends it.
func (s *storm) trouble() {
	r := s.fleet.Rand()
	host := r.IntN(4)
	switch r.IntN(6) {
	case 0, 1:
		s.troubleReplica(r.IntN(2) == 0)
	case 2:
		s.troubleHost(host, "killed agent of", func() { s.fleet.KillAgent(host) }, func() { s.fleet.StartAgent(host) })
	case 3:
		s.troubleHost(host, "cut", func() { s.fleet.CutHost(host) }, func() { s.fleet.HealHost(host) })
	case 4:
		s.fleet.StopBus()
		outage := time.Duration(r.IntN(60_000)) * time.Millisecond
		s.log("bus down for %s", outage)
		s.fleet.Sleep(outage)
		s.fleet.StartBus()
	case 5:
		s.log("replica %d restarted", host%3)
		if s.replica < 0 {
			s.fleet.RestartReplica(host % 3)
		}
	}
}

func (s *storm) troubleReplica(kill bool) {
	if s.replica >= 0 {
		s.log("replica %d mended", s.replica)
		s.mend()
		s.replica = -1
		return
	}
	i := s.fleet.Leader()
	s.replica = i
	if kill {
		s.log("leader %d killed", i)
		s.fleet.KillReplica(i)
		s.mend = func() { s.fleet.StartReplica(i) }
		return
	}
	s.log("leader %d cut off", i)
	s.fleet.CutReplica(i)
	s.mend = func() { s.fleet.HealReplica(i) }
}

func (s *storm) troubleHost(host int, what string, do, undo func()) {
	if mend, broken := s.hosts[host]; broken {
		s.log("host %d mended", host)
		mend()
		delete(s.hosts, host)
		s.fleet.Sleep(5 * time.Second) // until it has reported
		return
	}
	if len(s.hosts) == 2 {
		return
	}
	s.log("%s %d", what, host)
	do()
	s.hosts[host] = undo
}

// over mends everything and waits until nothing moves.
func (s *storm) over() {
	for _, mend := range s.hosts {
		mend()
	}
	if s.replica >= 0 {
		s.mend()
	}
	s.log("over")
	for svc := s.fleet.State().Services[fleettest.Service]; svc.Active != nil; svc = s.fleet.State().Services[fleettest.Service] {
		s.fleet.Until(svc.Active.ID, rollout.Succeeded, rollout.RolledBack, rollout.Aborted)
	}
}

func (s *storm) log(format string, args ...any) {
	s.t.Helper()
	s.t.Logf("%s "+format, append([]any{time.Now().Format(time.TimeOnly)}, args...)...)
}
