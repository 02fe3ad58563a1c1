package control

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/latency"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

func rolling() rollout.Rollout {
	from := revisionOf("rev-1")
	return rollout.Rollout{
		ID: "checkout-2", Service: "checkout", From: &from, To: revisionOf("rev-2"), Hosts: []string{"a", "b", "c"},
		Phase: rollout.Progressing, Spec: rollout.Spec{Steps: []rollout.Step{{Hosts: rollout.HostCount{Count: 1}, Weight: 500}}},
	}
}

// said is what one host says of a track.
type said struct {
	revision string
	all      []analysis.Latency
}

// took is of requests that all took as long.
func took(revision string, requests, lines, micros int64) said {
	s := latency.New()
	for range lines {
		s.Add(micros)
	}
	return said{revision, []analysis.Latency{{Requests: requests, Lines: lines, Sketch: s.Encode()}}}
}

// told puts what a host says of both tracks into one report.
func told(host string, canary, stable said) Host {
	x := wire.ServiceHealth{Service: "checkout", Canary: canary.revision, Stable: stable.revision}
	for _, l := range canary.all {
		l.Canary = true
		x.Latencies = append(x.Latencies, l)
	}
	for i, l := range stable.all {
		if l.Instance == "" {
			l.Instance = "a" + strconv.Itoa(i)
		}
		x.Latencies = append(x.Latencies, l)
	}
	other := wire.ServiceHealth{Service: "other", Canary: "rev-2", Latencies: took("rev-2", 1, 1, 1).all}
	other.Latencies[0].Canary = true
	return Host{Health: wire.Health{Host: host, Services: []wire.ServiceHealth{other, x}}}
}

// also adds what another instance, or another route class, says.
func (s said) also(l analysis.Latency) said {
	s.all = append(slices.Clone(s.all), l)
	return s
}

func TestLatenciesAreMergedOverHosts(t *testing.T) {
	none := said{}
	fast, slow := func(n int64) said { return took("rev-1", n, n, 20_000) }, func(n int64) said { return took("rev-2", n, n, 80_000) }
	for name, x := range map[string]struct {
		hosts []Host
		want  string
	}{
		"nobody tells": {[]Host{told("a", none, none)}, ""},
		"stable beside the canary, not elsewhere": {
			[]Host{told("a", slow(60), fast(100)), told("b", slow(60), fast(100)), told("c", none, took("rev-1", 900, 900, 500_000))},
			"80ms 80ms 80ms of 120; 20ms 20ms 20ms of 200",
		},
		"stable elsewhere, where the canary has everything": {
			[]Host{told("a", slow(120), none), told("b", none, fast(150))},
			"80ms 80ms 80ms of 120; 20ms 20ms 20ms of 150",
		},
		"too few for p99": {[]Host{told("a", slow(50), fast(9))}, "80ms 80ms - of 50; 20ms - - of 9"},
		"lines are lost": {
			[]Host{told("a", took("rev-2", 200, 180, 80_000), fast(200))},
			"- - - of 200; 20ms 20ms 20ms of 200",
		},
		"late lines do not make up for lost ones": {
			[]Host{told("a", took("rev-2", 100, 200, 80_000), fast(200)), told("b", took("rev-2", 100, 80, 80_000), none)},
			"- - - of 200; 20ms 20ms 20ms of 200",
		},
		"a host without a log":           {[]Host{told("a", slow(100), fast(200)), told("b", took("rev-2", 100, 0, 0), none)}, "- - - of 200; 20ms 20ms 20ms of 200"},
		"of another rollout, of no host": {[]Host{told("a", took("rev-0", 200, 200, 1000), fast(200)), told("z", slow(100), fast(100))}, "- - - of 0; 20ms 20ms 20ms of 200"},
		"all classes of an instance, all instances": {
			[]Host{told("a", said{"rev-2", []analysis.Latency{{Requests: 100}}}.also(class("/api/", 100)), fast(100).also(class("/", 0)).also(instance("a9", 100)))},
			"80ms 80ms 80ms of 100; 20ms 80ms 80ms of 200",
		},
		"a canary that does not run just now": {
			[]Host{told("a", said{all: slow(100).all}, said{all: fast(200).all})}, "80ms 80ms 80ms of 100; 20ms 20ms 20ms of 200",
		},
		"what is garbage, is no line":     {[]Host{told("a", said{"rev-2", []analysis.Latency{{Requests: 100, Lines: 100, Sketch: []byte("x")}}}, fast(200))}, "- - - of 100; 20ms 20ms 20ms of 200"},
		"so many that sums get very long": {[]Host{told("a", said{"rev-2", []analysis.Latency{{Requests: 1 << 48, Lines: 1 << 48}}}, fast(200))}, "- - - of 281474976710656; 20ms 20ms 20ms of 200"},
	} {
		if diff := cmp.Diff(x.want, text(latencies(rolling(), View{Hosts: x.hosts}))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	install := rolling()
	install.From = nil
	if l := latencies(install, View{Hosts: []Host{told("a", slow(100), none)}}); l != nil {
		t.Errorf("of an install: %+v", l)
	}
}

// class is a route class of an instance, whose requests stand elsewhere.
func class(route string, lines int64) analysis.Latency {
	l := took("", 0, lines, 80_000).all[0]
	l.Route = route
	return l
}

func instance(name string, n int64) analysis.Latency {
	l := took("", n, n, 80_000).all[0]
	l.Instance = name
	return l
}

func text(l *api.Latency) string {
	if l == nil {
		return ""
	}
	one := func(t api.Times) string {
		quantiles := []string{t.P50.String(), t.P90.String(), t.P99.String()}
		return strings.Join(quantiles, " ") + " of " + rate(api.Counts{Requests: t.Requests})
	}
	return strings.NewReplacer("0% (0 of ", "", ")", "", "no requests", "0").Replace(one(l.Canary) + "; " + one(l.Stable))
}

func TestExplanationTellsLatencies(t *testing.T) {
	s := &rollout.State{Services: map[string]*rollout.Service{"checkout": {Name: "checkout"}}}
	view := View{Hosts: []Host{told("a", took("rev-2", 100, 100, 80_000), took("rev-1", 200, 150, 20_000))}}
	got := explain(detail(s, rolling(), view))
	want := " Time to answer (p50, p90, p99): 80ms, 80ms, 80ms on 2; not known (HAProxy's log told of 75% of the requests) on 1."
	if !strings.HasSuffix(got, want) {
		t.Errorf("%q", got)
	}
	if got := explain(detail(s, rolling(), View{})); strings.Contains(got, "Time") {
		t.Errorf("%q", got)
	}
}

// BenchmarkLatencies merges a fleet, as each request for a status does.
func BenchmarkLatencies(b *testing.B) {
	r := rolling()
	r.Hosts = nil
	s := latency.New()
	for i := range int64(20_000) {
		s.Add(1000 + i*i%400_000)
	}
	var v View
	for i := range 1000 {
		name := fmt.Sprintf("web-%04d", i)
		r.Hosts = append(r.Hosts, name)
		l := []analysis.Latency{{Requests: 20_000, Lines: 20_000, Sketch: s.Encode()}}
		v.Hosts = append(v.Hosts, told(name, said{"rev-2", l}, said{"rev-1", l}))
	}
	b.ReportAllocs()
	for b.Loop() {
		if l := latencies(r, v); l.Canary.P99 == 0 {
			b.Fatal("not known")
		}
	}
}
