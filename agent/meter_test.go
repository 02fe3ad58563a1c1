package agent

import (
	"net/netip"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/analysis"
)

// TestMeterCountsOnce: whatever happens to the slot, its container and
// HAProxy's worker, an instance's counts never fall and never exceed what it
// was asked; without a new worker none is missed.
func TestMeterCountsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMeter(newStopwatch())
		pid, restarts, made := 1, 0, 1
		var shown haproxy.Counters
		truth := map[string]int64{} // by container
		running := "c1"
		addr := netip.MustParseAddrPort("10.0.0.2:80")
		look := func() {
			back := haproxy.Backend{Slots: []haproxy.Slot{{Name: "b1", Addr: addr, State: haproxy.Ready, Counters: shown}}}
			m.read(pid, back, map[string]plan.Container{"b1": {ID: running, Revision: "r2", Addr: addr.String()}})
		}
		look()
		before := int64(0)
		t.Repeat(map[string]func(*rapid.T){
			"requests": func(t *rapid.T) {
				n := rapid.Int64Range(0, 50).Draw(t, "n")
				shown.Requests += n
				truth[running] += n
				for range n {
					m.watch.record(haproxy.Record{Slot: "b1", Status: 200, Micros: 1000, Termination: "--"})
				}
			},
			"look": func(*rapid.T) { look() },
			"replace": func(*rapid.T) {
				look() // converge looks before it detaches
				made++
				running = "c" + strconv.Itoa(made)
				look()
			},
			"restart": func(*rapid.T) {
				pid++
				restarts++
				shown = haproxy.Counters{}
			},
			"": func(t *rapid.T) {
				all, each := m.sum("r2")
				if all.Requests < before {
					t.Fatalf("fell from %d to %d", before, all.Requests)
				}
				before = all.Requests
				for name := range each {
					if l := timesOf(t, m.latency(name)); l.lines != l.requests || l.sketch.Count() != l.lines || l.requests != each[name].Requests {
						t.Fatalf("lines went another way than requests: %d, %d", l.lines, l.requests)
					}
				}
				for name, n := range each {
					if asked := truth[name[len("b1-"):]]; n.Requests > asked {
						t.Fatalf("%s counted %d of %d", name, n.Requests, asked)
					}
				}
			},
		})
		look()
		all, _ := m.sum("r2")
		var want int64
		for _, n := range truth {
			want += n
		}
		if restarts == 0 && all.Requests != want {
			t.Fatalf("counted %d of %d", all.Requests, want)
		}
	})
}

func TestMeterErrors(t *testing.T) {
	m := newMeter(newStopwatch())
	addr := netip.MustParseAddrPort("10.0.0.2:80")
	units := map[string]plan.Container{"b1": {ID: "c1", Revision: "r2", Addr: addr.String()}}
	read := func(c haproxy.Counters) {
		m.read(1, haproxy.Backend{Slots: []haproxy.Slot{{Name: "b1", Addr: addr, State: haproxy.Ready, Counters: c}}}, units)
	}
	read(haproxy.Counters{Requests: 10, Errors5xx: 9})
	read(haproxy.Counters{Requests: 110, Errors5xx: 10, ResponseErrors: 2, ConnectErrors: 3, Redispatches: 4, Retries: 5})
	if got, _ := m.sum("r2"); got != (analysis.Counts{Requests: 100, Errors: 10}) {
		t.Errorf("%+v", got)
	}
	m.begin("shop-2", nil)
	if got, _ := m.sum("r2"); got != (analysis.Counts{}) {
		t.Errorf("another rollout begins with %+v", got)
	}
}
