package analysis

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Against any odds ratio that hosts may have by nature, a window's evidence has an expectation of at
// most 1 over all tables with its margins, whatever it is tempered by.
func TestAboveNullIsEvidence(t *testing.T) {
	g := newGrid()
	rapid.Check(t, func(t *rapid.T) {
		nc, ns := rapid.Int64Range(1, 40).Draw(t, "canary"), rapid.Int64Range(1, 80).Draw(t, "stable")
		bad := rapid.Int64Range(1, nc+ns-1).Draw(t, "bad")
		null := rapid.SampledFrom([]float64{1, 1.3, 2.5, mostUnlike}).Draw(t, "null")
		phi := rapid.SampledFrom([]float64{1, 1.7, 12}).Draw(t, "phi")
		var weights, total vector
		low, high := max(0, bad-ns), min(nc, bad)
		for x := low; x <= high; x++ {
			law := newConditional(Table{CanaryN: nc, CanaryX: x, StableN: ns, StableX: bad - x})
			lr := law.ratios(&g)
			v := g.aboveNull(law, &lr, null, phi)
			w := math.Exp(law.logWays(float64(x)) + float64(x)*math.Log(null))
			for k := unity + 1; k < points; k++ {
				weights[k] += w
				total[k] += w * math.Exp(v[k])
			}
		}
		for k := unity + 1; k < points; k++ {
			if mean := total[k] / weights[k]; mean > 1+1e-9 {
				t.Fatalf("odds ratio %g against %g: expectation %g", g.psi[k], null, mean)
			}
		}
	})
}

// What the past says lies in its bounds, and more of it, or less clustering, says more.
func TestUnlikenessFollowsThePast(t *testing.T) {
	count := func(t *rapid.T, name string) Counts {
		n := rapid.Int64Range(0, 100_000).Draw(t, name)
		return Counts{n, rapid.Int64Range(0, n).Draw(t, name+"'s errors")}
	}
	rapid.Check(t, func(t *rapid.T) {
		past := Sides{count(t, "canary"), count(t, "stable")}
		phi, level := rapid.Float64Range(1, 50).Draw(t, "phi"), rapid.Float64Range(1e-6, .01).Draw(t, "level")
		u := unlikeness(past, phi, level)
		if u.most < 1 || u.most > mostUnlike || u.about < 1./mostUnlike || u.about > u.most {
			t.Fatalf("%+v says %+v", past, u)
		}
		if past.Canary.Requests == 0 || past.Stable.Requests == 0 {
			if u != (unlike{mostUnlike, 1}) {
				t.Fatalf("no past says %+v", u)
			}
			return
		}
		if more := unlikeness(past, 2*phi, level); more.most < u.most {
			t.Fatalf("twice the clustering lowers the most from %g to %g", u.most, more.most)
		}
		if surer := unlikeness(past, phi, level/10); surer.most < u.most {
			t.Fatalf("a smaller level lowers the most from %g to %g", u.most, surer.most)
		}
	})
}

// The most is below what hosts truly are as often as its level says, or less.
func TestUnlikenessHoldsItsLevel(t *testing.T) {
	const runs, level = 4000, .01
	random := rand.New(rand.NewPCG(1, 1))
	draw := func(n int64, p float64) Counts {
		c := Counts{Requests: n}
		for range n {
			if random.Float64() < p {
				c.Errors++
			}
		}
		return c
	}
	for _, p := range []float64{.01, .05} {
		const ratio = 2.0
		low := 0
		for range runs {
			past := Sides{draw(600, shifted(p, ratio)), draw(2400, p)}
			if unlikeness(past, 1, level).most < ratio {
				low++
			}
		}
		if low > 60 { // 1 % of the runs, and three standard errors
			t.Errorf("at %g: too low in %d of %d runs", p, low, runs)
		}
	}
}

func TestShifted(t *testing.T) {
	for _, c := range []struct{ p, odds, want float64 }{{.5, 1, .5}, {.5, 3, .75}, {0, 10, 0}, {.2, 4, .5}, {1, .5, 1}} {
		if got := shifted(c.p, c.odds); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%g at %g times its odds is %g, want %g", c.p, c.odds, got, c.want)
		}
	}
}

// However many pasts are read in a rollout, and however they come, the levels they are read at come to
// the part of alpha that is theirs; one that is told again is read at the same level.
func TestPastsShareTheirPart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := NewJudge(Config{Past: rapid.IntRange(0, 10_000).Draw(t, "past")})
		level, spent := map[Sides]float64{}, 0.0
		var last Sides
		for at := range rapid.IntRange(1, 60).Draw(t, "reports") {
			past := Sides{Canary: Counts{Requests: rapid.Int64Range(1, 5).Draw(t, "requests")}}
			j.Observe(Report{Host: "fleet", At: time.Duration(at) * time.Second, Before: map[string]Sides{"": past}})
			l := j.config.levelOfPast(j.hosts["fleet"].pasts)
			if at > 0 && past == last {
				if l != level[past] {
					t.Fatalf("the same past is read at %g, and then at %g", level[past], l)
				}
				continue
			}
			level[past], last = l, past
			spent += l
		}
		if whole := float64(j.config.Past) / 1e6; spent > whole*(1+1e-9) {
			t.Fatalf("%g is spent of %g", spent, whole)
		}
	})
}

// Hosts that differ by nature are no regression if their past shows it, and no longer decide if there
// is none; what fails far more does.
func TestGroupsAreHeldAgainstTheirPast(t *testing.T) {
	play := func(before map[string]Sides, rate float64) Finding {
		j := NewJudge(Config{MaxIncrease: NoIncrease, Past: 100})
		random := rand.New(rand.NewPCG(5, 1))
		var canary, stable Counts
		var f Finding
		for at := range 200 {
			for range 100 {
				canary.Requests++
				if random.Float64() < rate {
					canary.Errors++
				}
			}
			for range 400 {
				stable.Requests++
				if random.Float64() < .01 {
					stable.Errors++
				}
			}
			r := Report{
				Host: "fleet", At: time.Duration(at) * 5 * time.Second, CanaryInstances: 5, Pooled: true,
				Canary: canary, Stable: map[string]Counts{"a": stable}, Before: before,
			}
			j.Observe(r)
			if f = j.Finding(r.At); f.Outcome == Fail {
				return f
			}
		}
		return f
	}
	past := map[string]Sides{"": {Canary: Counts{10_000, 300}, Stable: Counts{40_000, 400}}}
	for name, c := range map[string]struct {
		before map[string]Sides
		rate   float64
		fails  bool
		said   string
	}{
		"as if alike":            {nil, .03, true, "allowed"},
		"no past":                {map[string]Sides{}, .03, false, "no past of theirs is known, canary's odds may be 10.00 times stable's"},
		"as in the past":         {past, .03, false, "by their past of 50000 requests, canary's odds may be"},
		"worse than in the past": {past, .12, true, "by their past of 50000 requests, canary's odds may be"},
		"no past, far worse":     {map[string]Sides{}, .5, true, "10.00 times"},
	} {
		t.Run(name, func(t *testing.T) {
			f := play(c.before, c.rate)
			if (f.Outcome == Fail) != c.fails || !strings.Contains(f.Reason, c.said) {
				t.Errorf("%s: %s", f.Outcome, f.Reason)
			}
			if total := c.before[""].Canary.Requests + c.before[""].Stable.Requests; f.Past != total || (f.Unlike > 0) != (c.before != nil) {
				t.Errorf("by a past of %d requests hosts may differ by %d thousandths", f.Past, f.Unlike)
			}
		})
	}
}
