package check

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/chaos/history"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// quiet is a run of one service on one host in which all is well: an install of
// v1, and a rollout of v2 that goes back, which a fault of the host's surrounds.
func quiet() *history.Record {
	r := &history.Record{Lease: 10 * time.Second, Hosts: []string{"h1"}, Took: 200 * time.Second}
	event := func(at int, e rollout.Event) {
		e.Seq, e.Service = uint64(len(r.End.Events))+1, "shop"
		e.Index = e.Seq
		r.End.Events = append(r.End.Events, e)
		r.Events = append(r.Events, history.Event{At: seconds(at), Event: e})
	}
	first := rollout.Event{Rollout: "shop-1", To: "v1"}
	second := rollout.Event{Rollout: "shop-2", From: "v1", To: "v2"}
	with := func(e rollout.Event, k rollout.Kind, p rollout.Phase) rollout.Event {
		e.Kind, e.Phase, e.Step, e.Steps, e.Text = k, p, 1, 1, string(k)
		return e
	}
	submitted := with(first, rollout.KindSubmitted, rollout.Preparing)
	submitted.Key = "id:shop:a"
	event(1, submitted)
	event(2, with(first, rollout.KindStep, rollout.Progressing))
	event(3, with(first, rollout.KindPromoting, rollout.Promoting))
	event(4, with(first, rollout.KindSucceeded, rollout.Succeeded))
	submitted = with(second, rollout.KindSubmitted, rollout.Preparing)
	submitted.Key = "id:shop:b"
	event(11, submitted)
	event(12, with(second, rollout.KindStep, rollout.Progressing))
	event(20, with(second, rollout.KindRollingBack, rollout.RollingBack))
	event(21, with(second, rollout.KindRolledBack, rollout.RolledBack))
	r.Plans = []history.Plan{{ID: "a", Service: "shop", Version: "v1"}, {ID: "b", Service: "shop", Version: "v2", Ill: "errs"}}
	r.Ops = []history.Op{
		{Verb: history.Trigger, Service: "shop", ID: "a", Version: "v1", Called: seconds(0), Back: seconds(1), Reply: api.Reply{OK: true, Rollout: "shop-1"}},
		{Verb: history.Look, Service: "shop", Called: seconds(5), Back: seconds(6), Seen: history.View{Last: "shop-1", To: "v1", Step: 1, Stable: "v1", Phase: rollout.Succeeded}},
		{Verb: history.Trigger, Service: "shop", ID: "b", Version: "v2", Called: seconds(10), Back: seconds(11), Reply: api.Reply{OK: true, Rollout: "shop-2"}},
		{Client: 1, Verb: history.Trigger, Service: "shop", ID: "c", Version: "v3", Called: seconds(13), Back: seconds(14), Reply: api.Reply{Code: rollout.CodeConflict, Rollout: "shop-2"}},
		{Client: 1, Verb: history.Look, Service: "shop", Called: seconds(15), Back: seconds(16), Seen: history.View{Running: "shop-2", Last: "shop-2", To: "v2", Step: 1, Stable: "v1", Phase: rollout.Progressing}},
		{Verb: history.Look, Service: "shop", Called: seconds(25), Back: seconds(26), Seen: history.View{Last: "shop-2", To: "v2", Step: 1, Stable: "v1", Phase: rollout.RolledBack}},
	}
	r.Faults = []history.Fault{{Kind: "host-kill", Targets: []string{"h1"}, Users: true, Began: seconds(50), Healed: seconds(55), Recovered: seconds(60)}}
	r.Replicas = []string{"c1", "c2", "c3"}
	cut := history.Fault{Kind: leaderCut, Targets: []string{"c1"}, Began: seconds(120), Mending: seconds(130), Healed: seconds(130), Recovered: seconds(131)}
	alone := history.Fault{Kind: quorumKill, Targets: r.Replicas, Began: seconds(140), Mending: seconds(160), Healed: seconds(161), Recovered: seconds(163)}
	r.Faults = append(r.Faults, cut, alone)
	r.Reports = []history.Report{report(2, "run1", 1, 3), report(13, "run1", 2, 9), report(14, "run2", 1, 9), report(20, "run1", 3, 9)}
	r.Licences = []history.Licence{{At: seconds(122), Leader: "c1", Host: "h1"}, {At: seconds(125), Leader: "c2", Host: "h1"}, {At: seconds(131), Leader: "c1", Host: "h1"}}
	r.Stops = []history.Stop{stop(22), stop(142), stop(161)}
	r.Weights = []history.Weight{{At: seconds(13), Host: "h1", Service: "shop", Share: 2000}, {At: seconds(21), Host: "h1", Service: "shop"}}
	r.Requests = []history.Request{
		{At: seconds(13), Took: time.Second, Host: "h1", Service: "shop", Version: "v2", Status: 500},
		{At: seconds(58), Took: time.Second, Host: "h1", Service: "shop", Failure: "connection refused"},
		{At: seconds(90), Took: time.Second, Host: "h1", Service: "shop", Version: "v1", Owner: "shop", Status: 200},
	}
	label := map[string]string{serviceLabel: "shop", revisionLabel: "rev1"}
	r.End.Hosts = []history.Rest{{
		Host: "h1", Open: map[string][]string{"shop": {"172.17.0.2"}}, Shares: map[string]int{"shop": 0},
		Containers: []history.Container{
			{ID: "1", Name: "shop", State: running, Address: "172.17.0.2", Labels: label},
			{ID: "2", Name: "stranger", State: running, StartedAt: "later"},
		},
	}}
	r.End.Services = []api.ServiceStatus{{Service: "shop", Stable: &api.Revision{ID: "rev1", Version: "v1"}}}
	r.End.Strangers = []history.Stranger{{Host: "h1", ID: "2", StartedAt: "once"}}
	return r
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// TestQuiet: a run in which all is well breaks no promise.
func TestQuiet(t *testing.T) {
	for _, v := range Record(quiet()) {
		t.Error(v)
	}
}

// TestFates: rollouts are counted by their version and how they ended.
func TestFates(t *testing.T) {
	got := Fates(quiet())
	if len(got) != 2 || got["v1"].Ill != "" || !maps.Equal(got["v1"].Ends, map[string]int{"Succeeded": 1}) {
		t.Errorf("v1: %+v of %+v", got["v1"], got)
	}
	if got["v2"].Ill != "errs" || !maps.Equal(got["v2"].Ends, map[string]int{"RolledBack": 1}) {
		t.Errorf("v2: %+v", got["v2"])
	}
}

// TestEachCanFail: each promise is found broken by what breaks it, and by its name.
func TestEachCanFail(t *testing.T) {
	covered := map[string]bool{}
	for name, c := range map[string]struct {
		promise, says string
		harm          func(*history.Record)
	}{
		"two at once": {I1, "begins while", func(r *history.Record) {
			r.End.Events[4], r.End.Events[3] = swap(r.End.Events[4], r.End.Events[3])
			r.Events = nil
		}},
		"epoch falls":           {I2, "epoch 3 of shop after epoch 9", func(r *history.Record) { r.Reports = append(r.Reports, report(30, "run3", 1, 3)) }},
		"cut off, and licenses": {I12, "c1 licenses h1", func(r *history.Record) { r.Licences[0].At = seconds(124) }},
		"raised after it went back": {I12, "raises the canary of shop from 0 to 100", func(r *history.Record) {
			r.Weights = append(r.Weights, weight(30, 0), weight(31, 100))
		}},
		"raised by nobody": {I13, "from 100 to 200", func(r *history.Record) { r.Weights = append(r.Weights, weight(150, 100), weight(151, 200)) }},
		"ended by nobody":  {I13, "ends a container of shop", func(r *history.Record) { r.Stops[1].At = seconds(155) }},
		"phase skipped":    {I1, "goes from Preparing to Promoting", func(r *history.Record) { r.End.Events[1].Phase = rollout.Promoting }},
		"after its end":    {I1, "goes on after its end", func(r *history.Record) { r.End.Events[6].Phase = rollout.Aborted }},
		"step twice":       {I1, "takes step 1 after step 1", func(r *history.Record) { r.End.Events[6].Kind = rollout.KindStep }},
		"trigger lost":     {I3, "has begun []", func(r *history.Record) { r.End.Events[0].Key = "" }},
		"trigger twice":    {I3, "has begun [shop-1 shop-2]", func(r *history.Record) { r.End.Events[4].Key = "id:shop:a" }},
		"never ends":       {I4, "is RollingBack still", func(r *history.Record) { r.End.Events = r.End.Events[:7] }},
		"weight stays":     {I5, "gives the canary", func(r *history.Record) { r.Weights[1] = weight(31, 2000) }},
		"weight rises":     {I5, "gives the canary", func(r *history.Record) { r.Weights = append(r.Weights, weight(100, 100)) }},
		"after a fault":    {I5, "gives the canary", func(r *history.Record) { r.Weights = append(r.Weights, weight(69, 100)) }},
		"bad answers":      {I5, "is answered by v2", func(r *history.Record) { r.Requests[2].Version = "v2" }},
		"request fails":    {I6, "connection refused", func(r *history.Record) { r.Requests[1].At = seconds(61) }},
		"not for users":    {I6, "connection refused", func(r *history.Record) { r.Faults[0].Users = false }},
		"another host's":   {I6, "connection refused", func(r *history.Record) { r.Faults[0].Targets = []string{"h2"} }},
		"hangs, but not now": {I6, "timeout", func(r *history.Record) {
			r.Plans[1].Ill, r.Requests[2].Failure = Hanging, "timeout"
		}},
		"at once, while one hangs": {I6, "503", func(r *history.Record) {
			r.Plans[1].Ill, r.Requests[0].Failure = Hanging, "503 Service Unavailable"
		}},
		"orphan":             {I8, "of revision rev2", func(r *history.Record) { add(r, history.Container{State: running, Labels: labels("shop", "rev2")}) }},
		"left created":       {I8, "is created", func(r *history.Record) { add(r, history.Container{State: "created", Labels: labels("shop", "rev1")}) }},
		"of no service":      {I8, "no service", func(r *history.Record) { add(r, history.Container{State: running, Labels: labels("other", "rev1")}) }},
		"slot to nowhere":    {I8, "an open slot", func(r *history.Record) { r.End.Hosts[0].Containers[0].Address = "172.17.0.9" }},
		"stranger gone":      {I8, "is gone", func(r *history.Record) { r.End.Hosts[0].Containers = r.End.Hosts[0].Containers[:1] }},
		"stranger stopped":   {I8, "is exited", func(r *history.Record) { r.End.Hosts[0].Containers[1].State = "exited" }},
		"stranger touched":   {I8, "was restarted", func(r *history.Record) { r.Faults[0].Kind = "agent-kill" }},
		"host not read":      {I8, "no dockerd", func(r *history.Record) { r.End.Hosts[0].Problem = "no dockerd" }},
		"wrong revision":     {I10, "0 containers of v1", func(r *history.Record) { r.End.Hosts[0].Containers[0].Labels = labels("shop", "rev2") }},
		"canary left":        {I10, "has 5 basis points", func(r *history.Record) { r.End.Hosts[0].Shares["shop"] = 5 }},
		"two slots":          {I10, "open slots lead to", func(r *history.Record) { r.End.Hosts[0].Open["shop"] = []string{"172.17.0.2", "172.17.0.2"} }},
		"still running":      {I10, "that runs", func(r *history.Record) { r.End.Services[0].Running = true }},
		"state not read":     {I10, "no leader", func(r *history.Record) { r.End.Problem = "no leader" }},
		"event missing":      {I11, "event 3 stands where 2", func(r *history.Record) { r.End.Events = append(r.End.Events[:1], r.End.Events[2:]...) }},
		"event seen twice":   {I11, "saw event 2 after 2", func(r *history.Record) { r.Events[2] = r.Events[1] }},
		"event rewritten":    {I11, "and is \"promoting\" at the end", func(r *history.Record) { r.Events[2].Text = "other" }},
		"no events":          {I11, "there are no events", func(r *history.Record) { r.Events, r.End.Events = nil, nil }},
		"stale look":         {I15, "no order", func(r *history.Record) { r.Ops[4].Seen = r.Ops[1].Seen }},
		"paused, but is not": {I15, "the log does not have it", func(r *history.Record) { r.Ops = append(r.Ops, command(history.Pause, 14)) }},
		"resumed, but is not": {I15, "no order", func(r *history.Record) {
			pauses(r)
			r.Ops = append(r.Ops, command(history.Resume, 25))
		}},
		"looks paused": {I15, "no order", func(r *history.Record) { r.Ops[4].Seen.Phase = rollout.Paused }},
		"replaces what is there": {I15, "no order", func(r *history.Record) {
			r.Ops[3].Replace, r.Ops[3].Reply = true, api.Reply{OK: true, Rollout: "shop-2"}
		}},
		"conflict, though it replaces": {I15, "no order", func(r *history.Record) { r.Ops[3].Replace = true }},
		"in the way of a promotion": {I15, "no order", func(r *history.Record) {
			r.Ops[3].Replace, r.Ops[3].Reply = true, api.Reply{Code: rollout.CodePhase, Rollout: "shop-2"}
		}},
		"wrong stable":                 {I15, "no order", func(r *history.Record) { r.Ops[5].Seen.Stable = "v2" }},
		"same version, and a conflict": {I15, "no order", func(r *history.Record) { r.Ops[3].Version = "v2" }},
		"late conflict":                {I15, "no order", func(r *history.Record) { r.Ops[3].Called, r.Ops[3].Back = seconds(30), seconds(31) }},
		"two accepted":                 {I15, "no order", func(r *history.Record) { r.Ops[3].Reply = api.Reply{OK: true, Rollout: "shop-3"} }},
		"other answer": {I15, "no order", func(r *history.Record) {
			r.Ops = append(r.Ops, repeat(r.Ops[3], api.Reply{Code: rollout.CodeConflict, Rollout: "shop-1"}))
		}},
		"another's container": {Own, "by a container of cafe", func(r *history.Record) { r.Requests[2].Owner = "cafe" }},
		"another's version":   {Own, "answered by v9", func(r *history.Record) { r.Requests[2].Version = "v9" }},
		"bad version":         {Bad, "has promoted v1, which errs", func(r *history.Record) { r.Plans[0].Ill = "errs" }},
		"crash":               {Whole, "exit code 2", func(r *history.Record) { crash(r, 56, "h1") }},
		"no recovery":         {Whole, "not whole again", func(r *history.Record) { r.Faults[0].Recovered = 0 }},
	} {
		r := quiet()
		c.harm(r)
		ok := false
		for _, v := range Record(r) {
			ok = ok || v.Promise == c.promise && strings.Contains(v.What, c.says)
		}
		if !ok {
			t.Errorf("%s: want %q with %q, got %v", name, c.promise, c.says, Record(r))
		}
		covered[c.promise] = true
	}
	for _, p := range Promises() {
		if !covered[p] {
			t.Errorf("nothing shows that %q can fail", p)
		}
	}
}

// TestGoingBack: a version that goes back is not being rolled out any more, so
// another trigger of it is in conflict, and not told that nothing is to do.
func TestGoingBack(t *testing.T) {
	for code, legal := range map[rollout.Code]bool{rollout.CodeConflict: true, rollout.CodeUnchanged: false} {
		r := quiet()
		reply := api.Reply{OK: code == rollout.CodeUnchanged, Unchanged: code == rollout.CodeUnchanged, Code: code, Rollout: "shop-2"}
		during := func(op history.Op) history.Op {
			op.Client, op.Service, op.Called, op.Back = 1, "shop", seconds(20), seconds(20)+time.Millisecond
			return op
		}
		back := during(history.Op{Verb: history.Look, Seen: history.View{Running: "shop-2", Last: "shop-2", To: "v2", Step: 1, Stable: "v1", Phase: rollout.RollingBack}})
		same := during(history.Op{Verb: history.Trigger, ID: "d", Version: "v2", Reply: reply})
		same.Called, same.Back = same.Called+2*time.Millisecond, same.Back+2*time.Millisecond
		r.Ops = append(r.Ops, back, same)
		if got := len(Linear(r)) == 0; got != legal {
			t.Errorf("%s: legal %v, want %v: %v", code, got, legal, Linear(r))
		}
	}
}

// TestCulprit: what is named is the call that cannot be explained, not one before it
// that saw what another call had begun, or what a rollout had done, by then.
func TestCulprit(t *testing.T) {
	r := quiet()
	r.Ops[2].Back = seconds(17)                                                                                               // a look at 15 s sees what it began
	r.Ops = append(r.Ops, history.Op{Client: 1, Verb: history.Look, Service: "shop", Called: seconds(30), Back: seconds(31)}) // of no version
	all := Linear(r)
	if len(all) != 1 || !strings.Contains(all[0].What, "answered at 31s") {
		t.Errorf("%v", all)
	}
	r = steered()
	remove(r, 9) // the approval that the third step needs
	r.Ops = slices.Delete(r.Ops, opSecond, opSecond+1)
	all = Linear(r)
	if len(all) != 1 || !strings.Contains(strings.SplitN(all[0].What, "; under way", 2)[0], "{kind:step phase:Progressing step:3 ") {
		t.Errorf("%v", all)
	}
}

// TestSameVersionWhileAnotherEnds: whether there is anything to do is judged when a
// trigger is decided. One that asks for the stable version while another rollout goes
// back may be in conflict with that, or ask for nothing if that has ended by then; it
// never is a rollout of its own.
func TestSameVersionWhileAnotherEnds(t *testing.T) {
	for code, legal := range map[rollout.Code]bool{"": false, rollout.CodeUnchanged: true, rollout.CodeConflict: true} {
		r := quiet()
		third := rollout.Event{
			Seq: uint64(len(r.End.Events)) + 1, Index: 9, Service: "shop", Rollout: "shop-3", From: "v1", To: "v1",
			Kind: rollout.KindSubmitted, Phase: rollout.Preparing, Step: 1, Key: "id:shop:d",
		}
		same := history.Op{Verb: history.Trigger, Service: "shop", ID: "d", Version: "v1", Called: seconds(20), Back: seconds(22)}
		switch code {
		case rollout.CodeUnchanged:
			same.Reply = api.Reply{OK: true, Unchanged: true}
		case rollout.CodeConflict:
			same.Reply = api.Reply{Code: code, Rollout: "shop-2"}
		default:
			same.Reply = api.Reply{OK: true, Rollout: "shop-3"}
			r.Ops[5].Seen = history.View{Running: "shop-3", Last: "shop-3", To: "v1", Step: 1, Stable: "v1", Phase: rollout.Preparing}
			r.End.Events = append(r.End.Events, third)
			r.Events = append(r.Events, history.Event{At: seconds(23), Event: third})
			r.Plans = append(r.Plans, history.Plan{ID: "d", Service: "shop", Version: "v1"})
		}
		r.Ops = append(r.Ops, same)
		if got := len(Linear(r)) == 0; got != legal {
			t.Errorf("%q: legal %v, want %v: %v", code, got, legal, Linear(r))
		}
	}
}

// TestPaused: a rollout that a person pauses stands, and goes on when it is told to.
func TestPaused(t *testing.T) {
	r := quiet()
	pauses(r)
	r.Ops[4].Seen.Phase = rollout.Paused
	r.Ops[4].Called, r.Ops[4].Back = seconds(15), seconds(15)+time.Millisecond
	r.Ops = append(r.Ops, command(history.Pause, 14), command(history.Resume, 16))
	for _, v := range Record(r) {
		t.Error(v)
	}
}

// TestReplaced: the rollout that is to take another's place is named when it is
// accepted, and begins when that one has ended; until then nothing else is.
func TestReplaced(t *testing.T) {
	r := quiet()
	third := rollout.Event{Service: "shop", Rollout: "shop-3", From: "v1", To: "v3", Step: 1}
	for i, k := range []rollout.Kind{rollout.KindSubmitted, rollout.KindRollingBack, rollout.KindRolledBack} {
		e := third
		e.Seq, e.Kind, e.Text = uint64(len(r.End.Events))+1, k, string(k)
		e.Index = e.Seq
		e.Phase = []rollout.Phase{rollout.Preparing, rollout.RollingBack, rollout.RolledBack}[i]
		if i == 0 {
			e.Key = "id:shop:c"
		}
		r.End.Events = append(r.End.Events, e)
		r.Events = append(r.Events, history.Event{At: seconds(21 + i), Event: e})
	}
	r.Plans = append(r.Plans, history.Plan{ID: "c", Service: "shop", Version: "v3"})
	r.Ops[3].Replace, r.Ops[3].Reply = true, api.Reply{OK: true, Rollout: "shop-3"}
	r.Ops[4].Seen.Phase = rollout.RollingBack
	r.Ops[5].Seen.Last, r.Ops[5].Seen.To = "shop-3", "v3"
	for _, v := range Record(r) {
		t.Error(v)
	}
	other := r.Ops[3]
	other.ID, other.Called, other.Back = "d", seconds(17), seconds(18)
	other.Reply = api.Reply{OK: true, Rollout: "shop-4"}
	r.Ops = append(r.Ops, other)
	if len(Linear(r)) == 0 {
		t.Error("two wait to take the place of one")
	}
}

// TestUnknownCalls: a call without an answer may have been carried out or not;
// the log knows, and neither is a violation.
func TestUnknownCalls(t *testing.T) {
	r := quiet()
	r.Ops[2].Unknown = true // the log has it
	r.Ops[3].Unknown = true // the log has not
	for _, v := range Record(r) {
		t.Error(v)
	}
}

// TestGivenUp: a program whose disk does not store may say that it cannot go on, and
// no other.
func TestGivenUp(t *testing.T) {
	for name, c := range map[string]struct {
		node, kind string
		at         int
		broken     bool
	}{
		"full":                 {"c1", "raft-disk-full", 5, false},
		"syncs fail":           {"h1", "agent-fsync-fails", 5, false},
		"before":               {"c1", "raft-disk-full", 2, true},
		"after":                {"c1", "raft-disk-full", 9, true},
		"another node's":       {"c2", "raft-disk-full", 5, true},
		"another kind of harm": {"c1", "leader-kill", 5, true},
	} {
		r := quiet()
		target := strings.Replace(c.node, "c2", "c1", 1)
		r.Faults = append(r.Faults, history.Fault{Kind: c.kind, Targets: []string{target}, Began: seconds(4), Healed: seconds(6), Recovered: seconds(7)})
		r.End.Crashes = append(r.End.Crashes, history.Crash{At: seconds(c.at), Node: c.node, How: givenUp})
		if got := len(Record(r)) > 0; got != c.broken {
			t.Errorf("%s: broken %v, want %v: %v", name, got, c.broken, Record(r))
		}
	}
}

// TestWhy: what failed requests are due to. A version that answers nobody is why
// somebody waits in vain who was sent to it, and never why somebody fails at once.
func TestWhy(t *testing.T) {
	r := quiet()
	r.Plans[1].Ill = Hanging
	r.Weights = []history.Weight{weight(13, 2000), weight(15, 2000), weight(17, 0)}
	const patience = 20 * time.Second
	for name, c := range map[string]struct {
		want    Excuse
		request history.Request
	}{
		"power cut":                  {Fault, history.Request{At: seconds(49), Took: 2 * time.Second}},
		"waited":                     {App, history.Request{At: seconds(15), Took: patience}},
		"sent just before it's seen": {App, history.Request{At: seconds(13) - around/2, Took: patience}},
		"between two looks":          {App, history.Request{At: seconds(16), Took: patience}},
		"until the container ended":  {App, history.Request{At: seconds(16), Took: hung, Status: 503}},
		"at once":                    {None, history.Request{At: seconds(15), Took: 80 * time.Millisecond, Status: 503}},
		"tried for 2 s":              {None, history.Request{At: seconds(15), Took: 2 * time.Second, Status: 503}},
		"queued for 5 s":             {None, history.Request{At: seconds(15), Took: 5 * time.Second, Status: 503}},
		"before there was a share":   {None, history.Request{At: seconds(11), Took: patience}},
		"when the share was gone":    {None, history.Request{At: seconds(18), Took: patience}},
		"long after":                 {None, history.Request{At: seconds(90), Took: patience}},
		"of another service":         {None, history.Request{At: seconds(15), Took: patience, Service: "other"}},
		"on another host":            {None, history.Request{At: seconds(15), Took: patience, Host: "h2"}},
	} {
		q := c.request
		q.Host, q.Service = cmp.Or(q.Host, "h1"), cmp.Or(q.Service, "shop")
		if got := Why(r)(q); got != c.want {
			t.Errorf("%s: due to %q, want %q", name, got, c.want)
		}
	}
}

func swap(a, b rollout.Event) (one, other rollout.Event) {
	a.Seq, b.Seq = b.Seq, a.Seq
	return b, a
}

func command(verb history.Verb, at int) history.Op {
	return history.Op{
		Client: 1, Verb: verb, ID: "chaos-" + string(verb), Service: "shop", Rollout: "shop-2", Reply: api.Reply{OK: true, Rollout: "shop-2"},
		Called: seconds(at), Back: seconds(at) + time.Millisecond,
	}
}

// pauses has the second rollout of a quiet run be paused and resumed.
func pauses(r *history.Record) {
	const before = 6
	var all []rollout.Event
	for i, e := range r.End.Events {
		if i == before {
			paused, resumed := r.End.Events[i-1], r.End.Events[i-1]
			paused.Kind, paused.Phase, paused.Text, paused.By = rollout.KindPaused, rollout.Paused, "paused", "chaos-pause"
			resumed.Kind, resumed.Text, resumed.By = rollout.KindResumed, "resumed", "chaos-resume"
			all = append(all, paused, resumed)
		}
		all = append(all, e)
	}
	r.End.Events, r.Events = nil, nil
	for i, e := range all {
		e.Seq = uint64(i) + 1
		e.Index = e.Seq
		r.End.Events = append(r.End.Events, e)
		r.Events = append(r.Events, history.Event{At: []time.Duration{1, 2, 3, 4, 11, 12, 15, 17, 20, 21}[i] * time.Second, Event: e})
	}
}

func report(at int, run string, sequence, epoch uint64) history.Report {
	return history.Report{At: seconds(at), Host: "h1", Service: "shop", Run: run, Sequence: sequence, Epoch: epoch}
}

func stop(at int) history.Stop {
	return history.Stop{At: seconds(at), Host: "h1", Service: "shop", How: "signal 15"}
}

func weight(at, share int) history.Weight {
	return history.Weight{At: seconds(at), Host: "h1", Service: "shop", Share: share}
}

func labels(service, revision string) map[string]string {
	return map[string]string{serviceLabel: service, revisionLabel: revision}
}

func add(r *history.Record, c history.Container) {
	r.End.Hosts[0].Containers = append(r.End.Hosts[0].Containers, c)
}

func crash(r *history.Record, at int, node string) {
	r.End.Crashes = append(r.End.Crashes, history.Crash{At: seconds(at), Node: node, How: "exit code 2"})
}

func repeat(op history.Op, reply api.Reply) history.Op {
	op.Called, op.Back, op.Reply = seconds(17), seconds(18), reply
	return op
}
