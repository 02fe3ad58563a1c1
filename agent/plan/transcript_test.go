package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// TestTranscripts replays testdata: read those files to learn the machine.
//
//	assign [stable=rev:replicas] [canary=rev:replicas] [weight=bp] [prefetch=image]
//	licence on|off      a leader's licence comes, or expires
//	run [max=n]         do what Next says until it waits, asks, or is settled
//	break [parts=n]     do only the first n parts of the next operation: a crash
//	die container=id    a container dies
//	ceiling bp=n        a broadcast, or the loss of the lease
//	set ...             open requests, old workers, slots that are down
//	pass seconds=n      time goes by
//	look                draw the host
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if strings.Contains(path, "rapid") {
			return
		}
		s := &session{w: newWorld()}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			return s.run(t, d)
		})
	})
}

type session struct {
	w *world
	a rollout.Assignment
}

func (s *session) run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	switch d.Cmd {
	case "assign":
		return s.assign(t, d)
	case "licence":
		s.w.mayRaise = d.HasArg("on")
		if s.w.mayRaise {
			s.w.ceiling = rollout.Full
		}
	case "run":
		most := 100
		d.MaybeScanArgs(t, "max", &most)
		return s.until(most)
	case "break":
		parts := 0
		d.MaybeScanArgs(t, "parts", &parts)
		op := plan.Next(s.a, s.w.host())
		s.w.do(op, parts)
		return fmt.Sprintf("%s: broken off after %d parts\n", op, parts)
	case "die":
		var id string
		d.ScanArgs(t, "container", &id)
		s.w.die(id)
	case "ceiling":
		d.ScanArgs(t, "bp", &s.w.ceiling)
		s.w.mayRaise = false
	case "set":
		s.set(d)
	case "pass":
		var seconds int
		d.ScanArgs(t, "seconds", &seconds)
		s.w.now += time.Duration(seconds) * time.Second
	case "look":
		return s.w.String()
	default:
		t.Fatalf("unknown command %q", d.Cmd)
	}
	return "ok\n"
}

func (s *session) assign(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	s.a = rollout.Assignment{Service: "shop", Epoch: s.a.Epoch + 1, Rollout: "shop-1"}
	read := func(key string) *rollout.Revision {
		if !d.HasArg(key) {
			return nil
		}
		var text string
		d.ScanArgs(t, key, &text)
		id, count, _ := strings.Cut(text, ":")
		replicas := 1
		if count != "" {
			if _, err := fmt.Sscan(count, &replicas); err != nil {
				t.Fatal(err)
			}
		}
		return revision(id, replicas)
	}
	s.a.Stable, s.a.Canary = read("stable"), read("canary")
	d.MaybeScanArgs(t, "weight", &s.a.Weight)
	if d.HasArg("prefetch") {
		var image string
		d.ScanArgs(t, "prefetch", &image)
		s.a.Prefetch = []string{image}
	}
	return "ok\n"
}

// until does operations until there is nothing to do at once.
func (s *session) until(most int) string {
	var b strings.Builder
	for range most {
		op := plan.Next(s.a, s.w.host())
		b.WriteString(op.String() + "\n")
		switch op.(type) {
		case plan.Wait, plan.Ask, plan.Settled:
			return b.String()
		default:
		}
		s.w.do(op, enough)
	}
	return b.String()
}

func (s *session) set(d *datadriven.TestData) {
	for _, arg := range d.CmdArgs {
		switch arg.Key {
		case "busy":
			s.w.sticky[arg.Vals[0]] = true
		case "old-workers":
			s.w.oldWorkers = slices.Equal(arg.Vals, []string{"yes"})
		case "unready":
			s.w.unready = map[string]bool{arg.Vals[0]: true}
		case "down":
			s.w.downSlots = map[string]bool{arg.Vals[0]: true}
		}
	}
}
