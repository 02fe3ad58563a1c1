package consoletest_test

import (
	"fmt"
	"testing"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/browsertest"
)

// TestConsoleOfAFleet goes through every page and every button while a fleet works,
// and kills the replica that serves the page in the middle of a rollout.
func TestConsoleOfAFleet(t *testing.T) {
	run(t, func(l *live) {
		l.fleet.Install("1", `,"steps":[{"hosts":"100%","weight":"100%"}]`)
		leader := l.fleet.Leader()
		l.login(leader)
		id := l.appears()
		l.steps(id)
		l.Quiet("409", "503") // refused while hosts or the leader were at work
		l.killed(id, leader)
		l.goesOn(id)
		l.back(id)
		l.others()
		l.Quiet("409", "503", "net::ERR") // and while nobody was there
	})
}

// login comes in by the leader's door, with a token.
func (l *live) login(leader int) {
	l.t.Helper()
	l.Go(l.doors[leader].origin + "/")
	l.Fill("#token", token)
	l.Click("form button")
	l.UntilText("#who", "ann, operator")
	l.UntilText("#foot", fmt.Sprintf("served by c%d ", leader+1))
	l.UntilText("tbody tr", "shop")
	l.UntilText(".feed", "succeeded")
}

// appears starts a rollout, which the open page shows by itself.
func (l *live) appears() string {
	l.t.Helper()
	l.Until(`(window.untouched = true)`)
	id := l.start("2")
	l.UntilText("tbody tr", id+": 1 → 2")
	l.UntilText("tbody tr .bar-label", "20% on 1 of 3 hosts")
	l.UntilText(".feed li", "submitted")
	l.Until("window.untouched") // it was not loaded again
	l.Shoot("overview")
	return id
}

// steps looks at the rollout's page, and steers it by its buttons.
func (l *live) steps(id string) {
	l.t.Helper()
	l.Click(fmt.Sprintf(`tbody a[href="/r/%s"]`, id))
	l.UntilText("#explanation", id)
	l.UntilText(".steps .now", "20% on 1 host")
	l.UntilText(".steps .now", "1h59m left of 2h00m")
	l.UntilText("#deadline", "Goes back in 8h59m")
	l.UntilText(".tile.canary", "C")
	l.UntilText("[data-key=chart-errors] .legend", "●─ canary 0.00%")
	l.UntilText("[data-key=chart-errors] .legend", "limit 1.00%")
	l.UntilText("[data-key=chart-p99] .legend", "ms to")
	for _, part := range []string{".band.canary", ".band.stable", ".line.limit", ".line.stable"} {
		l.Until(fmt.Sprintf(`document.querySelector("[data-key=chart-errors] %s, [data-key=chart-p99] %s")`, part, part))
	}
	l.UntilText("#why-resume", "cannot resume "+id)
	l.Click("[data-op=resume]")
	l.UntilText("#said", "cannot resume")
	l.Shoot("rollout")
	l.narrow("rollout")
	l.command("pause", "lunch")
	l.UntilText("h1 .pill", "Paused")
	l.UntilText(".feed", "lunch")
	l.command("resume", "")
	l.UntilText("h1 .pill", "Progressing")
	l.command("promote", "looks good")
	l.UntilText(".feed", "looks good (ann)")
}

// killed takes the replica away that serves the page, and leads. While the page
// reaches none of the others, things happen; then it reaches one that follows.
func (l *live) killed(id string, leader int) {
	l.t.Helper()
	for _, d := range l.doors {
		d.slam()
	}
	l.fleet.KillReplica(leader)
	l.UntilText("#banner", "Not connected")
	l.UntilText("#why-abort", "not connected")
	l.Until(`[...document.querySelectorAll("[data-op]")].every((x) => x.getAttribute("aria-disabled") === "true")`)
	l.say(api.Pause, "while nobody looked")
	l.say(api.Resume, "nor then")
	next := l.fleet.Leader()
	if next == leader {
		l.t.Fatal("a dead replica leads")
	}
	follower := 3 - leader - next
	l.Shoot("not-connected")
	l.Until(`!document.querySelector(".feed").innerText.includes("nobody looked")`)
	l.doors[follower].open()
	l.UntilText(".feed", "while nobody looked (bob)")
	l.UntilText(".feed", "nor then (bob)")
	l.UntilText("#foot", fmt.Sprintf("served by c%d ", follower+1))
	l.Until(`document.querySelector("#banner").innerText === ""`)
	l.Until("window.untouched")
	l.sameFeed(id)
	l.Shoot("elsewhere")
}

// goesOn steers the rollout from the page that a follower serves: commands go to
// the leader, in the name of who has logged in at the one that is dead.
func (l *live) goesOn(id string) {
	l.t.Helper()
	l.UntilText("#why-promote", "takes step 2")
	l.command("promote", "no time for evidence")
	l.UntilText(".steps .now", "50% on 3 hosts")
	l.UntilText(".feed", "no time for evidence (ann)")
	l.Click("[data-op=abort]")
	l.Click("dialog[open] button[type=submit]") // without a reason it stays
	l.Until(`document.querySelector("dialog[open] #reason:invalid")`)
	l.Key("\x1b")
	l.Until(`!document.querySelector("dialog[open]")`)
	l.command("abort", "prices are wrong")
	l.UntilText("h1 .pill", "Aborted")
	l.Until(`!document.querySelector("[data-op]")`)
	l.UntilText("#explanation", "prices are wrong")
	l.UntilText(".feed .kind", "aborted")
	l.sameFeed(id)
	l.Click("nav a[href='/']")
	l.UntilText(".feed .kind", "aborted")
	l.Fill("#kind", "aborted")
	l.Until(`document.querySelectorAll(".feed li").length === 1`)
	l.Click(".feed li button")
	l.UntilText("dialog[open] pre", `"kind": "aborted"`)
	l.Click("dialog[open] button[type=submit]")
	l.Fill("#kind", "")
	l.UntilText(".feed .kind", "submitted")
	l.sameFeed("")
}

// back makes a third version stable at once, and returns from it by the history.
func (l *live) back(aborted string) {
	l.t.Helper()
	third := l.start("3")
	l.Click(fmt.Sprintf(`tbody a[href="/r/%s"]`, third))
	l.UntilText(".steps .now", "20% on 1 host")
	l.command("promote_full", "in a hurry")
	l.UntilText("h1 .pill", "Succeeded")
	l.Click("main a[href='/s/shop']")
	l.UntilText("main", "3 is stable on 3 hosts")
	l.Until(fmt.Sprintf(`document.querySelector("[data-to=%s]")?.getAttribute("aria-disabled") === "true"`, aborted))
	l.Click("[data-to=shop-1]")
	l.UntilText("#diff", "image: ")
	l.Shoot("history-diff")
	l.Fill("#reason", "customers complain")
	l.submit()
	l.UntilText("tbody tr", "3 → 1")
	l.Shoot("history")
	l.narrow("history")
	l.traced(api.Abort)
	l.traced(api.Rollback)
}

// others looks at the rest of the pages, while the fleet returns.
func (l *live) others() {
	l.t.Helper()
	l.Click("nav a[href='/hosts']")
	l.Until(`document.querySelectorAll("tbody .outcome.pass").length === 3`)
	l.Shoot("hosts")
	l.narrow("hosts")
	l.Click("nav a[href='/cluster']")
	l.UntilText("tbody", "★ leader")
	if n := browsertest.Eval[int](l.Browser, `document.querySelectorAll("tbody tr").length`); n != 3 {
		l.t.Errorf("%d replicas of 3", n)
	}
	l.Until(`[...document.querySelectorAll("tbody tr")].filter((x) => x.innerText.includes("heard of the leader") || x.innerText.includes("leads")).length === 2`)
	l.UntilText("tbody", "does not answer") // the one that was killed
	l.Shoot("cluster")
	l.narrow("cluster")
	l.Click("nav a[href='/']")
	l.UntilText("tbody tr", "shop")
	l.narrow("overview")
	l.Click("tbody a[href='/s/shop']")
	l.UntilText("main", "1 is stable on 3 hosts")
}
