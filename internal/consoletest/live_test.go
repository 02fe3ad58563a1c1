package consoletest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/coordinator/console"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/browsertest"
	"github.com/serin-rollouts/serin/internal/fleettest"
	"github.com/serin-rollouts/serin/internal/porttest"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/trace/tracetest"
)

// token is ann's, who is an operator.
const token = "ann-0123456789abcdef"

// stepwise is a rollout that goes on only when somebody says so, and of which no
// measured time can make anything else.
const stepwise = `,"deadline":"9h","gates":{"errors":{"max_increase":"1%"},"latency":[{"quantile":"p99","max_increase":"20%","observe":true}]},` +
	`"steps":[{"hosts":1,"weight":"20%","hold":"2h","approve":true},{"hosts":"100%","weight":"50%","hold":"2h"},{"hosts":"100%","weight":"100%","hold":"2h"}]`

// live is a fleet with a console on each replica, and a browser that looks at one.
type live struct {
	*browsertest.Browser

	t     *testing.T
	fleet *fleettest.Fleet
	doors []*door // to the replicas, in their order

	collector tracetest.Collector
}

func run(t *testing.T, f func(l *live)) {
	t.Helper()
	sum := sha256.Sum256([]byte(token))
	o := fleettest.Options{Rate: 300, Logs: true, Console: console.Config{Tokens: filepath.Join(t.TempDir(), "tokens")}}
	if err := os.WriteFile(o.Console.Tokens, []byte("ann operator "+hex.EncodeToString(sum[:])+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := &live{t: t}
	o.Collector = &l.collector
	for range 3 {
		address := porttest.Address(t)
		d := newDoor(t, address)
		l.doors, o.HTTP, o.Console.Peers = append(l.doors, d), append(o.HTTP, address), append(o.Console.Peers, d.origin)
	}
	fleettest.RunLive(t, o, func(fleet *fleettest.Fleet) {
		l.fleet, l.Browser = fleet, browsertest.Open(t)
		for _, d := range l.doors {
			l.Reach(d.origin)
		}
		f(l)
	})
}

// start begins a rollout of a version that is as good as the last.
func (l *live) start(version string) string {
	l.t.Helper()
	l.fleet.Push(version, fleettest.App{})
	return l.fleet.Start(api.Trigger{ID: version, Spec: fleettest.Spec(version, stepwise), By: "ci", Reason: "to be looked at"})
}

// say gives a command past the page. One whose answer was lost may be refused when
// it is given again, because it has been carried out.
func (l *live) say(verb, reason string) {
	l.t.Helper()
	r := l.fleet.Command(verb, api.Command{By: "bob", Reason: reason})
	for r.Code == rollout.CodeBusy {
		r = l.fleet.Command(verb, api.Command{By: "bob", Reason: reason})
	}
	if !r.OK && r.Code != rollout.CodePhase {
		l.t.Fatalf("%s: %+v", verb, r)
	}
}

// command clicks a button, says why, and waits until it is done. What is refused
// because hosts are still at work is asked for again.
func (l *live) command(op, reason string) {
	l.t.Helper()
	l.Until(fmt.Sprintf(`document.querySelector("[data-op=%s]")?.getAttribute("aria-disabled") === "false"`, op))
	l.Click("[data-op=" + op + "]")
	l.Until(`document.querySelector("dialog[open] #reason")`)
	l.Fill("#reason", reason)
	l.submit()
}

// submit sends what is asked in the dialog.
func (l *live) submit() {
	l.t.Helper()
	l.Click("dialog[open] button[type=submit]")
	l.Until(`(() => {
		const problem = document.querySelector("dialog[open] .problem"), go = document.querySelector("dialog[open] button[type=submit]");
		if (problem?.innerText && !go.disabled) {
			problem.textContent = "";
			go.click();
		}
		return !document.querySelector("dialog[open]");
	})()`)
}

// told is an event as somebody has heard of it.
type told struct {
	Seq  uint64
	Text string
}

// sameFeed waits until an observer of the stream has what the page has at the
// top, and holds the page's feed against the observer's, word for word: of a
// rollout, or of everything if id is empty.
func (l *live) sameFeed(id string) {
	l.t.Helper()
	page := browsertest.Eval[[]told](l.Browser,
		`[...document.querySelectorAll(".feed [data-seq]")].map((x) => ({Seq: Number(x.dataset.seq), Text: x.querySelector(".said").textContent})).reverse()`)
	if len(page) == 0 {
		l.t.Fatal("the feed is empty")
	}
	var stream []told
	last := page[len(page)-1].Seq
	l.fleet.UntilHeard(last)
	for _, e := range l.fleet.Follow(id) {
		if e.Seq <= last {
			stream = append(stream, told{e.Seq, e.Text})
		}
	}
	if !slices.Equal(page, stream) {
		l.t.Fatalf("the page's feed has a gap, something twice, or other words:\n%v\nthe stream has\n%v", page, stream)
	}
}

// traced waits until a command from the page, and what the leader made of it below,
// are in one trace.
func (l *live) traced(verb string) {
	l.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		for _, s := range l.collector.Find("console " + verb) {
			if slices.ContainsFunc(l.collector.Find("command "+verb), func(c tracetest.Span) bool { return c.Parent == s.ID && c.Trace == s.Trace && !s.Failed && !c.Failed }) {
				return
			}
		}
	}
	l.t.Errorf("no trace has the page's %s: %+v", verb, l.collector.Find("console "+verb))
}

// narrow looks whether the page fits a telephone.
func (l *live) narrow(name string) {
	l.t.Helper()
	l.Width(390)
	l.Until(`innerWidth === 390 && document.documentElement.scrollWidth <= 390`)
	l.Shoot(name + "-narrow")
	l.Width(1280)
}
