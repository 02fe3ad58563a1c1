package haproxytest

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// errorLimit is how many failed connections in a row stand for the checks that
// take a server down: there is no time here.
const errorLimit = 3

// Traffic is a number of requests to one service.
type Traffic struct {
	Service  string
	Requests int
	// Of the requests that each track answers, so many are answered 500.
	StableErrors, CanaryErrors int
	// What the log says of their time; 1000 if 0.
	StableMicros, CanaryMicros int64
	// Path is what all of them ask for; "/" if empty.
	Path string
	// CanaryBank tells which bank is the canary ("a" or "b") where only weights
	// tell the tracks apart; "" takes the one with less weight.
	CanaryBank string
}

// Served is what the users got.
type Served struct {
	Stable, Canary int // requests answered by each
	Failed         int // answers 5xx, from a server or from HAProxy
	Redispatched   int // meant for a canary that did not accept, answered by stable
}

// Serve routes the requests by the splits and weights that HAProxy holds at this
// moment, evenly and without randomness, moves the counters and writes the log
// lines, if somebody tails them. It does nothing if HAProxy does not run.
func (h *HAProxy) Serve(t Traffic) Served {
	h.mu.Lock()
	b := h.conf.backend(t.Service)
	if !h.running || b == nil {
		h.mu.Unlock()
		return Served{}
	}
	r := run{h: h, b: b, t: t, split: h.split(b)}
	for range t.Requests {
		r.one()
	}
	ring := h.conf.ring
	h.mu.Unlock()
	h.writeRing(ring, r.lines.String())
	return r.out
}

// Refuse makes an address refuse connections (its container is dead), or accept
// again.
func (h *HAProxy) Refuse(addr netip.AddrPort, refuse bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := addr.Addr().String() + " " + strconv.Itoa(int(addr.Port()))
	h.refused[key] = refuse
	for _, b := range h.conf.backends {
		for _, s := range b.servers {
			if s.addr() == key && !refuse {
				s.down, s.failures = false, 0
			}
		}
	}
}

// Leading returns the open slots that lead to an address, as "service/slot"; none
// if HAProxy does not run.
func (h *HAProxy) Leading(to netip.Addr) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []string
	for _, b := range h.conf.backends {
		for _, s := range b.servers {
			if h.running && !s.maint() && s.ip == to.String() {
				all = append(all, b.name+"/"+s.name)
			}
		}
	}
	return all
}

// App is how the container at one address behaves.
type App struct {
	Errors int   // basis points of its answers that are 500
	Micros int64 // what the log says of its time, unless Traffic says otherwise
	// Took, if not nil, is asked instead of Micros for each request: how many
	// microseconds it takes. It may not call the HAProxy.
	Took func(path string) int64
}

// Behave gives the container at an address its behaviour, whichever slot it is in.
func (h *HAProxy) Behave(addr netip.AddrPort, app App) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.apps[addr.Addr().String()+" "+strconv.Itoa(int(addr.Port()))] = &behaviour{App: app}
}

// SetSessions sets how many connections are open in a slot.
func (h *HAProxy) SetSessions(service, slot string, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.conf.server(service + "/" + slot); s != nil {
		s.sessions = n
	}
}

// Private

type behaviour struct {
	App

	debt int
}

func (b *behaviour) micros(path string) int64 {
	if b.Took != nil {
		return b.Took(cmp.Or(path, "/"))
	}
	return b.Micros
}

// markRefused is there for servers that start anew: HAProxy holds them for up
// until their address has refused often enough.
func (h *HAProxy) markRefused() {
	for _, b := range h.conf.backends {
		for _, s := range b.servers {
			if !h.refused[s.addr()] {
				s.down, s.failures = false, 0
			}
		}
	}
}

type split struct {
	share    int
	bank     string
	replicas int
}

func (h *HAProxy) split(b *backend) split {
	none := split{replicas: 1}
	if !b.sticky {
		return none
	}
	for _, e := range h.conf.maps[b.mapPath] {
		f := strings.Split(e.value, ":")
		if e.key != b.name || len(f) != 4 {
			continue
		}
		share, err1 := strconv.Atoi(f[0])
		replicas, err2 := strconv.Atoi(f[3])
		if err1 == nil && err2 == nil && replicas > 0 {
			return split{share: share, bank: f[2], replicas: replicas}
		}
	}
	return none
}

// run is one call of Serve.
type run struct {
	h        *HAProxy
	b        *backend
	t        Traffic
	split    split
	out      Served
	canaries int
	stables  int
	lines    strings.Builder
}

// one routes one request.
func (r *run) one() {
	r.b.reqTot++
	want := r.want()
	if want != nil {
		if r.connect(want) {
			r.answered(want, want.name)
			return
		}
		want.wredis++
		r.out.Redispatched++
	}
	name := "-"
	if want != nil {
		name = want.name
	}
	for range 3 {
		s := r.b.pick()
		if s == nil {
			break
		}
		if r.connect(s) {
			r.answered(s, name)
			return
		}
		s.wredis++
	}
	r.b.err5xx++
	r.out.Failed++
	r.log("<NOSRV>", 503, "SC", "-", name)
}

// want returns the canary server that the split chooses, nil for stable or if
// that server cannot be used.
func (r *run) want() *server {
	r.b.debt += r.split.share
	if r.b.debt < 10000 {
		return nil
	}
	r.b.debt -= 10000
	name := r.split.bank + strconv.Itoa(r.b.turn%r.split.replicas+1)
	r.b.turn++
	for _, s := range r.b.servers {
		if s.name == name && !s.maint() && !s.down {
			return s
		}
	}
	return nil
}

// connect counts an attempt.
func (r *run) connect(s *server) bool {
	s.stot++
	if !r.h.refused[s.addr()] {
		s.failures = 0
		return true
	}
	s.failures++
	s.down = s.failures >= errorLimit
	return false
}

func (r *run) answered(s *server, want string) {
	canary := want == s.name || (!r.b.sticky && cmp.Or(r.t.CanaryBank, r.lighter()) == s.name[:1])
	seen, errs, us := &r.stables, r.t.StableErrors, r.t.StableMicros
	if canary {
		seen, errs, us = &r.canaries, r.t.CanaryErrors, r.t.CanaryMicros
		r.out.Canary++
	} else {
		r.out.Stable++
	}
	*seen++
	status := 200
	app := r.h.apps[s.addr()]
	if app != nil {
		us = cmp.Or(us, app.micros(r.t.Path))
		app.debt += app.Errors
	}
	if fails := app != nil && app.debt >= 10000; fails || *seen <= errs {
		if fails {
			app.debt -= 10000
		}
		status = 500
		s.err5xx++
		r.b.err5xx++
		r.out.Failed++
	}
	r.log(s.name, status, "--", strconv.FormatInt(cmp.Or(us, 1000), 10), want)
}

// lighter is the bank that is the canary where only weights tell: the one with
// less weight, b if both have the same.
func (r *run) lighter() string {
	var a, b int
	for _, s := range r.b.servers {
		switch {
		case s.maint():
		case s.name[:1] == "a":
			a += s.weight
		default:
			b += s.weight
		}
	}
	if a < b {
		return "a"
	}
	return "b"
}

// pick is a smooth weighted round robin.
func (b *backend) pick() *server {
	var best *server
	total := 0
	for _, s := range b.servers {
		if s.maint() || s.down || s.weight == 0 || s.admin&forcedDrain != 0 {
			continue
		}
		total += s.weight
		s.current += s.weight
		if best == nil || s.current > best.current {
			best = s
		}
	}
	if best != nil {
		best.current -= total
	}
	return best
}

// log adds an octet-counted line in the agent's log-format.
func (r *run) log(slot string, status int, termination, us, want string) {
	if r.h.conf.ring == "" {
		return // there is no log
	}
	line := fmt.Sprintf("%s %s %d %s 0 %s %s %s", r.b.name, slot, status, termination, us, want, cmp.Or(r.t.Path, "/"))
	fmt.Fprintf(&r.lines, "%d %s", len(line), line)
}
