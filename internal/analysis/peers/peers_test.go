package peers

import (
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
)

func TestPublished(t *testing.T) {
	for _, v := range Published() {
		if !v.Agrees() {
			t.Errorf("%s: %s is %.9g, published %.9g", v.Source, v.Quantity, v.Ours, v.Published)
		}
	}
}

// TestFires plays fixed traffic to every peer of rates, and counts the looks until it fires.
func TestFires(t *testing.T) {
	type peer interface {
		Observe(at time.Duration, hosts []analysis.Table)
		Fires(alpha float64) bool
	}
	all := []string{"z", "flagger", "argo", "kayenta", "msprt", "multinomial", "blocks"}
	fresh := func(name string) peer {
		return map[string]peer{
			"z": new(Z), "flagger": new(Flagger), "argo": new(Argo), "kayenta": new(Kayenta),
			"msprt": new(MSPRT), "multinomial": NewMultinomial(.5), "blocks": new(Blocks),
		}[name]
	}
	const never = 0
	cases := map[string]struct {
		look analysis.Table // what each of two hosts serves in 5 s
		want map[string]int // looks until it fires; 0 if not named
	}{
		"no errors":                     {analysis.Table{CanaryN: 100, StableN: 100}, nil},
		"the same rate of 3 percent":    {analysis.Table{CanaryN: 100, CanaryX: 3, StableN: 100, StableX: 3}, map[string]int{"flagger": 5 * 12}},
		"the same rate of 10 percent":   {analysis.Table{CanaryN: 100, CanaryX: 10, StableN: 100, StableX: 10}, map[string]int{"flagger": 5 * 12, "argo": 4 * 12}},
		"better, and stable is bad":     {analysis.Table{CanaryN: 100, StableN: 100, StableX: 10}, nil},
		"two more in every hundred":     {analysis.Table{CanaryN: 100, CanaryX: 3, StableN: 100, StableX: 1}, map[string]int{"z": 3, "flagger": 60, "kayenta": 60, "msprt": 7, "multinomial": 7, "blocks": 6}},
		"everything, where it was none": {analysis.Table{CanaryN: 5, CanaryX: 5, StableN: 5}, map[string]int{"z": 1, "flagger": 60, "argo": 48, "kayenta": 60, "multinomial": 1, "blocks": 2}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			for _, who := range all {
				p, fired := fresh(who), never
				for look := 1; look <= 120 && fired == never; look++ {
					p.Observe(time.Duration(look)*5*time.Second, []analysis.Table{c.look, c.look})
					if p.Fires(.01) {
						fired = look
					}
				}
				if fired != c.want[who] {
					t.Errorf("%s fires at look %d, want %d", who, fired, c.want[who])
				}
			}
		})
	}
}

func TestHigh(t *testing.T) {
	five := []float64{1, 2, 3, 4, 5}
	for name, c := range map[string]struct {
		canary, stable []float64
		want           bool
	}{
		"far above":               {[]float64{11, 12, 13, 14, 15}, five, true},
		"far below":               {five, []float64{11, 12, 13, 14, 15}, false},
		"identical":               {five, five, false},
		"constant":                {[]float64{0, 0, 0, 0, 0}, []float64{0, 0, 0, 0, 0}, false},
		"one of five is far off":  {[]float64{1, 2, 3, 4, 500}, five, false},
		"constant above constant": {[]float64{1, 1, 1, 1, 1}, []float64{0, 0, 0, 0, 0}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := High(c.canary, c.stable); got != c.want {
				t.Errorf("high: %t", got)
			}
		})
	}
}

func TestBands(t *testing.T) {
	times := func(from, to float64) []float64 {
		var ms []float64
		for i := range 200 {
			ms = append(ms, from+(to-from)*float64(i)/200)
		}
		return ms
	}
	play := func(canary []float64) int {
		b := NewBands(.01, .05)
		for look := 1; look <= 20; look++ {
			b.Observe(canary, times(100, 200))
			if b.Fires(.01) {
				if !b.Fires(.05) {
					t.Error("fires at 1 %, not at 5 %")
				}
				return look
			}
		}
		return 0
	}
	if same, faster, slower := play(times(100, 200)), play(times(50, 150)), play(times(150, 250)); same != 0 || faster != 0 || slower == 0 {
		t.Errorf("fires at look %d for the same times, %d for faster, %d for slower", same, faster, slower)
	}
}
