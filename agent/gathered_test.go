package agent

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// page is what programs say in Prometheus' text format.
const metricsPage = `# HELP http_requests_total Requests.
# TYPE http_requests_total counter
http_requests_total{code="200",path="/a b"} 90
http_requests_total{code="500",path="/a b"} 4 1712345678000
http_requests_total{code="500",path="/\"{"} 2
# TYPE took histogram
took_bucket{le="0.1"} 7
took_bucket{le="+Inf"} 9
took_sum 1.5
took_count 9
# TYPE size summary
size{quantile="0.5"} 3
size_sum 40
size_count 10
queue_depth 17
queue_depth_max 40
odd NaN
high +Inf
below -3
half 2.9
`

func series(t *testing.T, text string) rollout.Series {
	t.Helper()
	s, err := rollout.ParseSeries(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCountersOfAPage(t *testing.T) {
	for text, want := range map[string]string{
		"http_requests_total":                         "96",
		`http_requests_total{code="500"}`:             "6",
		`http_requests_total{code="500",path="/\"{"}`: "2",
		`http_requests_total{code="502"}`:             "0", // none so far
		"took_count":                                  "9",
		`took_bucket{le="0.1"}`:                       "7",
		"size_sum":                                    "40",
		`size{quantile="0.5"}`:                        "3",
		"half":                                        "2",
		"http_requests":                               "there is no http_requests",
		"took":                                        "there is no took",
		"odd":                                         "odd is NaN, which is no count",
		"high":                                        "high is +Inf, which is no count",
		"below":                                       "below is -3, which is no count",
	} {
		selector := series(t, text)
		found, err := readPage([]byte(strings.ReplaceAll(metricsPage, "half", "\t half")), map[string]bool{selector.Name: true})
		if err != nil {
			t.Fatal(err)
		}
		n, err := found.total(selector)
		got := strconv.FormatInt(n, 10)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestReadingsOfAPage(t *testing.T) {
	for text, want := range map[string]float64{
		"queue_depth": 17, "below": -3, "took_sum": 1.5, "odd": math.NaN(), "high": math.NaN(), "none": math.NaN(),
		`http_requests_total{code="502"}`: math.NaN(),
	} {
		s := series(t, text)
		found, err := readPage([]byte(metricsPage), map[string]bool{s.Name: true})
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := found.value(s); ok == math.IsNaN(want) || ok && got != want {
			t.Errorf("%s: %v, %v; want %v", text, got, ok, want)
		}
	}
}

// TestHostilePages: they are refused, or read for what they are; nothing but
// the lines that are asked for costs anything.
func TestHostilePages(t *testing.T) {
	wanted := map[string]bool{"x": true}
	for name, c := range map[string]struct{ page, want string }{
		"too many lines":     {strings.Repeat("x 1\n", mostSeries+1), errSeries.Error()},
		"no number":          {"x y\n", "text format parsing error"},
		"a label that never": {"x{a=\"", "text format parsing error"},
		"not asked for":      {strings.Repeat("y{ 1\n", 10*mostSeries) + "x 1", ""},
		"nothing":            {"", ""},
		"zeros":              {strings.Repeat("\x00", 1000), ""},
		"no newline, CR":     {"x 1\r\nx{a=\"b\"} 2", ""},
	} {
		_, err := readPage([]byte(c.page), wanted)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func FuzzReadPage(f *testing.F) {
	f.Add([]byte(metricsPage))
	f.Add([]byte("took{a=\"\xff\"} 1e999\n"))
	f.Fuzz(func(t *testing.T, page []byte) {
		found, err := readPage(page, map[string]bool{"took": true, "x": true})
		if err != nil {
			return
		}
		if n, err := found.total(rollout.Series{Name: "took"}); err == nil && (n < 0 || n > mostEvents) {
			t.Errorf("counts %d", n)
		}
		if v, ok := found.value(rollout.Series{Name: "x"}); ok && !(math.Abs(v) <= mostValue) {
			t.Errorf("reads %v", v)
		}
	})
}

// TestAnswersCountOnce: whatever a container's counters do, what is counted of
// them never falls, and never exceeds what they counted.
func TestAnswersCountOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a answer
		var bad, all, trueBad, trueAll int64
		before := a.counts
		t.Repeat(map[string]func(*rapid.T){
			"events": func(t *rapid.T) {
				n := rapid.Int64Range(0, 100).Draw(t, "n")
				k := rapid.Int64Range(0, n).Draw(t, "bad")
				bad, all, trueBad, trueAll = bad+k, all+n, trueBad+k, trueAll+n
			},
			"read":    func(*rapid.T) { a.read(bad, all) },
			"restart": func(*rapid.T) { bad, all = 0, 0 },
			"lie":     func(t *rapid.T) { a.read(rapid.Int64Range(0, 5).Draw(t, "bad"), 0) },
			"": func(t *rapid.T) {
				if a.counts.Requests < before.Requests || a.counts.Errors < before.Errors {
					t.Fatalf("fell from %+v to %+v", before, a.counts)
				}
				before = a.counts
			},
		})
	})
	var a answer
	for _, read := range [][2]int64{{5, 100}, {6, 110}, {0, 0}, {1, 20}, {0, 30}, {2, 40}} {
		a.read(read[0], read[1])
	}
	if want := (analysis.Counts{Requests: 10 + 20 + 10, Errors: 1 + 1 + 2}); a.counts != want {
		t.Errorf("%+v, want %+v", a.counts, want)
	}
	for range 5 { // a container that counts to the end, again and again
		a.read(0, 0)
		a.read(mostEvents, mostEvents)
	}
	if want := (analysis.Counts{Requests: mostEvents, Errors: mostEvents}); a.counts != want {
		t.Errorf("%+v, want %+v", a.counts, want)
	}
}

// TestNewsOfGates: who is silent is not there; canary's silence silences the
// gate.
func TestNewsOfGates(t *testing.T) {
	start := time.Now()
	var g gathered
	g.begin("shop-1")
	say := func(name string, canary bool, at time.Duration, n int64, depth float64) {
		a := g.of("gate", 10*time.Second, target{name: name, canary: canary})
		a.at = start.Add(at)
		a.read(0, n)
		a.values = map[string]float64{"depth": depth}
	}
	told := func(at time.Duration) wire.ServiceHealth {
		var h wire.ServiceHealth
		g.news(start.Add(at), &h)
		return h
	}
	if h := told(0); h.Signals != nil || h.Readings != nil || h.Usage != nil {
		t.Errorf("nobody said anything: %+v", h)
	}
	for _, n := range []int64{100, 130} {
		say("a1", false, 0, n, 4)
		say("a2", false, 8*time.Second, n+1, 6)
		say("b1", true, 8*time.Second, n, -1)
	}
	count := analysis.Counts{Requests: 30}
	want := wire.ServiceHealth{
		Signals: map[string]analysis.Signal{"gate": {Canary: count, Stable: map[string]analysis.Counts{"a1": count, "a2": count}}},
		Readings: []wire.Reading{{
			Gate: "gate", Variable: "depth", Canary: wire.Spread{Containers: 1, Sum: -1, Min: -1, Max: -1},
			Stable: wire.Spread{Containers: 2, Sum: 10, Min: 4, Max: 6},
		}},
	}
	if diff := cmp.Diff(want, told(8*time.Second)); diff != "" {
		t.Error(diff)
	}
	delete(want.Signals["gate"].Stable, "a1")
	want.Readings[0].Stable = wire.Spread{Containers: 1, Sum: 6, Min: 6, Max: 6}
	if diff := cmp.Diff(want, told(12*time.Second)); diff != "" {
		t.Errorf("a1 is silent: %s", diff)
	}
	say("a1", false, 20*time.Second, 140, 4)
	if h := told(20 * time.Second); h.Signals != nil {
		t.Errorf("canary is silent: %+v", h.Signals)
	}
	say("b1", true, 20*time.Second, 150, 0)
	if h := told(20 * time.Second); h.Signals["gate"].Canary.Requests != 50 || h.Signals["gate"].Stable["a1"].Requests != 40 {
		t.Errorf("it holds on after silence: %+v", h.Signals)
	}
	g.begin("shop-2")
	if h := told(20 * time.Second); h.Signals != nil {
		t.Errorf("another rollout: %+v", h.Signals)
	}
}

func TestUsageTellsOfTheDead(t *testing.T) {
	start := time.Now()
	var g gathered
	g.begin("shop-1")
	g.loads["b1-x"] = weighed{at: start, usage: analysis.Usage{Canary: true, Instance: "b1-x", Memory: 5}}
	g.died("b1-x", true, true)
	g.died("b1-x", true, false)
	for at, memory := range map[time.Duration]int64{time.Second: 5, time.Minute: 0} {
		want := []analysis.Usage{{Canary: true, Instance: "b1-x", Memory: memory, Restarts: 2, OOMs: 1}}
		if diff := cmp.Diff(want, g.usage(start.Add(at))); diff != "" {
			t.Errorf("after %s: %s", at, diff)
		}
	}
	for i := range 100 {
		g.died("z"+strconv.Itoa(i), false, false)
	}
	if n := len(g.fates); n != mostInstances {
		t.Errorf("%d instances are remembered", n)
	}
}
