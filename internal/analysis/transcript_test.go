package analysis

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// TestTranscripts plays testdata/*.txt. The verbs:
//
//	judge [increase=bp] [alpha=ppm] [min=requests] [baseline=errors/requests]
//	step  the same: begins a step
//	serve for=30s hosts=3 canary=errors/requests stable=errors/requests [only=host] [instances=n]
//	      Each host serves these counts in every five seconds, spread evenly over instances of
//	      stable; canary's counts on host only, if given. Errors below one a window add up.
//	      Prints the verdict that ends it, or the last.
//	report t=5s host=h0 life=1 canary=errors/requests stable=errors/requests
//	verdict
//
// Rewrite with -rewrite, and commit only differences that you understand.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		t.Helper()
		s := &stage{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			return s.play(t, d)
		})
	})
}

// stage holds the judge of a transcript and the counters of its hosts.
type stage struct {
	judge *Judge
	now   time.Duration
	hosts map[string]*scripted
}

// scripted are one host's exact, fractional counters.
type scripted struct {
	canary exact
	stable []exact
}

type exact struct{ requests, errors float64 }

func (e exact) counts() Counts {
	return Counts{int64(math.Floor(e.requests + 1e-6)), int64(math.Floor(e.errors + 1e-6))}
}

func (s *stage) play(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	switch d.Cmd {
	case "judge":
		s.judge, s.now, s.hosts = NewJudge(scriptConfig(t, d)), 0, make(map[string]*scripted)
		return ""
	case "step":
		s.judge.Restart(s.now, scriptConfig(t, d))
		return ""
	case "serve":
		return s.serve(t, d)
	case "report":
		return s.report(t, d)
	case "verdict":
		return show(s.judge.Finding(s.now))
	}
	d.Fatalf(t, "unknown verb %s", d.Cmd)
	return ""
}

func scriptConfig(t *testing.T, d *datadriven.TestData) Config {
	t.Helper()
	var c Config
	d.MaybeScanArgs(t, "increase", &c.MaxIncrease)
	d.MaybeScanArgs(t, "alpha", &c.Alpha)
	d.MaybeScanArgs(t, "min", &c.MinRequests)
	if d.HasArg("baseline") {
		c.Baseline = ratio(t, d, "baseline").counts()
	}
	return c
}

func ratio(t *testing.T, d *datadriven.TestData, key string) exact {
	t.Helper()
	var text string
	var e exact
	d.ScanArgs(t, key, &text)
	if _, err := fmt.Sscanf(text, "%g/%g", &e.errors, &e.requests); err != nil {
		d.Fatalf(t, "%s=%s: %v", key, text, err)
	}
	return e
}

func duration(t *testing.T, d *datadriven.TestData, key string) time.Duration {
	t.Helper()
	var text string
	d.ScanArgs(t, key, &text)
	v, err := time.ParseDuration(text)
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	return v
}

func (s *stage) report(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	r := Report{At: duration(t, d, "t"), CanaryInstances: 1}
	d.ScanArgs(t, "host", &r.Host)
	d.ScanArgs(t, "life", &r.Incarnation)
	r.Canary = ratio(t, d, "canary").counts()
	r.Stable = map[string]Counts{"a": ratio(t, d, "stable").counts()}
	s.now = max(s.now, r.At)
	s.judge.Observe(r)
	return ""
}

func (s *stage) serve(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	hosts, instances, only := 0, 1, ""
	d.ScanArgs(t, "hosts", &hosts)
	d.MaybeScanArgs(t, "instances", &instances)
	d.MaybeScanArgs(t, "only", &only)
	canary, stable := ratio(t, d, "canary"), ratio(t, d, "stable")
	for i := range hosts {
		name := fmt.Sprintf("h%d", i)
		if s.hosts[name] == nil {
			s.hosts[name] = &scripted{stable: make([]exact, instances)}
		}
	}
	s.observe()
	for end := s.now + duration(t, d, "for"); s.now < end; {
		s.now += tick
		for name, h := range s.hosts {
			if only == "" || only == name {
				h.canary = h.canary.plus(canary, 1)
			}
			for k := range h.stable {
				h.stable[k] = h.stable[k].plus(stable, len(h.stable))
			}
		}
		s.observe()
		if v := s.judge.Finding(s.now); v.Outcome != Wait {
			break
		}
	}
	return show(s.judge.Finding(s.now))
}

func (e exact) plus(o exact, parts int) exact {
	return exact{e.requests + o.requests/float64(parts), e.errors + o.errors/float64(parts)}
}

func (s *stage) observe() {
	for _, name := range slices.Sorted(maps.Keys(s.hosts)) {
		h := s.hosts[name]
		r := Report{
			Host: name, Incarnation: "1", At: s.now, Canary: h.canary.counts(),
			CanaryInstances: 1, Stable: make(map[string]Counts),
		}
		for k, c := range h.stable {
			r.Stable[strconv.Itoa(k)] = c.counts()
		}
		s.judge.Observe(r)
	}
}

// show writes a verdict for transcripts.
func show(v Finding) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %s\n", v.At, v.Outcome, v.Reason)
	fmt.Fprintf(&b, "  worse %s, beyond %s (fail at %s); safe %s (pass at %s)\n",
		nats(v.Worse), nats(v.Beyond), nats(v.FailLimit), nats(v.Safe), nats(v.SafeLimit))
	fmt.Fprintf(&b, "  odds %s in [%s, %s]; %d windows of %d hosts; needed %d; refused %d\n",
		nats(v.Odds), nats(v.OddsLow), nats(v.OddsHigh), v.Windows, v.Hosts, v.Needed, v.Refused)
	return b.String()
}

func nats(thousandths int64) string {
	return fmt.Sprintf("%.3g", float64(thousandths)/1000)
}
