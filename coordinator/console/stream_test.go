package console

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/serin-rollouts/serin/internal/api"
)

// A stream goes on behind the last event that the page has seen, wherever that was.
func TestStreamResumes(t *testing.T) {
	first, second := serve(t, Config{}), serve(t, Config{})
	for _, s := range []*site{first, second} {
		s.bus.emit(6)
	}
	l := first.listen("", nil)
	if got := l.events(6); got != "1 2 3 4 5 6" {
		t.Errorf("from the start: %s", got)
	}
	first.bus.emit(8)
	if got := l.events(2); got != "7 8" {
		t.Errorf("live: %s", got)
	}
	second.bus.emit(10)
	for name, head := range map[string]map[string]string{"after=8": nil, "recent=3": {"Last-Event-ID": "8"}} {
		if got := second.listen(name, head).events(2); got != "9 10" {
			t.Errorf("elsewhere, %s: %s", name, got)
		}
	}
	if got := second.listen("recent=3", nil).events(3); got != "8 9 10" {
		t.Errorf("the last three: %s", got)
	}
	if got := second.listen("rollout=shop-2&after=3", nil).events(3); got != "5 7 9" {
		t.Errorf("of one rollout: %s", got)
	}
	for _, query := range []string{"after=x", "after=-1", "recent=100000", "watch=nonsense", "watch=rollout/A.b", "rollout=*", "watch=hosts&watch=hosts&watch=hosts&watch=hosts&watch=hosts&watch=hosts&watch=hosts&watch=hosts&watch=hosts"} {
		if got, _, _ := first.ask(http.MethodGet, "/api/v1/stream?"+query, "", nil); got != 400 {
			t.Errorf("%s: %d", query, got)
		}
	}
}

// Streams end with the replica, and none begins after that.
func TestStreamEndsWithTheReplica(t *testing.T) {
	s := serve(t, Config{})
	s.bus.emit(1)
	l := s.listen("watch=services", nil)
	l.events(1)
	s.stop()
	if f, ok := l.next("event"); ok {
		t.Errorf("after the end: %+v", f)
	}
	if got, _, _ := s.ask(http.MethodGet, "/api/v1/stream", "", nil); got != 503 {
		t.Errorf("a stream of a replica that has ended: %d", got)
	}
}

// Views come when they change, for all pages by one question; while nobody leads
// the last one stands, and the page is told.
func TestViews(t *testing.T) {
	s := serve(t, Config{})
	const subject = "serin.v1.get.rollout.shop-2"
	s.bus.answer(subject, `{"ok":true,"data":1}`)
	a, b := s.listen("watch=rollout/shop-2", nil), s.listen("watch=rollout/shop-2&watch=hosts", nil)
	want := func(l *listening, text string) {
		t.Helper()
		for {
			f, ok := l.next("view")
			if !ok {
				t.Fatal("the stream has ended")
			}
			if strings.Contains(f.data, `"rollout/shop-2"`) && strings.Contains(f.data, text) {
				return
			}
		}
	}
	want(a, `"data":1`)
	want(b, `"data":1`)
	s.bus.answer(subject, `{"ok":true,"data":2}`)
	want(a, `"data":2`)
	want(b, `"data":2`)
	s.bus.lead(false)
	want(a, `"data":2},"trouble":"no leader answers just now"`)
	s.bus.lead(true)
	s.bus.answer(subject, `{"ok":true,"data":3}`)
	want(a, `"data":3}}`)
	a.close()
	b.close()
	// Nobody looks any more: nobody asks. The console's end waits for that.
	s.stop()
	asked := s.bus.questions(subject)
	if again := s.bus.questions(subject); asked < 3 || again != asked {
		t.Errorf("%d questions, then %d", asked, again)
	}
}

func TestReads(t *testing.T) {
	s := serve(t, Config{})
	s.bus.answer("serin.v1.get.explain.shop-2", `{"ok":true,"data":{"id":"shop-2","explanation":"so it is"}}`)
	s.bus.answer("serin.v1.get.host.web-01", `{"ok":true,"data":{}}`)
	s.bus.answer("serin.v1.get.diff.shop-1", `{"ok":false,"code":"unavailable","message":"x"}`)
	for path, want := range map[string]int{
		"rollouts/shop-2/explain": 200, "hosts/web-01": 200, "rollouts/shop-1/diff": 503, "rollouts/shop-9": 404,
		"rollouts/A.b": 404, "services/shop/nothing": 405, "rollouts/shop-2/curve": 200,
	} {
		if got, _, said := s.ask(http.MethodGet, "/api/v1/"+path, "", nil); got != want {
			t.Errorf("%s: %d %s, want %d", path, got, said, want)
		}
	}
}

// A rollout's curve is sampled while it runs, and sent as it grows.
func TestCurve(t *testing.T) {
	s := serve(t, Config{})
	status := func(requests int) string {
		return fmt.Sprintf(`{"ok":true,"data":[{"service":"shop","running":true,"rollout":{"id":"shop-2","service":"shop","phase":"Progressing",`+
			`"step":1,"steps":2,"weight":1000,"reached":1,"verdict":{"outcome":"wait","canary":{"requests":%d,"errors":2},"stable":{"requests":1000,"errors":1},`+
			`"gates":[{"name":"errors","kind":"errors","canary":{"requests":%d,"errors":2},"stable":{"requests":1000,"errors":1},"allowed_bp":100},`+
			`{"name":"latency-p99","kind":"latency","quantile_bp":9900,"threshold_us":120000,"canary":{"requests":5},"stable":{"requests":5},"allowed_bp":2000}]},`+
			`"latency":{"canary":{"p99_us":110000,"p99_low_us":90000,"p99_high_us":130000,"requests":100},"stable":{"p99_us":100000,"requests":900}}}}]}`, requests, requests)
	}
	s.bus.answer("serin.v1.get.services", status(100))
	s.bus.run("shop-2")
	l := s.listen("curve=shop-2", nil)
	type part struct {
		Reset  bool    `json:"reset"`
		Points []Point `json:"points"`
	}
	var points []Point
	for len(points) < 2 {
		f, ok := l.next("curve")
		if !ok {
			t.Fatal("the stream has ended")
		}
		p := decode[part](t, f.data)
		if p.Reset {
			points = nil
		}
		points = append(points, p.Points...)
	}
	lines := map[string]Line{}
	for _, x := range points[0].Lines {
		lines[x.Name] = x
	}
	e := lines[api.KindErrors]
	if e.Canary.Value == nil || *e.Canary.Value != .02 || e.Limit == nil || *e.Limit < .0109 || *e.Limit > .0111 || *e.Canary.Low >= .02 || *e.Canary.High <= .02 {
		t.Errorf("errors: %+v", e)
	}
	slow := lines["p99"]
	if slow.Limit == nil || *slow.Limit != 120000 || *slow.Canary.High != 130000 || slow.Stable.Low != nil {
		t.Errorf("p99: %+v", slow)
	}
	if _, is := lines["p50"]; !is || len(lines) != 3 {
		t.Errorf("%v", lines)
	}
}

// The overview gets the error rates of all rollouts that run, as they grow.
func TestSparks(t *testing.T) {
	s := serve(t, Config{})
	s.bus.answer("serin.v1.get.services", `{"ok":true,"data":[{"service":"shop","running":true,"rollout":{"id":"shop-2","service":"shop","phase":"Progressing",`+
		`"step":1,"steps":2,"weight":1000,"reached":1,"verdict":{"outcome":"wait","canary":{"requests":50,"errors":2},"stable":{"requests":0,"errors":0}}}}]}`)
	s.bus.run("shop-2")
	l := s.listen("sparks=1", nil)
	for {
		f, ok := l.next("sparks")
		if !ok {
			t.Fatal("the stream has ended")
		}
		got := decode[struct {
			Rollouts map[string][][2]*float64 `json:"rollouts"`
		}](t, f.data).Rollouts["shop-2"]
		if len(got) < 2 {
			continue
		}
		if last := got[len(got)-1]; last[0] == nil || *last[0] != .04 || last[1] != nil {
			t.Errorf("canary has 4 %% errors, stable no requests: %s", f.data)
		}
		return
	}
}

func TestSeriesStaysSmall(t *testing.T) {
	s := &series{every: 1}
	for at := range int64(10 * mostPoints) {
		s.add(Point{At: at + 1})
	}
	if len(s.points) >= mostPoints || len(s.points) < mostPoints/4 || s.thinned == 0 {
		t.Errorf("%d points, thinned %d times", len(s.points), s.thinned)
	}
	for k := 1; k < len(s.points); k++ {
		if s.points[k].At <= s.points[k-1].At {
			t.Fatalf("out of order at %d", k)
		}
	}
	if last := s.points[len(s.points)-1].At; last < 10*mostPoints-int64(s.every) {
		t.Errorf("it ends at %d", last)
	}
}
