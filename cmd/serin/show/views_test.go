package show

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const began = 1700000000000 // Unix ms

func now() time.Time { return time.UnixMilli(began + 94_000).UTC() }

func plainly() Options { return Options{Now: now()} }

func detail() api.RolloutDetail {
	return api.RolloutDetail{
		RolloutStatus: api.RolloutStatus{
			ID: "checkout-7", Service: "checkout", Phase: rollout.Progressing, From: "1.3.2", To: "1.4.0",
			Step: 2, Steps: 3, Weight: 2000, Reached: 3, Fleet: 12, Waiting: "holds for 58s more", Started: began,
			Verdict: &api.Verdict{Canary: api.Counts{Requests: 2468, Errors: 10}, Stable: api.Counts{Requests: 24630, Errors: 96}},
		},
		Path: []api.StepStatus{
			{Hosts: 1, Weight: 500, State: "done"},
			{Hosts: 3, Weight: 2000, Hold: 60_000, State: "now"},
			{Hosts: 12, Weight: 10_000, Approve: true, State: "ahead"},
		},
		Hosts: []api.RolloutHost{
			{Host: "web-01", Reached: true, Heard: true, Settled: true, Weight: 2000},
			{Host: "web-02", Reached: true, Heard: true, Weight: 500, Doing: "waits until web-02-c1 is ready"},
			{Host: "web-03", Reached: true, Heard: true, Problem: "cannot pull: no such image\nmore"},
			{Host: "web-04"},
		},
	}
}

func stepped() rollout.Event {
	return rollout.Event{
		Wall: began + 4000, Kind: rollout.KindStep, Service: "checkout", Rollout: "checkout-7", Phase: rollout.Progressing,
		From: "1.3.2", Step: 3, Steps: 6, Weight: 1000, Hosts: 3, Fleet: 12, Text: "step 3 of 6: 10% on 3 of 12 hosts: 5xx 0.40% (4 of 1000) on canary",
		Verdict: &analysis.Verdict{Canary: analysis.Counts{Requests: 1000, Errors: 4}, Stable: analysis.Counts{Requests: 2000}},
	}
}

// TestEventLines: an event is told in its own words; of a step, Brief has the numbers
// alone.
func TestEventLines(t *testing.T) {
	install := rollout.Event{
		Kind: rollout.KindStep, Rollout: "a-1", Phase: rollout.Paused, Step: 1, Steps: 1, Hosts: 2, Fleet: 2, Weight: 10_000, Text: "step 1 of 1: on 2 of 2 hosts",
	}
	for name, x := range map[string]struct {
		event       rollout.Event
		want, brief string // brief is empty where it is the same
	}{
		"step": {
			stepped(), "22:13:24 checkout-7 step 3 of 6: 10% on 3 of 12 hosts: 5xx 0.40% (4 of 1000) on canary",
			"22:13:24 checkout-7 step 3/6  10% on 3 of 12 hosts  5xx 0.40% vs 0.00%",
		},
		"install": {install, "00:00:00 a-1 step 1 of 1: on 2 of 2 hosts", "00:00:00 a-1 step 1/1  on 2 of 2 hosts"},
		"refused": {rollout.Event{Kind: rollout.KindRefused, Service: "a", Text: "refused: image: no\nsuch"}, "00:00:00 a refused: image: no", ""},
		"in the way": {
			rollout.Event{Kind: rollout.KindRefused, Service: "a", Rollout: "a-1", Text: "refused: a-1 is Paused"}, "00:00:00 a refused: a-1 is Paused", "",
		},
		"paused": {
			rollout.Event{Kind: rollout.KindPaused, Rollout: "a-1", Phase: rollout.Paused, Text: "paused at step 1 of 2", Verdict: &analysis.Verdict{Canary: analysis.Counts{Requests: 3}}},
			"00:00:00 a-1 paused at step 1 of 2", "",
		},
		"unknown": {rollout.Event{Kind: "moonstruck", Rollout: "a-1", Phase: rollout.Paused, Text: "shines"}, "00:00:00 a-1 shines", ""},
	} {
		if got := plainly().Event(x.event); got != x.want {
			t.Errorf("%s:\n got %q\nwant %q", name, got, x.want)
		}
		if x.brief == "" {
			x.brief = x.want
		}
		if got := plainly().Brief(x.event); got != x.brief {
			t.Errorf("%s in brief:\n got %q\nwant %q", name, got, x.brief)
		}
		o := plainly()
		o.Palette.On = true
		coloured := o.Event(x.event)
		for _, code := range []string{plain, red, green, yellow, cyan, reset} {
			coloured = strings.ReplaceAll(coloured, code, "")
		}
		if coloured != x.want {
			t.Errorf("%s: colour changes the words: %q", name, coloured)
		}
	}
	install.Text, install.From = "step 1 of 1: 100% on 1 of 1 host: by ann: go on", "1"
	if got := plainly().Brief(install); !strings.HasSuffix(got, "on 2 of 2 hosts  by ann: go on") {
		t.Errorf("a person's step: %q", got)
	}
	install.Text, install.Verdict = "step 1 of 1: 100% on 1 of 1 host: by ann", &analysis.Verdict{}
	if got := plainly().Brief(install); strings.Contains(got, "ann") {
		t.Errorf("a step by evidence: %q", got)
	}
}

// TestLinesSayWhatIsNew: the numbers of what is waited for move, and that is
// no news.
func TestLinesSayWhatIsNew(t *testing.T) {
	var out bytes.Buffer
	l := NewLines(&out, plainly())
	d := detail()
	for _, waiting := range []string{"holds for 58s more", "holds for 57s more", "waits for web-02", "waits for web-03", "", "waits for web-03"} {
		d.Waiting = waiting
		l.Status(d, now())
	}
	d.Step = 3
	l.Status(d, now())
	l.Note("checkout-7 no leader answers just now", now())
	l.Note("checkout-7 no leader answers just now", now())
	want := `22:14:54 checkout-7 step 2/3  20% on 3 of 12 hosts  5xx 0.41% vs 0.39%  holds for 58s more
22:14:54 checkout-7 step 2/3  20% on 3 of 12 hosts  5xx 0.41% vs 0.39%  waits for web-02
22:14:54 checkout-7 step 3/3  20% on 3 of 12 hosts  5xx 0.41% vs 0.39%  waits for web-03
22:14:54 checkout-7 no leader answers just now
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestLiveKeepsItsLineBelow(t *testing.T) {
	var out bytes.Buffer
	l := NewLive(&out, plainly())
	l.Status(detail(), now())
	l.Event(stepped(), nil)
	l.Close()
	status := emptyLine + noWrap + "22:14:54 checkout-7 step 2/3  20% on 3 of 12 hosts  5xx 0.41% vs 0.39%  holds for 58s more" + wrap
	want := status + emptyLine + plainly().Brief(stepped()) + "\n" + status + emptyLine
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

// TestLatency: it is shown where it is known, and never guessed.
func TestLatency(t *testing.T) {
	for name, x := range map[string]struct {
		latency       *api.Latency
		line, p99Cell string
	}{
		"nothing is known": {nil, "", "-"},
		"both":             {&api.Latency{Canary: api.Times{P99: 182_400}, Stable: api.Times{P99: 180_100}}, "p99 182ms vs 180ms", "182ms vs 180ms"},
		"only the canary":  {&api.Latency{Canary: api.Times{P99: 1840}}, "p99 1.8ms vs -", "1.8ms vs -"},
		"only stable":      {&api.Latency{Stable: api.Times{P99: 180_000}}, "", "- vs 180ms"},
		"neither":          {&api.Latency{Canary: api.Times{Requests: 5, Coverage: 900_000}}, "", "-"},
	} {
		d := detail()
		d.Latency = x.latency
		line := plainly().Status(d.RolloutStatus)
		if !strings.Contains(line, x.line) || (x.line == "") == strings.Contains(line, "p99") {
			t.Errorf("%s: %s", name, line)
		}
		var out bytes.Buffer
		o := plainly()
		o.Wide = true
		if err := o.Services(&out, []api.ServiceStatus{{Service: "checkout", Rollout: &d.RolloutStatus}}); err != nil {
			t.Fatal(err)
		}
		if table := out.String(); !strings.Contains(table, "  "+x.p99Cell+"  ") || !strings.Contains(table, "P99") {
			t.Errorf("%s:\n%s", name, table)
		}
	}
}

// TestColourKeepsColumns: a table with colour has the columns of one without.
func TestColourKeepsColumns(t *testing.T) {
	running := detail()
	rows := []api.ServiceStatus{{Service: "billing"}, {Service: "checkout", Rollout: &running.RolloutStatus}}
	var colourless, coloured bytes.Buffer
	o := plainly()
	if err := o.Services(&colourless, rows); err != nil {
		t.Fatal(err)
	}
	o.Palette.On = true
	if err := o.Services(&coloured, rows); err != nil {
		t.Fatal(err)
	}
	stripped := coloured.String()
	for _, code := range []string{plain, red, green, yellow, cyan, reset} {
		stripped = strings.ReplaceAll(stripped, code, "")
	}
	if diff := cmp.Diff(words(colourless.String()), words(stripped)); diff != "" {
		t.Error(diff)
	}
	for i, line := range strings.Split(strings.TrimSpace(stripped), "\n") {
		if at := strings.Index(strings.Split(strings.TrimSpace(stripped), "\n")[0], "TO"); len(line) > at && line[at-1] != ' ' {
			t.Errorf("line %d is out of its columns: %q", i, line)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", -12 * time.Millisecond: "0s", 1900 * time.Millisecond: "1.9s", -3 * time.Second: "-3s", 94 * time.Second: "94s", time.Minute: "1m",
		12 * time.Minute: "12m", 200 * time.Minute: "3h20m", 121 * time.Hour: "5d",
	} {
		if got := Span(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func words(text string) [][]string {
	var lines [][]string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Fields(line))
	}
	return lines
}
