package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/event"
	"github.com/serin-rollouts/serin/internal/localfleet"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// TestFleet takes one fleet of three replicas and three hosts, one of them with
// a HAProxy of its owner's, through everything that may happen to it.
func TestFleet(t *testing.T) {
	t.Parallel()
	f := newFleet(t, localfleet.Config{Name: "e2e", Hosts: 3, Replicas: 3, Lease: lease})
	socket, listen := startOwnHAProxy(t)
	f.Hosts[2].HAProxy = fmt.Sprintf("{mode: existing, socket: %s}", socket)
	f.Hosts[2].Labels = "{fleet: own}"
	w := up(t, f)
	w.rollOut("install", w.file("v1", "[{weight: 100%}]"), rollout.Succeeded, nil)
	w.wantTidy("v1")
	for _, part := range []struct {
		name string
		run  func(*world)
	}{
		{"leader killed", (*world).leaderKilled},
		{"agents killed", (*world).agentsKilled},
		{"leader killed going back", (*world).leaderKilledGoingBack},
		{"agents killed going back", (*world).agentsKilledGoingBack},
		{"triggers", (*world).triggers},
		{"watched", (*world).watched},
		{"own HAProxy", func(w *world) { w.ownHAProxy("http://" + listen + "/") }},
		{"stopped", (*world).stopped},
		{"reboot", (*world).reboot},
		{"control lost", func(w *world) { w.controlLost(socket) }},
		{"quorum lost for good", (*world).quorumLost},
		{"no replica left", (*world).backupRestored},
	} {
		ok := t.Run(part.name, func(t *testing.T) { part.run(w.in(t)) })
		if !ok {
			return // what follows builds on it
		}
	}
}

// leaderKilled: the leader dies in the middle of a rollout.
func (w *world) leaderKilled() {
	noneFailed := w.load(w.serving()...)
	killed := ""
	w.rollOut("leader-killed", w.file("v2", twoSteps), rollout.Succeeded, func(e rollout.Event) {
		if e.Kind != rollout.KindStep || killed != "" {
			return
		}
		killed = w.leader()
		w.t.Logf("kill -9 %s", killed)
		if err := w.Kill(w.t.Context(), killed); err != nil {
			w.t.Error(err)
		}
	})
	if leader := w.leader(); leader == killed {
		w.t.Fatalf("%s leads although it is dead", killed)
	}
	noneFailed()
	w.wantTidy("v2")
	w.wantEventsComplete()
	w.comeBack(killed)
	if s := ask[api.ServiceStatus](w, api.GetService, service); s.Stable == nil || s.Stable.Version != "v2" || s.Rollout.Phase != rollout.Succeeded {
		w.t.Errorf("%s says %+v", killed, s)
	}
	w.wantEventsComplete()
}

// comeBack starts a replica that was killed, and has it lead: only one that has
// caught up can take over.
func (w *world) comeBack(killed string) {
	w.t.Helper()
	if err := w.Start(killed); err != nil {
		w.t.Fatal(err)
	}
	eventually(w.t, killed+" catches up and leads", func() error {
		if w.leader() == killed {
			return nil
		}
		member, err := json.Marshal(api.Member{ID: killed})
		if err != nil {
			return err
		}
		reply := w.request(bus.CommandSubject(api.Cluster, api.Transfer), member)
		return fmt.Errorf("transfer: %s", reply.Message)
	})
}

func (w *world) leader() string {
	w.t.Helper()
	return ask[api.ClusterStatus](w, api.GetCluster, "").Leader
}

// agentsKilled: agents die in the middle of whatever they do: creating,
// raising, draining, stopping.
func (w *world) agentsKilled() {
	noneFailed := w.load(w.serving()...)
	chance := newChance(w.t)
	for i, file := range []string{w.file("v1", twoSteps), w.ungated("v2", "[{weight: 20%, hold: 2s}, {weight: 100%, hold: 1s}]")} {
		hosts := w.managed()
		w.rollOut(fmt.Sprintf("agents-killed-%d", i), file, rollout.Succeeded, func(e rollout.Event) {
			if !slices.Contains([]rollout.Kind{rollout.KindSubmitted, rollout.KindStep, rollout.KindPromoting}, e.Kind) {
				return
			}
			// What an agent does about an event takes some hundred milliseconds.
			<-time.After(time.Duration(chance.IntN(400)) * time.Millisecond)
			w.killAgent(hosts[(e.Step+i)%len(hosts)])
		})
		w.wantTidy([]string{"v1", "v2"}[i])
	}
	noneFailed()
	w.wantEventsComplete()
}

// killAgent kills an agent and starts it again.
func (w *world) killAgent(h *localfleet.Host) {
	doing := w.doing(h)
	if err := w.Kill(w.t.Context(), h.Name); err != nil {
		w.t.Error(err)
		return
	}
	w.t.Logf("kill -9 of %s, which was at %q", h.Name, doing)
	if err := w.Start(h.Name); err != nil {
		w.t.Error(err)
	}
}

// doing is what a host last said that it does, for the record of the test.
func (w *world) doing(h *localfleet.Host) string {
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Second)
	defer cancel()
	s, err := localfleet.Ask[api.HostStatus](ctx, w.conn, api.GetHost, h.Name)
	if err != nil {
		return err.Error()
	}
	var all []string
	for _, s := range s.Services {
		all = append(all, s.Doing)
	}
	return strings.Join(all, ", ")
}

// triggers: one id starts one rollout, however often and by whatever way it
// comes; another trigger is told what is in its way.
func (w *world) triggers() {
	waits := w.file("v1", "[{weight: 0%, approve: true}, {weight: 100%}]")
	same, err := localfleet.Trigger("same", waits, "test")
	if err != nil {
		w.t.Fatal(err)
	}
	subject := bus.TriggerSubject(service)
	for range 3 {
		if err := w.conn.Publish(subject, same); err != nil {
			w.t.Fatal(err)
		}
	}
	first := w.request(subject, same)
	if again := w.request(subject, same); !first.OK || !again.OK || first.Rollout == "" || again.Rollout != first.Rollout {
		w.t.Fatalf("I3: the same trigger is answered %+v, then %+v", first, again)
	}
	other, err := localfleet.Trigger("other", w.file("v3", twoSteps), "test")
	if err != nil {
		w.t.Fatal(err)
	}
	if r := w.request(subject, other); r.OK || r.Code != rollout.CodeConflict || r.Rollout != first.Rollout {
		w.t.Errorf("I15: another trigger is answered %+v while %s runs", r, first.Rollout)
	}
	eventually(w.t, "the refusal of a published trigger", func() error {
		w.publish("published", w.file("v3", twoSteps)) // again, since nobody may have heard it
		if n := w.count(func(e rollout.Event) bool { return e.Kind == rollout.KindRefused && e.Key == "id:demo:published" }); n != 1 {
			return fmt.Errorf("%d events", n)
		}
		return nil
	})
	w.serin(0, "abort", first.Rollout, "--yes")
	events := w.follow("same", nil)
	if last := events[len(events)-1]; last.Phase != rollout.Aborted || last.Rollout != first.Rollout {
		w.t.Errorf("it ended as %+v", last)
	}
	if n := w.count(func(e rollout.Event) bool { return e.Kind == rollout.KindSubmitted && e.Key == "id:demo:same" }); n != 1 {
		w.t.Errorf("I3: one id began %d rollouts", n)
	}
	w.wantTidy("v2")
}

// count counts the stored events that match.
func (w *world) count(match func(rollout.Event) bool) int {
	w.t.Helper()
	n := 0
	err := w.conn.Events(w.t.Context(), bus.Filter{Service: service}, func(m bus.EventMsg) error {
		e, err := event.Decode(m.Data)
		if err == nil && match(e) {
			n++
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// shop is the service behind the HAProxy that belongs to somebody else.
const shop = "shop"

// startShop starts a rollout of the shop by the command line.
func (w *world) startShop(wantCode int, version, steps string, flags ...string) {
	w.t.Helper()
	file := w.Dir + "/shop.yaml"
	writeFile(w.t, file, fmt.Sprintf(`service: %s
image: %s
hosts: {labels: {fleet: own}}
backend: the_shop
container: {port: %d, stop_grace: 5s, health: {path: %s}}
steps: %s
gates: {errors: {max_increase: 20%%, min_requests: 20}}
deadline: 10m
`, shop, w.Image(version), localfleet.AppPort, localfleet.HealthPath, steps))
	w.t.Log(w.serin(wantCode, append([]string{"start", file}, flags...)...))
}

// ownHAProxy: install, canary by weights and promotion on a HAProxy that
// belongs to somebody else, driven by the command line.
func (w *world) ownHAProxy(url string) {
	w.startShop(0, "v1", "[{weight: 100%}]", "--timeout", "5m")
	noneFailed := w.load(url)
	w.startShop(0, "v2", twoSteps, "--timeout", "5m")
	noneFailed()
	if got := w.version(url); got != "v2" {
		w.t.Errorf("%s is answered by %s", url, got)
	}
	s := ask[api.ServiceStatus](w, api.GetService, shop)
	if s.Stable == nil || s.Stable.Version != "v2" || s.Running {
		w.t.Errorf("afterwards: %+v", s)
	}
}

// version asks a frontend which version answers.
func (w *world) version(url string) string {
	w.t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: %s", url, answer.Status)
	}
	return answer.Header.Get("X-Serin-Demo")
}

// reboot: hosts come up again while there is no coordinator and no bus, and
// serve what they served; then the coordinators come back.
func (w *world) reboot() {
	ctx := bounded(w.t, patience)
	for _, r := range w.Replicas {
		if err := w.Kill(ctx, r.Name); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, h := range w.managed() {
		if err := w.Crash(ctx, h); err != nil {
			w.t.Fatal(err)
		}
		if answer, err := http.Get(h.URL(w.Port)); err == nil {
			_ = answer.Body.Close()
			w.t.Fatalf("%s answers although it is down", h.Name)
		}
	}
	for _, h := range w.managed() {
		if err := w.Start(h.Name); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, url := range w.serving() {
		eventually(w.t, "I13: "+url+" serves stable", func() error {
			answer, err := http.Get(url)
			if err != nil {
				return err
			}
			_ = answer.Body.Close()
			if v := answer.Header.Get("X-Serin-Demo"); v != "v2" || answer.StatusCode != http.StatusOK {
				return fmt.Errorf("%s by %q", answer.Status, v)
			}
			return nil
		})
	}
	noneFailed := w.load(w.serving()...)
	for _, r := range slices.Backward(w.Replicas) {
		if err := w.Start(r.Name); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := w.AwaitHosts(w.t.Context(), len(w.Hosts)); err != nil {
		w.t.Fatal(err)
	}
	w.wantTidy("v2")
	noneFailed()
	w.wantEventsComplete()
}
