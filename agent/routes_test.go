package agent

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/latency"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// TestRouteClasses: the longest route that a path begins with is its class.
func TestRouteClasses(t *testing.T) {
	w := newStopwatch()
	if !w.classify([]string{"/api/", "/", "/api/v1/", "/static"}) || w.classify([]string{"/static", "/api/v1/", "/", "/api/"}) {
		t.Error("classes change by their order")
	}
	for path, want := range map[string]string{
		"/": "/", "/api": "/", "/api/": "/api/", "/api/v1": "/api/", "/api/v1/x": "/api/v1/", "/statics": "/static", "": "", "*": "",
	} {
		if got := w.class([]byte(path)); got != want {
			t.Errorf("%q is in %q, want %q", path, got, want)
		}
	}
}

// TestLinesGoWithTheirRoute: each class has its lines, the instance its
// requests; with other routes begins another interval.
func TestLinesGoWithTheirRoute(t *testing.T) {
	c := newClocked()
	ask := func(path string, micros int64) {
		r := answered("a1", micros)
		r.Path = []byte(path)
		c.line(r)
	}
	ask("/api/x", 1000)
	c.begin("shop-1", []string{"/api/"})
	c.look() // of these it is not known in which class they were
	ask("/api/x", 1000)
	ask("/api/x", 1000)
	ask("/", 5000)
	c.look()
	ask("/", 5000)
	c.look()
	name := nameOf("a1", "a1r1")
	group := c.latency(name)
	slices.SortFunc(group, func(x, y analysis.Latency) int { return strings.Compare(x.Route, y.Route) })
	if len(group) != 2 || group[0].Requests != 4 || group[0].Lines != 2 || group[1].Requests != 0 || group[1].Lines != 2 ||
		group[0].Instance != name || group[1].Instance != name || group[1].Route != "/api/" {
		t.Fatalf("%+v", group)
	}
	c.begin("shop-1", nil) // on the way back
	ask("/api/x", 1000)
	c.look()
	if l := c.latency(name); len(l) != 2 || timesOf(t, l).lines != 5 {
		t.Errorf("after the gates: %+v", l)
	}
	for i, want := range []int64{5000, 1000} {
		if p50, _ := timesOf(t, group[i:i+1]).sketch.Quantile(0.5); p50 < want*99/100 || p50 > want*101/100 {
			t.Errorf("median of %q: %d, want %d", group[i].Route, p50, want)
		}
	}
	if all := c.together("r1"); len(all) != 2 || timesOf(t, all).lines != 5 || !all[0].Canary || all[0].Instance != "" {
		t.Errorf("together: %+v", all)
	}
}

// TestManyInstancesFit: 8 stable instances and canary's in 4 classes and none,
// as widely spread as can be, are told within a few reports, and each instance
// as a whole.
func TestManyInstancesFit(t *testing.T) {
	a := &agent{services: map[string]*service{}, began: time.Now(), leash: newLeash(startOfTime, time.Minute), log: zerolog.Nop(), started: "once"}
	a.cfg.Host = host
	s := newService(a, shop)
	a.services[shop] = s
	s.post.Assigned = rollout.Assignment{
		Service: shop, Rollout: "shop-1", Epoch: 1, Stable: &rollout.Revision{ID: "r1"}, Canary: &rollout.Revision{ID: "r2"},
		Telemetry: &rollout.Telemetry{Routes: []string{"/a", "/b", "/c", "/d"}},
	}
	s.meter.begin("shop-1", routesOf(s.post.Assigned))
	for i := range 9 {
		into := s.meter.add("a"+strconv.Itoa(i), owner{revision: []string{"r1", "r2"}[i/8], id: "c"}, analysis.Counts{Requests: 20_000})
		for _, route := range []string{"", "/a", "/b", "/c", "/d"} {
			one := timings{route: {lines: 4000, times: latency.New()}}
			for k := range 4000 {
				one[route].times.Add(int64(latency.Least + 7*k*k))
			}
			into.add(one)
		}
	}
	told, largest := map[string]int{}, 0
	for report := 1; len(told) < 9; report++ {
		h := a.health()
		data, err := wire.EncodeHealth(h)
		if err != nil {
			t.Fatal(err)
		}
		if largest = max(largest, len(data)); len(data) > tellRoom+(8<<10) || report > 3 {
			t.Fatalf("report %d has %d bytes, %d instances told", report, len(data), len(told))
		}
		for _, l := range h.Services[0].Latencies {
			told[l.Instance]++
		}
	}
	for name, n := range told {
		if n != 5 {
			t.Errorf("%d classes of %q are told", n, name)
		}
	}
	t.Logf("the largest report has %d bytes", largest)
}
