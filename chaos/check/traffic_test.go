package check

import (
	"slices"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/chaos/history"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// again is the quiet run, and after it a rollout of another version: shop-2, of v2,
// goes back at 20 s and has ended at 21 s; somebody asks for shop-3 at 22 s, which is
// seen at 23 s. It goes back as well, at 80 s, and has ended at 81 s.
func again(version string) *history.Record {
	r := quiet()
	r.Versions = map[string]string{"rev1": "v1", "rev2": "v2", "rev3": "v3"}
	turn := func(at int, k rollout.Kind, p rollout.Phase, key string) {
		e := rollout.Event{
			Seq: uint64(len(r.End.Events)) + 1, Service: "shop", Rollout: "shop-3", From: "v1", To: version,
			Kind: k, Phase: p, Step: 1, Text: string(k), Key: key,
		}
		r.End.Events = append(r.End.Events, e)
		r.Events = append(r.Events, history.Event{At: seconds(at), Event: e})
	}
	turn(23, rollout.KindSubmitted, rollout.Preparing, "id:shop:d")
	turn(24, rollout.KindStep, rollout.Progressing, "")
	turn(80, rollout.KindRollingBack, rollout.RollingBack, "")
	turn(81, rollout.KindRolledBack, rollout.RolledBack, "")
	r.Plans = append(r.Plans, history.Plan{ID: "d", Service: "shop", Version: version, Ill: "errs"})
	r.Ops = append(r.Ops, history.Op{Verb: history.Trigger, Service: "shop", ID: "d", Version: version, Called: seconds(22), Back: seconds(23)})
	r.Faults = nil
	r.Weights = []history.Weight{of("rev2", 15, 2000), of("rev2", 19, 2000)}
	return r
}

// of is a look that shows a share of a revision's canary.
func of(revision string, at, share int) history.Weight {
	w := weight(at, share)
	w.Revision = revision
	return w
}

// later is some milliseconds after a look.
func later(w history.Weight, by int) history.Weight {
	w.At += time.Duration(by) * time.Millisecond
	return w
}

// TestTakenBack: a canary that went back has no share when its rollout says that all
// hosts have followed, and none while another version is rolled out.
func TestTakenBack(t *testing.T) {
	back := func(r *history.Record) *history.Event { // the end of shop-2
		return &r.Events[7]
	}
	lost := func(r *history.Record) {
		r.End.Events[7].Lost = r.Hosts
		back(r).Lost = r.Hosts
	}
	slow := func(r *history.Record) { // its end is seen late, and nothing is rolled out after it
		back(r).At = seconds(79)
		r.End.Events, r.Events = r.End.Events[:8], r.Events[:8]
	}
	broken := func(kind, target string, from, to int) func(*history.Record) {
		return func(r *history.Record) {
			slow(r)
			r.Faults = []history.Fault{{Kind: kind, Targets: []string{target}, Began: seconds(from), Healed: seconds(to), Recovered: seconds(to)}}
		}
	}
	none := func(*history.Record) {}
	for name, c := range map[string]struct {
		version string // that is rolled out next
		harm    func(*history.Record)
		look    history.Weight
		broken  bool
	}{
		"before the end":                          {"v3", none, of("rev2", 21, 2000), false},
		"at once after the end":                   {"v3", none, later(of("rev2", 21, 2000), 200), true},
		"in an early record":                      {"v3", none, later(of("", 21, 2000), 200), true},
		"asked before the end":                    {"v3", none, history.Weight{At: seconds(22) - 1, Took: time.Second, Host: "h1", Service: "shop", Share: 2000}, false},
		"during the next rollout":                 {"v3", none, of("rev2", 50, 2000), true},
		"after the next rollout":                  {"v3", none, of("rev2", 100, 1), true},
		"of the next rollout":                     {"v3", none, of("rev3", 50, 2000), false},
		"of the next rollout, in an early record": {"v3", none, of("", 50, 2000), false},
		"of the same version again":               {"v2", none, of("rev2", 50, 2000), false},
		"on a host that has not followed":         {"v3", lost, of("rev2", 24, 2000), false},
		"on a host that still has not":            {"v3", lost, of("rev2", 29, 2000), true},
		"seen late":                               {"v3", slow, of("rev2", 27, 2000), false},
		"seen late, and too long":                 {"v3", slow, of("rev2", 29, 2000), true},
		"a replica is broken":                     {"v3", broken("leader-kill", "c1", 19, 70), of("rev2", 40, 2000), false},
		"a replica is broken, the lease is over":  {"v3", broken("leader-kill", "c1", 19, 70), of("rev2", 46, 2000), true},
		"a replica was, long before":              {"v3", broken("leader-kill", "c1", 10, 15), of("rev2", 29, 2000), true},
		"a replica is, long after":                {"v3", broken("leader-kill", "c1", 29, 35), of("rev2", 30, 2000), true},
		"the NATS server is":                      {"v3", broken("nats-kill", "bus", 19, 21), of("rev2", 40, 2000), false},
		"the agent is":                            {"v3", broken("agent-stop", "h1", 19, 60), of("rev2", 67, 2000), false},
		"the agent was":                           {"v3", broken("agent-stop", "h1", 19, 60), of("rev2", 69, 2000), true},
		"another host's agent is":                 {"v3", broken("agent-stop", "h2", 19, 60), of("rev2", 29, 2000), true},
		"the registry is":                         {"v3", broken("registry-kill", "store", 19, 60), of("rev2", 29, 2000), true},
	} {
		r := again(c.version)
		c.harm(r)
		r.Weights = append(r.Weights, c.look)
		if got := len(Traffic(r)) > 0; got != c.broken {
			t.Errorf("%s: broken %v, want %v: %v", name, got, c.broken, Traffic(r))
		}
	}
}

// TestAnswered: nobody is answered by a version that went back, also while another
// one is rolled out.
func TestAnswered(t *testing.T) {
	for name, c := range map[string]struct {
		next   string
		at     int
		broken bool
	}{"before its end": {"v3", 20, false}, "during the next": {"v3", 50, true}, "the same again": {"v2", 50, false}} {
		r := again(c.next)
		r.Requests = append(r.Requests, history.Request{At: seconds(c.at), Took: time.Millisecond, Host: "h1", Service: "shop", Version: "v2", Status: 200})
		if got := len(Traffic(r)) > 0; got != c.broken {
			t.Errorf("%s: broken %v, want %v: %v", name, got, c.broken, Traffic(r))
		}
	}
}

// TestRaised: a canary that went back is not raised during the next rollout either,
// whose own is.
func TestRaised(t *testing.T) {
	for revision, broken := range map[string]bool{"rev2": true, "rev3": false} {
		r := again("v3")
		r.Weights = append(r.Weights, of("", 30, 0), of(revision, 31, 100))
		if got := len(CutOff(r)) > 0; got != broken {
			t.Errorf("%s: broken %v, want %v: %v", revision, got, broken, CutOff(r))
		}
	}
}

// TestAmounts: a run tells how much of it each promise was checked on, and which it
// was not.
func TestAmounts(t *testing.T) {
	r := again("v3")
	r.Faults = quiet().Faults
	for at := 21; at < 180; at++ {
		r.Weights = append(r.Weights, later(of("", at, 0), 100))
	}
	unchecked := func(all []Amount) []Amount { // but for what people do by hand: see TestUnsteered
		return slices.DeleteFunc(Unchecked(all), func(a Amount) bool { return a.Promise == I15 })
	}
	all := Amounts(r)
	for _, p := range Promises() {
		some := false
		for _, a := range all {
			some = some || a.Promise == p && a.Times > 0
		}
		if !some {
			t.Errorf("%s: nothing was checked: %v", p, all)
		}
	}
	if missing := unchecked(all); len(missing) > 0 {
		t.Errorf("not checked: %v", missing)
	}
	for _, a := range all {
		if a.Promise == I13 && (a.Times != 1 || a.Seconds < 10 || a.Seconds > 13) {
			t.Errorf("nobody led for 13 s, on one host: %v", a)
		}
	}
	missing := Unchecked(Amounts(&history.Record{}))
	for _, p := range []string{I5, I6, I12, I13, I15} {
		if !slices.ContainsFunc(missing, func(a Amount) bool { return a.Promise == p }) {
			t.Errorf("an empty run has checked %s: %v", p, missing)
		}
	}
	r.Faults[2].Mending = r.Faults[2].Began + licence + underWay
	if got := unchecked(Amounts(r)); len(got) != 1 || got[0].Promise != I13 {
		t.Errorf("nobody led for 7 s: not checked is %v", got)
	}
	r.Weights = nil
	if got := unchecked(Amounts(r)); len(got) != 3 {
		t.Errorf("no HAProxy was looked at: not checked is %v", got)
	}
}

// TestMissed: a fault that could not be made shows nothing, and nobody is to blame for
// what would have broken a promise within it.
func TestMissed(t *testing.T) {
	r := quiet()
	r.Licences[0].At = seconds(124)
	r.Stops = append(r.Stops, stop(150))
	for at := 140; at < 160; at++ {
		r.Weights = append(r.Weights, history.Weight{At: seconds(at), Host: "h1", Service: "shop"})
	}
	if cuts(r).Times != 1 || lonely(r).Times != 1 {
		t.Fatalf("one leader was cut off, one host alone: %v, %v", cuts(r), lonely(r))
	}
	if got := len(CutOff(r)) + len(Alone(r)); got != 2 {
		t.Fatalf("a licence of a leader that is cut off and a stop without replicas: %d violations", got)
	}
	r.Faults[1].Missed, r.Faults[2].Missed = true, true
	for _, v := range slices.Concat(CutOff(r), Alone(r)) {
		t.Error(v)
	}
	if got := cuts(r); got.Times != 0 {
		t.Errorf("nobody was cut off: %v", got)
	}
	if got := lonely(r); got.Times != 0 {
		t.Errorf("no host was alone: %v", got)
	}
}
