package fleettest

import (
	"fmt"
	"time"

	"github.com/serin-rollouts/serin/agent/haproxy/haproxytest"
)

// Traffic is what users have sent, and what they got.
type Traffic struct {
	Requests   int
	Canary     int // answered by a canary
	Errors     int // answered 500 by the program
	Unanswered int // answered 503 by HAProxy: the deed of serin
}

// Traffic sums up all hosts. What was sent before a host's first answer does
// not count: there was no service yet.
func (f *Fleet) Traffic() Traffic {
	var sum Traffic
	for _, h := range f.hosts {
		h.mu.Lock()
		sum = sum.plus(h.served)
		h.mu.Unlock()
	}
	return sum
}

// Send sends n requests to one host at this moment.
func (f *Fleet) Send(host, n int) Traffic {
	got := f.hosts[host].serve(n)
	lost := n - got.Stable - got.Canary
	return Traffic{Requests: n, Canary: got.Canary, Errors: max(0, got.Failed-lost), Unanswered: lost}
}

// Private

func (t Traffic) plus(x Traffic) Traffic {
	return Traffic{t.Requests + x.Requests, t.Canary + x.Canary, t.Errors + x.Errors, t.Unanswered + x.Unanswered}
}

// users send requests to every host, as many as they like in each second.
func (f *Fleet) users() {
	r := f.chance()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-f.ctx.Done():
			return
		case <-tick.C:
		}
		f.bench.Lock()
		hosts := f.hosts
		f.bench.Unlock()
		for _, h := range hosts {
			h.serve(f.opts.Rate/2 + r.IntN(f.opts.Rate+1))
		}
	}
}

// serve sends n requests to a host.
func (h *Host) serve(n int) haproxytest.Served {
	api := 0
	if h.fleet.opts.Logs {
		api = n / 2
	}
	got := h.haproxy.Serve(haproxytest.Traffic{Service: Service, Requests: n - api})
	if api > 0 {
		more := h.haproxy.Serve(haproxytest.Traffic{Service: Service, Requests: api, Path: APIPath})
		got.Stable, got.Canary, got.Failed = got.Stable+more.Stable, got.Canary+more.Canary, got.Failed+more.Failed
	}
	answered := got.Stable + got.Canary
	h.mu.Lock()
	defer h.mu.Unlock()
	h.serving = h.serving || answered > 0
	if !h.serving || n == 0 {
		return got
	}
	lost := n - answered
	h.served = h.served.plus(Traffic{Requests: n, Canary: got.Canary, Errors: max(0, got.Failed-lost), Unanswered: lost})
	if lost > 0 {
		h.broken = append(h.broken, fmt.Sprintf("I6: at %s %d of %d requests got no answer", time.Now().Format(time.TimeOnly), lost, n))
	}
	return got
}
