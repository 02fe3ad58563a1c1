package record

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/latency"
)

const (
	// timesEvery is how often a host's durations are reported, as agents do.
	timesEvery = 5
	// mostHeld bounds the requests that wait for their second to be over: 24 bytes each.
	mostHeld = 32 << 20
	// mostNames bounds the different hosts and instances of a log.
	mostNames = 1 << 16
)

// Log turns a request log into the entries of a record: for each host and second with requests one
// report of cumulative counts. Its time begins with the first request.
type Log struct {
	rows  *rows
	names names
	held  map[int64][]kept // by second
	count int              // in held
	now   int64            // the newest second seen
	over  int64            // seconds before it are done
	ended bool

	origin int64 // the second in which time begins
	begun  bool
	hosts  map[int32]*logHost
	ready  []Entry

	requests int64
}

// kept is a request that waits: small, for there are many.
type kept struct {
	micros         int32 // -1: not known
	host, instance int32
	route          int16 // in CSV.Routes; -1: none
	canary, failed bool
}

// logHost are a host's counters.
type logHost struct {
	name      string
	report    analysis.Report
	instances map[int32]bool // of canary
	times     map[lane]*timing
	told      int64 // the second in which durations were last reported
	untold    bool  // there are others since
}

// lane is a part of the requests whose durations are told apart.
type lane struct {
	canary          bool
	instance, route string
}

type timing struct {
	requests, lines int64
	sketch          *latency.Sketch
}

// NewLog reads a request log. The error is about its header.
func NewLog(in io.Reader, config CSV) (*Log, error) {
	r, err := newRows(in, config)
	if err != nil {
		return nil, err
	}
	return &Log{rows: r, names: names{index: map[string]int32{}}, held: map[int64][]kept{}, hosts: map[int32]*logHost{}}, nil
}

// Next returns the next entry, or io.EOF. The first is a head with the time of day.
func (l *Log) Next() (Entry, error) {
	for len(l.ready) == 0 {
		if l.ended {
			return Entry{}, io.EOF
		}
		if err := l.read(); err != nil {
			return Entry{}, err
		}
	}
	e := l.ready[0]
	l.ready = l.ready[1:]
	return e, nil
}

// Requests returns how many have been read.
func (l *Log) Requests() int64 { return l.requests }

// Timed reports whether the log tells how long requests took.
func (l *Log) Timed() bool { return l.rows.timing >= 0 }

// Private

// read takes in one request, or the end of the log.
func (l *Log) read() error {
	q, err := l.rows.next()
	if errors.Is(err, io.EOF) {
		return l.end()
	}
	if err != nil {
		return err
	}
	l.requests++
	second := q.at.Unix()
	if second < l.over {
		return &LineError{l.rows.line, fmt.Errorf("%w: it is more than %s older than lines before it", ErrDisorder, Disorder)}
	}
	k, err := l.keep(q)
	if err != nil {
		return &LineError{l.rows.line, err}
	}
	l.held[second] = append(l.held[second], k)
	if l.count++; l.count > mostHeld {
		return &LineError{l.rows.line, fmt.Errorf("more than %d requests have to be held at once; sort the log by time", mostHeld)}
	}
	if second > l.now {
		l.now = second
		if !l.rows.config.Whole {
			l.flush(second - int64(Disorder/time.Second))
		}
	}
	return nil
}

func (l *Log) end() error {
	l.ended = true
	if l.requests == 0 {
		return errors.New("the log holds no request")
	}
	if !l.rows.found {
		return fmt.Errorf("no request is of %q; there are %s: say with --canary which means canary",
			l.rows.canary, strings.Join(slices.Sorted(maps.Keys(l.rows.seen)), ", "))
	}
	l.flush(l.now + 1)
	for _, h := range l.sorted() {
		if h.untold {
			h.told = 0
			l.report(h, l.now)
		}
	}
	return nil
}

func (l *Log) keep(q request) (kept, error) {
	host, instance := l.names.of(cmp.Or(q.host, "all")), int32(0)
	if q.instance != "" {
		instance = l.names.of(q.instance)
	} else {
		instance = l.names.of("stable")
	}
	if len(l.names.all) > mostNames {
		return kept{}, fmt.Errorf("there are more than %d hosts and instances; is it the right column?", mostNames)
	}
	k := kept{micros: -1, host: host, instance: instance, route: l.routeOf(q.path), canary: q.canary, failed: q.failed}
	if q.micros >= 0 {
		k.micros = int32(min(q.micros, latency.Most))
	}
	return k, nil
}

// routeOf returns the longest prefix that fits.
func (l *Log) routeOf(path string) int16 {
	best := int16(-1)
	for k, prefix := range l.rows.config.Routes {
		if strings.HasPrefix(path, prefix) && (best < 0 || len(prefix) > len(l.rows.config.Routes[best])) {
			best = int16(k)
		}
	}
	return best
}

// flush makes reports of the seconds before one.
func (l *Log) flush(before int64) {
	l.over = max(l.over, before)
	for _, second := range slices.Sorted(maps.Keys(l.held)) {
		if second >= before {
			return
		}
		l.sum(second, l.held[second])
		l.count -= len(l.held[second])
		delete(l.held, second)
	}
}

// sum adds a second's requests to the hosts' counters, and reports these.
func (l *Log) sum(second int64, all []kept) {
	if !l.begun {
		l.begun, l.origin = true, second
		l.ready = append(l.ready, Entry{Head: &Head{Wall: second * 1000, Attempt: 1}})
	}
	heard := map[int32]bool{}
	for _, k := range all {
		h := l.hosts[k.host]
		if h == nil {
			h = l.newHost(k.host, second)
		}
		h.add(k, l.names.all[k.instance], l.route(k.route))
		heard[k.host] = true
	}
	for _, h := range l.sorted() {
		if heard[l.names.index[h.name]] {
			l.report(h, second)
		}
	}
}

func (l *Log) route(k int16) string {
	if k < 0 {
		return ""
	}
	return l.rows.config.Routes[k]
}

// newHost begins to count at zero: that is a report of its own, from which counting begins.
func (l *Log) newHost(id int32, second int64) *logHost {
	name := l.names.all[id]
	h := &logHost{
		name: name, report: analysis.Report{Host: name, Incarnation: "log", Stable: map[string]analysis.Counts{}},
		instances: map[int32]bool{}, times: map[lane]*timing{}, told: second,
	}
	l.hosts[id] = h
	zero := analysis.Report{Host: name, Incarnation: "log", At: l.at(second)}
	if l.timed() {
		zero.Latencies = []analysis.Latency{}
	}
	l.ready = append(l.ready, Entry{At: zero.At, Report: &zero})
	return h
}

func (l *Log) at(second int64) time.Duration { return time.Duration(second-l.origin) * time.Second }

func (l *Log) timed() bool { return l.rows.config.Latency && l.Timed() }

func (l *Log) sorted() []*logHost {
	return slices.SortedFunc(maps.Values(l.hosts), func(a, b *logHost) int { return cmp.Compare(a.name, b.name) })
}

// report tells a host's counts at the end of a second.
func (l *Log) report(h *logHost, second int64) {
	r := h.report
	r.At, r.Stable, r.CanaryInstances = l.at(second+1), maps.Clone(h.report.Stable), len(h.instances)
	if h.untold = l.timed(); h.untold && second-h.told >= timesEvery {
		h.told, h.untold = second, false
		r.Latencies = h.latencies()
	}
	l.ready = append(l.ready, Entry{At: r.At, Report: &r})
}

func (h *logHost) add(k kept, instance, route string) {
	n := analysis.Counts{Requests: 1}
	if k.failed {
		n.Errors = 1
	}
	if k.canary {
		h.instances[k.instance] = true
		h.report.Canary = sum(h.report.Canary, n)
		instance = ""
	} else {
		h.report.Stable[instance] = sum(h.report.Stable[instance], n)
	}
	h.lane(lane{k.canary, instance, ""}).requests++
	if k.micros >= 0 {
		t := h.lane(lane{k.canary, instance, route})
		t.lines++
		t.sketch.Add(int64(k.micros))
	}
}

func (h *logHost) lane(at lane) *timing {
	t := h.times[at]
	if t == nil {
		t = &timing{sketch: latency.New()}
		h.times[at] = t
	}
	return t
}

func (h *logHost) latencies() []analysis.Latency {
	order := func(a, b lane) int {
		return cmp.Or(cmp.Compare(a.instance, b.instance), cmp.Compare(a.route, b.route))
	}
	all := make([]analysis.Latency, 0, len(h.times))
	for _, at := range slices.SortedFunc(maps.Keys(h.times), order) {
		t := h.times[at]
		all = append(all, analysis.Latency{
			Canary: at.canary, Instance: at.instance, Route: at.route,
			Requests: t.requests, Lines: t.lines, Sketch: t.sketch.Encode(),
		})
	}
	return all
}

func sum(a, b analysis.Counts) analysis.Counts {
	return analysis.Counts{Requests: a.Requests + b.Requests, Errors: a.Errors + b.Errors}
}

// names gives each name a small number.
type names struct {
	index map[string]int32
	all   []string
}

func (n *names) of(name string) int32 {
	id, known := n.index[name]
	if !known {
		name = strings.Clone(name) // it is a part of its line
		id = int32(len(n.all))
		n.index[name] = id
		n.all = append(n.all, name)
	}
	return id
}
