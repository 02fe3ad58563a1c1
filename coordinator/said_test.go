package coordinator

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/cmd/serin/show"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Whatever is decided, the log, the stream (which the console shows as it comes) and
// `serin explain` tell it in the same words; so they do of what is waited for.
func TestTheSameWordsEverywhere(t *testing.T) {
	const first = `,"gates":{"errors":{"max_increase":"1%"}},"steps":[{"hosts":1,"weight":"20%"},{"hosts":"100%","weight":"50%"},{"hosts":"100%","weight":"100%"}]`
	for name, x := range map[string]struct {
		version, spec string
		hosts         int
		then          func(b *bench, id string) // once its first step is taken
		kind          rollout.Kind
		phase         rollout.Phase
		says          string // a part of the sentence
		numbers       string // a part of what stands below it in explain
	}{
		"a pass": {
			version: "2", spec: first, hosts: 3, kind: rollout.KindStep, phase: rollout.Succeeded,
			says: "step 2 of 3: 50% on 3 of 3 hosts: 5xx 0.", numbers: "errors: odds",
		},
		"a gate's failure": {
			version: "bad-2", spec: first, hosts: 3, kind: rollout.KindRollingBack, phase: rollout.RolledBack,
			says: "rolling back at step 1 of 3: 5xx ", numbers: "beyond: 1 in",
		},
		"dead canaries": {
			version: "2", spec: `,"gates":{"errors":"off"},"steps":[{"weight":"20%","hold":"1h"},{}],"deadline":"3h"`, hosts: 3,
			then: func(b *bench, _ string) { b.kill(2) },
			kind: rollout.KindRollingBack, phase: rollout.RolledBack,
			says: "canary containers died on web-01, web-02: exit code 1; its last words: no such table | giving up",
		},
		"lost hosts": {
			version: "2", spec: `,"gates":{"errors":"off"},"steps":[{"weight":"20%","hold":"1h"},{}],"lost_after":"1m","max_lost":0,"deadline":"3h","on_failure":"pause"`, hosts: 3,
			then: func(b *bench, _ string) { b.hush(true, b.agents[2]) },
			kind: rollout.KindPaused, phase: rollout.Paused,
			says: "paused at step 1 of 2: 0% on 3 of 3 hosts: nothing heard of web-03 for 1m0s; 1 is lost, 0 may be",
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, x.hosts, func(b *bench) {
				b.install()
				id := b.must(api.Trigger{ID: "next", Spec: specText("shop/checkout:"+x.version, x.spec)})
				b.until(id, rollout.Progressing)
				if x.then != nil {
					x.then(b, id)
				}
				b.until(id, x.phase)
				told := b.sameWords(id)
				k := slices.IndexFunc(told, func(e rollout.Event) bool { return e.Kind == x.kind && strings.Contains(e.Text, x.says) })
				if k < 0 {
					b.t.Fatalf("no event of kind %s says %q: %+v", x.kind, x.says, told)
				}
				if below := strings.Join(api.NumbersOf(told[k], false), "\n"); !strings.Contains(below, x.numbers) {
					b.t.Errorf("below %q stands %q", told[k].Text, below)
				}
			})
		})
	}
}

// kill has the canary die on the first hosts.
func (b *bench) kill(hosts int) {
	for _, a := range b.agents[:hosts] {
		a.mu.Lock()
		a.deaths++
		a.mu.Unlock()
	}
}

// sameWords returns the events of a rollout, and fails the test where the log or an
// explanation tells one in other words.
func (b *bench) sameWords(id string) []rollout.Event {
	b.t.Helper()
	events := slices.DeleteFunc(b.checkEvents(), func(e rollout.Event) bool { return e.Rollout != id })
	logged := b.book.messages(b.t)
	lines := strings.Split(b.explain(id), "\n")
	for _, e := range events {
		if !slices.Contains(logged, e.Text) {
			b.t.Errorf("the log does not say %q", e.Text)
		}
		if line := time.UnixMilli(e.Wall).UTC().Format(time.TimeOnly) + " " + id + " " + e.Text; !slices.Contains(lines, line) {
			b.t.Errorf("explain has no line %q:\n%s", line, strings.Join(lines, "\n"))
		}
	}
	return events
}

// detail is what the leader answers to a question about a rollout.
func (b *bench) detail(what, id string) api.RolloutDetail {
	b.t.Helper()
	d, err := api.DecodeAnswer[api.RolloutDetail](b.request(bus.GetSubject(what, id), ""))
	if err != nil {
		b.t.Fatal(err)
	}
	return d
}

// explain is what `serin explain` prints.
func (b *bench) explain(id string) string {
	b.t.Helper()
	var out bytes.Buffer
	if err := (show.Options{Now: time.Now().UTC()}).Explain(&out, b.detail(api.GetExplain, id)); err != nil {
		b.t.Fatal(err)
	}
	return out.String()
}

// What a rollout waits for is told in the log once, in the words that its status, the
// console and `serin explain` have at that moment.
func TestWaitsAreToldInTheSameWords(t *testing.T) {
	inBubble(t, 1, func(b *bench) {
		b.install()
		b.quiet(true)
		id := b.must(api.Trigger{ID: "next", Spec: specText("shop/checkout:2",
			`,"gates":{"errors":{"max_increase":"1%"}},"steps":[{"weight":"20%"},{"weight":"100%"}],"deadline":"3h"`)})
		b.until(id, rollout.Progressing)
		const none, some = "waits for evidence: no canary requests counted yet", " more canary requests needed"
		seen := map[string]bool{}
		b.watchWaiting(id, none, seen)
		b.quiet(false)
		time.Sleep(3 * time.Second)
		b.quiet(true)
		b.watchWaiting(id, some, seen)
		time.Sleep(10 * time.Minute)
		for _, part := range []string{none, some} {
			said := slices.DeleteFunc(b.book.messages(t), func(m string) bool { return !strings.HasPrefix(m, "waits for evidence") || !strings.Contains(m, part) })
			if len(said) != 1 || !seen[said[0]] {
				t.Errorf("the log says %q; the status has had %v", said, seen)
			}
		}
		d := b.detail(api.GetRollout, id)
		if text := b.explain(id); !strings.Contains(text, "It "+d.Waiting+".") || !strings.Contains(d.Waiting, some) {
			t.Errorf("explain does not say %q:\n%s", d.Waiting, text)
		}
	})
}

// quiet has hosts serve nothing more, or serve again.
func (b *bench) quiet(still bool) {
	for _, a := range b.agents {
		a.mu.Lock()
		a.still = still
		a.mu.Unlock()
	}
}

// watchWaiting notes what a rollout waits for, moment by moment, for a while after
// it has been that.
func (b *bench) watchWaiting(id, part string, seen map[string]bool) {
	b.t.Helper()
	left := 200
	for range 4000 {
		text := b.detail(api.GetRollout, id).Waiting
		seen[text] = true
		if strings.Contains(text, part) {
			left--
		}
		if left == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.t.Fatalf("%s never waited for %q: %v", id, part, seen)
}
