package localfleet

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
)

// SelfCheckPath is where the demo app says whether it is well, which is more
// than that it is ready.
const SelfCheckPath = "/selfcheck"

// Ills are what may be wrong with a version that answers its users as well as
// any other. It shows in what the version says of itself alone.
type Ills struct {
	FailedPercent float64 // of its orders, one of which comes with each request
	Queue         int     // how many orders wait more than in other versions
	Lag           int     // by how many seconds its orders' payments are late
	Unwell        bool    // its self-check fails
}

// Private

// usualQueue is how many orders always wait.
const usualQueue = 3

// orders counts what came with the requests.
type orders struct{ done, failed atomic.Int64 }

// order deals with the order that came with a request of that number.
func (i Ills) order(number uint64, o *orders) {
	const stream = 0x0bde
	if rand.New(rand.NewPCG(number, stream)).Float64()*100 < i.FailedPercent {
		o.failed.Add(1)
		return
	}
	o.done.Add(1)
}

// tell adds the pages on which a version speaks of itself: its metrics in
// Prometheus' text format, and its self-check.
func (i Ills) tell(mux *http.ServeMux, o *orders) {
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = fmt.Fprintf(w, `# TYPE demo_orders_total counter
demo_orders_total{result="done"} %d
demo_orders_total{result="failed"} %d
# TYPE demo_queue_depth gauge
demo_queue_depth %d
# TYPE demo_payment_lag_seconds gauge
demo_payment_lag_seconds %d
`, o.done.Load(), o.failed.Load(), usualQueue+i.Queue, i.Lag)
	})
	mux.HandleFunc("GET "+SelfCheckPath, func(w http.ResponseWriter, _ *http.Request) {
		if i.Unwell {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, "unwell\n")
		}
	})
}
