package agent

import (
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

// program is the application: it tells its version, is slow on request, and
// counts what it was asked; version 2 calls half of it bad, and is not well.
const program = `package main

import (
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

func main() {
	var asked atomic.Int64
	http.HandleFunc("/metrics", func(w http.ResponseWriter, r *http.Request) {
		n, bad := asked.Load(), int64(0)
		if os.Getenv("VERSION") == "2" {
			bad = n / 2
		}
		fmt.Fprintf(w, "# TYPE orders_total counter\norders_total{result=\"good\"} %d\norders_total{result=\"bad\"} %d\n", n-bad, bad)
		fmt.Fprintf(w, "# TYPE queue_depth gauge\nqueue_depth %s\n", os.Getenv("VERSION"))
	})
	http.HandleFunc("/deep", func(w http.ResponseWriter, r *http.Request) {
		if os.Getenv("VERSION") == "2" {
			w.WriteHeader(503)
		}
	})
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path == "/slow" {
			time.Sleep(300 * time.Millisecond)
		}
		if d, err := time.ParseDuration(os.Getenv("DELAY")); err == nil {
			time.Sleep(d)
		}
		fmt.Fprint(w, os.Getenv("VERSION"))
	})
	if err := http.ListenAndServe(":8080", nil); err != nil {
		os.Exit(1)
	}
}
`

// TestLiveTelemetry: what a real Docker, HAProxy and program tell the gates,
// while users are served.
func TestLiveTelemetry(t *testing.T) {
	v := newLive(t)
	r1, r2 := v.revision("1"), v.revision("2")
	for _, r := range []*rollout.Revision{r1, r2} {
		r.Container.Memory, r.Container.CPUMilli = 256<<20, 500
	}
	v.start()
	v.assign(v.want(5, r1, nil, 0))
	v.settles(5)
	a := v.want(6, r1, r2, 5000)
	a.Telemetry = &rollout.Telemetry{
		Routes: []string{"/api/", "/api/v1/"},
		Metrics: []rollout.Scrape{{
			Gate: "orders", Path: "/metrics", Bad: `orders_total{result="bad"}`, Total: "orders_total",
			Read: map[string]string{"depth": "queue_depth"}, Every: time.Second,
		}},
		Checks: []rollout.Probe{{Gate: "deep", Path: "/deep", Every: time.Second, Timeout: 10 * time.Second}},
	}
	v.assign(a)
	v.settles(6)
	l := v.startLoad("/api/v1/x?y=1", "/api/x", "/", "/")
	s := v.until("everything", patience, func(s wire.ServiceHealth) bool {
		orders, deep := s.Signals["orders"], s.Signals["deep"]
		lines := map[string]int64{}
		for _, x := range s.Latencies {
			lines[x.Route] += x.Lines
		}
		return orders.Canary.Requests > 100 && len(orders.Stable) == 2 && deep.Canary.Requests > 4 && len(deep.Stable) == 2 &&
			lines[""] > 100 && lines["/api/"] > 50 && lines["/api/v1/"] > 50 && read(s) && used(s)
	})
	l.stop()
	if n := l.failed.Load(); n > 0 {
		t.Errorf("I6: %d of %d requests failed: %v", n, l.sent.Load(), l.firstFailure())
	}
	orders, deep := s.Signals["orders"], s.Signals["deep"]
	if n := orders.Canary; n.Errors < n.Requests*4/10 || n.Errors > n.Requests*6/10 {
		t.Errorf("orders of canary: %+v", n)
	}
	if n := deep.Canary; n.Errors != n.Requests {
		t.Errorf("checks of canary: %+v", n)
	}
	for name := range s.StableCounts {
		if orders.Stable[name].Errors != 0 || deep.Stable[name].Errors != 0 {
			t.Errorf("%s: orders %+v, checks %+v", name, orders.Stable[name], deep.Stable[name])
		}
	}
	for _, u := range s.Usage {
		if u.Memory > 256<<20 || u.Limit != 256<<20 || u.Restarts != 0 {
			t.Errorf("usage: %+v", u)
		}
	}
	canary, stable := tracks(t, s)
	if !covered(canary, 50) || !covered(stable, 50) {
		t.Errorf("the log told of %d of %d, and %d of %d", canary.lines, canary.requests, stable.lines, stable.requests)
	}
	t.Logf("%d requests; %+v; %+v", l.sent.Load(), orders.Canary, s.Usage)
}

// read tells whether the pages of all containers were read: on a busy machine one
// may be left out for a while.
func read(s wire.ServiceHealth) bool {
	return len(s.Readings) == 1 && s.Readings[0].Canary.Sum == 4 && s.Readings[0].Stable.Sum == 2
}

// used tells whether Docker says of all containers that they have run.
func used(s wire.ServiceHealth) bool {
	for _, u := range s.Usage {
		if u.Memory < 100<<10 || u.Periods == 0 {
			return false
		}
	}
	return len(s.Usage) == 4
}
