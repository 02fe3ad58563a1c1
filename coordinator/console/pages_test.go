package console

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/serin-rollouts/serin/coordinator/difference"
	"github.com/serin-rollouts/serin/internal/browsertest"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// What a leader would say of a fleet in which much is wrong at once.
const (
	troubledServices = `{"ok":true,"data":[{"service":"shop","stable":{"id":"r1","version":"1","name":"shop:1","image":"shop@sha256:1"},"running":true,"hosts":3,"epoch":9,
		"frozen":[{"service":"_fleet","by":"ann","reason":"release week","since":1,"until":32503680000000}],"held":[{"host":"web-03","revision":"r0","version":"0","rollout":"shop-1","why":"its canary alone was bad"}],
		"rollout":{"id":"shop-2","service":"shop","phase":"Paused","from":"1","to":"2","image":"shop@sha256:2","step":1,"steps":2,"weight":1000,"reached":2,"fleet":3,"needs_approval":true,"cause":"approval","waiting":"waits for approval","started":1}},
		{"service":"auth","running":true,"hosts":1,"epoch":2,"rollout":{"id":"auth-4","service":"auth","phase":"Progressing","from":"3","to":"4","image":"auth@sha256:4","step":1,"steps":2,"weight":1000,"reached":1,"fleet":1,"started":1,
			"verdict":{"outcome":"wait","canary":{"requests":200,"errors":5},"stable":{"requests":1800,"errors":2}}}},
		{"service":"bill","running":true,"hosts":1,"epoch":2,"rollout":{"id":"bill-4","service":"bill","phase":"Paused","from":"3","to":"4","image":"bill@sha256:4","step":1,"steps":2,"weight":1000,"reached":1,"fleet":1,"needs_approval":true,"cause":"operator","waiting":"paused: by ann: lunch","started":1}},
		{"service":"cart","running":false,"hosts":0,"epoch":0}]}`
	troubledService = `{"ok":true,"data":{"service":"shop","stable":{"id":"r1","version":"1","name":"shop:1","image":"shop@sha256:1"},"running":false,"hosts":3,"epoch":9,
		"frozen":[{"service":"shop","by":"bob","since":1},{"service":"_fleet","by":"ann","reason":"release week","since":1,"until":32503680000000}],"held":[{"host":"web-03","revision":"r0","version":"0","rollout":"shop-1","why":"its canary alone was bad"}]}}`
	troubledHistory = `{"ok":true,"data":{"service":"shop","stable":{"id":"r1","version":"1","name":"shop:1","image":"shop@sha256:1"},"no_return":{"shop-1":"1 is stable"},"rollouts":[
		{"id":"shop-1","service":"shop","phase":"Succeeded","from":"0","to":"1","started":1,"ended":5000,"by":"ann"},
		{"id":"shop-0","service":"shop","phase":"Succeeded","to":"0","started":1,"ended":5000,"by":"ann"}]}}`
	troubledHosts = `{"ok":true,"data":[{"host":"web-01","version":"1.2.3","docker":"20.10","haproxy":"2.6","seen_ms":400,"live":true,"skew_ms":-4200,"labels":{"role":"web"},
		"services":[{"service":"shop","epoch":9,"settled":true,"stable":"r1","stable_version":"1","canary":"r2","canary_version":"2","stable_ready":1,"canary_ready":1,"weight":1000}]},
		{"host":"web-02","version":"1.2.3","seen_ms":93000,"live":false,"skew_ms":0,"services":[{"service":"shop","epoch":8,"stable":"r1","stable_ready":0,"deaths":1,"death":"exit code 1; its last words: no such table","problem":"no space left on device"}]},
		{"host":"web-03","version":"1.2.3","seen_ms":100,"live":true,"skew_ms":0,"services":[{"service":"shop","epoch":9,"settled":true,"held":true,"stable":"r0","stable_version":"0","stable_ready":1}]}]}`
	troubledRollout = `{"ok":true,"data":{"id":"shop-2","service":"shop","phase":"Paused","from":"1","to":"2","image":"shop@sha256:2","step":2,"steps":3,"weight":1000,"reached":2,"fleet":3,
		"needs_approval":true,"cause":"approval","waiting":"waits for approval","explanation":"shop-2 (2 over 1) is Paused.","started":1,"hold_left":42000,"deadline_left":7260000,"lost":["web-09"],"excluded":[{"host":"web-08","why":"its canary alone is bad"}],
		"path":[{"hosts":1,"weight":500,"share":166,"hold":0,"state":"done"},{"hosts":2,"weight":1000,"share":666,"hold":60000,"approve":true,"state":"now"},{"hosts":3,"weight":10000,"share":10000,"hold":0,"state":"ahead"}],
		"hosts":[{"host":"web-01","reached":true,"heard":true,"settled":true,"weight":1000},{"host":"web-02","reached":true,"heard":true,"settled":false,"weight":0,"problem":"no space left on device"},{"host":"web-03","heard":false,"settled":false,"weight":0}],
		"verdict":{"outcome":"wait","gate":"errors","reason":"too few","canary":{"requests":200,"errors":4},"stable":{"requests":1800,"errors":2},"gates":[
			{"name":"errors","kind":"errors","outcome":"wait","reason":"too few requests","canary":{"requests":200,"errors":4},"stable":{"requests":1800,"errors":2},"allowed_bp":100,"evidence":{"fail":2000,"fail_limit":5300,"safe":100,"safe_limit":5300},"needed":340},
			{"name":"saturation","kind":"saturation","outcome":"pass","reason":"memory is alike","canary_memory":104857600,"stable_memory":104857600}]},
		"verbs":[{"name":"promote","does":"gives the approval that step 1 of 2 waits for"},{"name":"promote_full","does":"makes 2 stable"},{"name":"pause","does":"holds it","why":"cannot pause shop-2: it is Paused"},{"name":"resume","does":"lets it go on"},{"name":"abort","does":"takes it back"}]}}`
	troubledCluster = `{"ok":true,"data":{"leader":"c2","term":4,"applied":90,"commit":91,"members":[{"id":"c1","addr":"10.0.0.1:7311","voter":true,"standing":{"version":"1.2.3","role":"follower","term":4,"last":90,"applied":88,"contact_ms":2300,"nats":"nats://10.0.0.1:4222","embedded":true,"reconnects":1}},{"id":"c2","addr":"10.0.0.2:7311","voter":true,"leader":true,"standing":{"version":"1.2.3","role":"leader","term":4,"last":90,"applied":90,"contact_ms":0,"nats":"nats://10.0.0.2:4222","embedded":true,"streams":true,"peers":3}},{"id":"c3","addr":"10.0.0.3:7311","voter":false}],"hosts":2,"events":12,"outbox":1,"dropped_reports":7}}`
)

// saidOfShop is what an event of its rollout says.
const saidOfShop = "step 2 of 3: 10% on 2 of 3 hosts: 5xx 2.00% (4 of 200) on canary, 0.11% (2 of 1800) on stable"

// backToShop0 is what a return to its version 0 changes, as a coordinator says it.
func backToShop0(t *testing.T) string {
	t.Helper()
	version := func(tag, mode string) difference.Side {
		spec := rollout.Spec{Image: "shop:" + tag, Container: rollout.Container{Env: map[string]string{"MODE": mode}}}
		return difference.Side{Revision: rollout.NewRevision(spec, "shop@sha256:"+tag), Spec: spec}
	}
	data, err := json.Marshal(difference.Of(version("1", "new"), version("0", "old")))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// troubled serves a fleet in which much is wrong.
func troubled(t *testing.T, cfg Config) *site {
	t.Helper()
	cfg.Replica = "c1"
	s := serve(t, cfg)
	s.bus.run("auth-4")
	s.bus.tell(7, "shop", "shop-2", `{"specversion":"1.0","id":"7","time":"2026-11-22T23:56:42.815Z","data":{"seq":7,"kind":"step","service":"shop","rollout":"shop-2","step":2,"by":"serin","text":"`+saidOfShop+`","verdict":{"outcome":"pass","canary":{"requests":1000,"errors":4},"stable":{"requests":2000,"errors":0}}}}`)
	for subject, answer := range map[string]string{
		"get.services": troubledServices, "get.service.shop": troubledService, "get.history.shop": troubledHistory, "get.hosts": troubledHosts,
		"get.rollout.shop-2": troubledRollout, "get.cluster": troubledCluster,
		"get.explain.shop-2":  `{"ok":true,"data":{"id":"shop-2","explanation":"what was said some seconds ago.","decisions":[{"seq":7,"kind":"step","text":"` + saidOfShop + `","numbers":["errors: odds 1.1 (0.60 to 2.1); allowed +1 points; within: 1 in 40","latency-p99: odds not known yet"]}]}}`,
		"get.diff.shop-0":     `{"ok":true,"data":{"service":"shop","rollout":"shop-0","from":{"version":"1"},"to":{"version":"0"},"changes":` + backToShop0(t) + `,"path":[{"hosts":3,"weight":2500,"share":2500,"hold":2000},{"hosts":3,"weight":10000,"share":10000,"hold":0}]}}`,
		"cmd.release.shop":    `{"ok":true}`,
		"cmd.abort.shop":      `{"ok":true,"rollout":"shop-2"}`,
		"cmd.rollback.shop":   `{"ok":true,"rollout":"shop-3"}`,
		"cmd.promote.shop":    `{"ok":false,"code":"phase","message":"web-01 has not taken step 1 yet"}`,
		"get.rollout.nothing": `{"ok":false,"code":"unknown","message":"no rollout or service \"nothing\""}`,
	} {
		s.bus.answer("serin.v1."+subject, strings.Join(strings.Fields(answer), " "))
	}
	return s
}

func (f *fake) heard(part string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, asked := range f.asked {
		if strings.Contains(asked, part) {
			return true
		}
	}
	return false
}

// Pages show what is wrong in words, and buttons do what they say.
func TestPagesOfATroubledFleet(t *testing.T) {
	b, s := browsertest.Open(t), troubled(t, Config{Operate: true})
	b.Go(s.URL + "/")
	// What waits for an approval is on top; what somebody has paused does not.
	b.Until(`[...document.querySelectorAll("tbody th")].map((x) => x.innerText.split(" ")[0]).join() === "shop,bill,auth,cart"`)
	b.UntilText("[data-key=service-bill] .pill", "Paused")
	b.UntilText("[data-key=service-shop] .pill", "Waits for you")
	b.UntilText("[data-key=service-shop]", "1 held back")
	b.UntilText("[data-key=service-shop] .badge:last-child", "frozen")
	b.UntilText("[data-frozen=_fleet]", "The fleet is frozen by ann until ")
	b.UntilText("[data-frozen=_fleet]", ": release week. No rollout begins; what runs goes on, and the way back is open. serin thaw ends it.")
	b.UntilText("[data-key=service-auth]", "canary 2.50%, stable 0.11%")
	b.Key("/")
	b.Until(`document.activeElement.id === "filter"`)
	b.Fill("#filter", "") // a driven browser types the key all the same
	b.Key("c")
	b.Until(`document.querySelectorAll("tbody tr").length === 1 && document.querySelector("tbody th").innerText === "cart"`)
	b.Fill("#filter", "")
	b.Shoot("troubled-overview")
	b.Until(`document.querySelector(".spark .line.canary").getTotalLength() > 1`)
	b.Width(390) // every cell can be read without scrolling sideways, beside its heading
	b.Until(`document.documentElement.scrollWidth <= 390 && [...document.querySelectorAll("td")].every((cell) => {
		const text = document.createRange(), box = cell.getBoundingClientRect();
		text.selectNodeContents(cell);
		return box.right <= 390 && (cell.innerText === "" || text.getBoundingClientRect().left - box.left > 90);
	})`)
	b.Shoot("narrow-overview")
	b.Width(1280)

	b.Go(s.URL + "/r/shop-2")
	b.UntilText("#explanation", "is Paused")
	b.UntilText("[data-seq='7'] .numbers", "odds 1.1") // the explanation has come, and is older than what is shown
	b.UntilText("#explanation", "is Paused")
	b.Until(`document.querySelector(".waiting").innerText === "Now: waits for approval"`)
	b.Until(`document.querySelector("[data-seq='7'] .said").textContent === "` + saidOfShop + `"`)
	b.UntilText("[data-seq='7'] .numbers", "odds 1.1 (0.60 to 2.1)")
	b.Until(`document.querySelectorAll("[data-seq='7'] .numbers li").length === 2`)
	b.UntilText(".steps .now", "10% on 2 hosts")
	b.UntilText(".steps .now", "42s left of 1m00s")
	b.UntilText("#deadline", "Goes back in 2h01m")
	b.UntilText(".tile.bad", "!")
	b.Until(`document.querySelector(".tile.silent").getAttribute("aria-label").includes("silent")`)
	b.UntilText(".troubles", "web-09: it is silent")
	b.UntilText(".gauge", "38%")
	b.Until(`[...document.querySelectorAll("td")].some((x) => x.innerText === "+1 points")`)
	b.Click(`.tile[data-key="tile-web-02"]`)
	b.UntilText("#host", "no space left on device")
	b.UntilText("#host", "exit code 1; its last words: no such table")
	b.UntilText(".steps .now .outcome", "… waits: 2.00% of 200 requests failed, stable 0.11%")
	b.UntilText(".steps .done .outcome", "✓ passes: 0.40% of 1000 requests failed, stable 0.00%")
	b.Until(`document.querySelector('[data-op=pause]').getAttribute("aria-disabled") === "true"`)
	b.Click("[data-op=pause]")
	b.UntilText("#said", "cannot pause shop-2: it is Paused")
	b.Click("[data-op=promote]")
	b.UntilText("dialog[open]", "gives the approval")
	b.Click("dialog button[type=submit]")
	b.UntilText("dialog .problem", "web-01 has not taken step 1 yet")
	b.Key("\x1b")
	b.Until(`!document.querySelector("dialog[open]")`)
	byKeys(b)
	b.Shoot("troubled-rollout")
	b.Width(390)
	b.Until(`document.documentElement.scrollWidth <= 390`)
	b.Shoot("narrow-rollout")
	b.Width(1280)

	b.Go(s.URL + "/hosts")
	b.UntilText("tbody", "✕ silent")
	b.UntilText("tbody", "behind by 4s")
	b.Shoot("troubled-hosts")
	b.Go(s.URL + "/cluster")
	b.UntilText("tbody", "★ leader")
	b.UntilText("tbody tr:first-child", "is served by it")
	b.UntilText("tbody tr:first-child", "entry 88, 2 behind; heard of the leader 2s ago")
	b.UntilText("tbody tr:first-child", "✕ embedded, JetStream has no leader; reconnected 1 time")
	b.UntilText("[data-key=member-c2]", "entry 90; leads")
	b.UntilText("[data-key=member-c2]", "✓ embedded, JetStream of 3 servers")
	b.UntilText("[data-key=member-c3]", "✕ does not answer")
	b.Shoot("troubled-cluster")
	b.Go(s.URL + "/r/nothing")
	b.UntilText("main", `no rollout or service "nothing"`)

	b.Go(s.URL + "/s/shop")
	b.UntilText(".held", "web-03 keeps 0")
	b.UntilText("[data-frozen=shop]", "shop is frozen by bob. No rollout begins; what runs goes on, and the way back is open. serin thaw shop ends it.")
	b.Until(`document.querySelectorAll("[data-frozen]").length === 2`)
	b.Click("[data-op=release]")
	b.Click("dialog button[type=submit]")
	b.UntilText("#said", "Release web-03: done")
	b.Until(`!document.querySelector("dialog[open]")`)
	b.Click(`[data-to="shop-1"]`)
	b.UntilText("#said", "1 is stable")
	b.Click(`[data-to="shop-0"]`)
	b.UntilText("#diff", "container.env.MODE: new -> old")
	b.UntilText("dialog[open]", "in steps: 25% on 3 hosts for 2s, 100% on 3 hosts. Each waits until all hosts have taken it; no gate holds it up")
	b.Shoot("diff")
	b.Click("dialog button[type=submit]") // without a reason nothing goes
	if s.bus.heard("cmd.rollback") {
		t.Error("rolled back without a reason")
	}
	b.Fill("#reason", "prices are wrong")
	b.Click("dialog button[type=submit]")
	b.UntilText("#said", "done")
	for _, part := range []string{`cmd.release.shop {"by":"console","host":"web-03"}`, `"by":"console","reason":"prices are wrong","to":"shop-0"}`} {
		if !s.bus.heard(part) {
			t.Errorf("the bus has not heard %s", part)
		}
	}
	b.Quiet("409", "404") // what was refused, as it should be
}

// byKeys comes to a button, through the question that it asks and back to it,
// without a mouse.
func byKeys(b *browsertest.Browser) {
	b.Until("(document.activeElement.blur(), true)")
	const focused = `document.activeElement.dataset.op === "abort"`
	for range 50 {
		if browsertest.Eval[bool](b, focused) {
			break
		}
		b.Key("\t")
	}
	b.Until(focused)
	b.Key("\r")
	b.Until(`document.querySelector("dialog[open]") && document.activeElement.id === "reason"`)
	b.Key("\r") // without a reason it stays
	b.Until(`document.querySelector("#reason:invalid")`)
	b.Key("x")
	b.Until(`document.querySelector("#reason").value === "x"`)
	b.Key("\r")
	b.UntilText("#said", "Abort shop-2: done")
	b.Until(`!document.querySelector("dialog[open]")`)
	b.Until(focused)
}

// Who has no token sees a login, and who may only look sees why buttons are off.
func TestLoginPage(t *testing.T) {
	b := browsertest.Open(t)
	s := troubled(t, Config{Tokens: tokens(t, line("ann", "operator", annToken), line("bob", "viewer", bobToken))})
	b.Go(s.URL + "/r/shop-2")
	b.Fill("#token", "nonsense-nonsense")
	b.Click("form button")
	b.UntilText("#said", "not known")
	b.Shoot("login")
	b.Fill("#token", bobToken)
	b.Click("form button")
	b.UntilText("#who", "bob, viewer")
	b.UntilText("#why-abort", "the role is viewer")
	b.Click("[data-op=abort]")
	b.Until(`!document.querySelector("dialog[open]")`)
	b.Click("#who button")
	b.Fill("#token", annToken)
	b.Click("form button")
	b.UntilText("#who", "ann, operator")
	b.Until(`document.querySelector("[data-op=abort]")?.getAttribute("aria-disabled") === "false"`)
	b.Go(s.URL + "/s/shop") // the cookie stays
	b.UntilText("#who", "ann, operator")
	b.Quiet("401")
}
