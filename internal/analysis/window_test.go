package analysis

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func report(at time.Duration, life string, canary Counts, stable map[string]Counts) Report {
	return Report{
		Host: "h", Incarnation: life, At: at, Canary: canary, Stable: stable, CanaryInstances: 1,
	}
}

func one(requests, errors int64) map[string]Counts {
	return map[string]Counts{"a": {requests, errors}}
}

// TestClose says when a window closes: by time and numbers of requests only.
func TestClose(t *testing.T) {
	cases := []struct {
		name           string
		age            time.Duration
		canary, stable int64
		instances      int
		want           bool
	}{
		{"too young", 4 * time.Second, 100, 100, 1, false},
		{"enough of both", 5 * time.Second, 4, 4, 1, true},
		{"too little of canary", 30 * time.Second, 3, 900, 1, false},
		{"too little of both", 30 * time.Second, 19, 3, 1, false},
		{"little of stable trails in", 5 * time.Second, 20, 3, 1, true},
		{"stable silent", 5 * time.Second, 20, 0, 1, true},
		{"stable silent, but canary nearly so", 30 * time.Second, 19, 0, 1, false},
		{"no canary yet", 5 * time.Second, 0, 4, 0, true},
		{"canary waits for traffic", 30 * time.Second, 0, 500, 1, false},
		{"too old", time.Minute, 0, 0, 1, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			k := newCutter(report(0, "1", Counts{}, one(7, 0)).counts())
			r := report(c.age, "1", Counts{c.canary, c.canary}, one(7+c.stable, c.stable))
			r.CanaryInstances = c.instances
			k.hear(r.counts())
			if got := k.due(c.age, 5*time.Second); got != c.want {
				t.Errorf("due = %v, want %v", got, c.want)
			}
		})
	}
}

// TestTrailingStable: a few requests of stable that trail into a step without any do not hold it
// up, and are no control in place of what stable did before.
func TestTrailingStable(t *testing.T) {
	j := NewJudge(Config{MinRequests: 100})
	say := func(at time.Duration, canary, stable int64) {
		for _, host := range []string{"a", "b"} {
			r := report(at, "1", Counts{Requests: canary}, one(stable, stable/1000))
			r.Host = host
			j.Observe(r)
		}
	}
	for i := range int64(60) {
		say(time.Duration(i)*time.Second, 10*i, 90*i)
	}
	j.Restart(time.Minute, Config{MinRequests: 100, Baseline: Counts{10_800, 10}})
	for i := range int64(50) {
		at := time.Minute + time.Duration(i)*time.Second
		say(at, 600+100*i, 5_310+i/3)
		if f := j.Finding(at); f.Outcome == Pass {
			return
		}
	}
	t.Errorf("not decided after 50 s: %s", j.Finding(110*time.Second).Reason)
}

// TestCloseAfterRestart: an agent that begins to count anew where canary has all
// of the traffic does not keep the step waiting for stable.
func TestCloseAfterRestart(t *testing.T) {
	k := newCutter(report(0, "1", Counts{}, one(7, 0)).counts())
	k.hear(report(time.Second, "2", Counts{3, 0}, nil).counts())
	k.hear(report(4*time.Second, "2", Counts{60, 0}, nil).counts())
	if k.due(4*time.Second, 5*time.Second) {
		t.Error("due before a window's length has passed")
	}
	k.hear(report(6*time.Second, "2", Counts{90, 0}, nil).counts())
	if !k.due(6*time.Second, 5*time.Second) {
		t.Error("not due although stable is silent and canary is not")
	}
}

// TestHear follows counters through the accidents of a host's life.
func TestHear(t *testing.T) {
	type heard struct {
		r    Report
		want bool
	}
	cases := []struct {
		name  string
		heard []heard
		want  Table
	}{
		{"only what is new counts", []heard{
			{report(1, "1", Counts{0, 0}, one(100, 9)), true},
			{report(2, "1", Counts{10, 1}, one(150, 10)), true},
			{report(3, "1", Counts{10, 1}, one(150, 10)), true},
		}, Table{10, 1, 50, 1}},
		{"heard late, all since the beginning counts", []heard{
			{report(1, "1", Counts{10, 1}, one(100, 9)), true},
			{report(2, "1", Counts{12, 1}, one(110, 9)), true},
		}, Table{12, 1, 110, 9}},
		{"late report", []heard{
			{report(1, "1", Counts{}, nil), true},
			{report(3, "1", Counts{10, 1}, one(50, 1)), true},
			{report(2, "1", Counts{5, 0}, one(20, 0)), false},
			{report(4, "1", Counts{11, 1}, one(60, 1)), true},
		}, Table{11, 1, 60, 1}},
		{"agent restarted, then a report of its former life", []heard{
			{report(1, "1", Counts{}, nil), true},
			{report(2, "1", Counts{10, 1}, one(50, 1)), true},
			{report(3, "2", Counts{4, 0}, one(9, 0)), true},
			{report(4, "1", Counts{11, 1}, one(60, 1)), false},
			{report(5, "2", Counts{6, 0}, one(19, 0)), true},
		}, Table{6, 0, 19, 0}},
		{"instance goes and comes back from zero", []heard{
			{report(1, "1", Counts{}, one(50, 5)), true},
			{report(2, "1", Counts{5, 0}, one(60, 5)), true},
			{report(3, "1", Counts{6, 0}, nil), true},
			{report(4, "1", Counts{7, 0}, one(3, 1)), true},
		}, Table{7, 0, 13, 1}},
		{"instance goes and comes back where it was", []heard{
			{report(1, "1", Counts{}, one(50, 5)), true},
			{report(2, "1", Counts{5, 0}, nil), true},
			{report(3, "1", Counts{5, 0}, one(70, 5)), true},
		}, Table{5, 0, 20, 0}},
		{"error counted before its request", []heard{
			{report(1, "1", Counts{}, one(0, 0)), true},
			{report(2, "1", Counts{0, 1}, one(0, 0)), true},
		}, Table{1, 1, 0, 0}},
		{"counters fell and stay there", []heard{
			{report(1, "1", Counts{}, nil), true},
			{report(2, "1", Counts{100, 0}, one(900, 0)), true},
			{report(3, "1", Counts{1, 0}, one(9, 0)), false},
			{report(2+stuck, "1", Counts{50, 0}, one(300, 0)), false},
			{report(3+stuck, "1", Counts{60, 0}, one(350, 1)), true},
		}, Table{10, 0, 50, 1}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			k := newCutter(c.heard[0].r.counts())
			for i, h := range c.heard[1:] {
				if got := k.hear(h.r.counts()); got != h.want {
					t.Errorf("report %d: counted = %v, want %v", i+1, got, h.want)
				}
			}
			if d := cmp.Diff(c.want, table(k.cut(time.Hour))); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	many := make(map[string]Counts)
	for i := range mostInstances + 1 {
		many[string(rune('a'+i))] = Counts{}
	}
	j := NewJudge(Config{})
	for _, r := range []Report{
		{},
		report(1, "1", Counts{-1, 0}, nil),
		report(1, "1", Counts{1 << 60, 0}, nil),
		report(1, "1", Counts{}, one(0, -5)),
		report(1, "1", Counts{}, many),
	} {
		j.Observe(r)
	}
	if v := j.Finding(2); v.Refused != 5 || v.Hosts != 0 {
		t.Errorf("%+v", v)
	}
}

// TestBounded keeps a host's memory small whatever it says.
func TestBounded(t *testing.T) {
	j := NewJudge(Config{})
	for i := range 3000 {
		stable := make(map[string]Counts)
		for k := range 20 {
			stable[string(rune(i*20+k))] = Counts{int64(i), 0}
		}
		j.Observe(report(time.Duration(i)*time.Second, string(rune(i/3)), Counts{int64(i), 0}, stable))
	}
	k := j.hosts["h"].cut
	if len(k.stable) > 3*mostInstances || len(k.retired) > mostIncarnations || len(j.spread.recent) > 4*settle {
		t.Errorf("%d instances, %d incarnations, %d ticks", len(k.stable), len(k.retired), len(j.spread.recent))
	}
}
