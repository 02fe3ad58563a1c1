package sim

import (
	"slices"

	"github.com/serin-rollouts/serin/internal/analysis"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// sabotagesOfFailures break what a rollout file says about failures, and what is said
// about containers that come back.
func sabotagesOfFailures() []sabotage {
	return append(slices.Concat(sabotagesOfLosses(), sabotagesOfDeaths(), sabotagesOfPauses()),
		sabotage{"agents forget what came back when", "warm-up", func(w *world) bool {
			for _, h := range w.hosts {
				if h.agent == nil {
					continue
				}
				for _, s := range h.agent.services {
					clear(s.memory.attachedAt)
				}
			}
			return false
		}})
}

// gone are the hosts of a rollout that count as lost.
func gone(w *world, run *rollout.Rollout) []string {
	return slices.DeleteFunc(slices.Clone(run.Hosts), func(host string) bool { return w.now-w.host(host).heardOf < run.Spec.LostAfter })
}

// goesBack tells whether a failure takes a rollout back now.
func goesBack(run *rollout.Rollout) bool {
	return run.Phase == rollout.Progressing && run.Spec.OnFailure == rollout.RollBackOnFailure
}

// pauses tells whether a failure pauses it.
func pauses(run *rollout.Rollout) bool {
	return run.Phase == rollout.Progressing && run.Spec.OnFailure == rollout.PauseOnFailure
}

// mishear changes what all who believe to lead have heard of hosts.
func mishear(change func(l *leader, watch *watch, host string)) func(*world) bool {
	return func(w *world) bool {
		for _, l := range w.leaders() {
			for _, watch := range l.watches {
				for host := range watch.hosts {
					change(l, watch, host)
				}
			}
		}
		return false
	}
}

func sabotagesOfLosses() []sabotage {
	return []sabotage{
		by("a rollout goes on without more hosts than it may lose", "max lost", func(w *world, svc *rollout.Service, t rollout.Target) rollout.Command {
			run := svc.Active
			hosts := gone(w, run)
			if run.Spec.MaxLost == nil || len(hosts) == len(run.Hosts) || len(run.Lost)+len(hosts) <= w.record.mayLose(run) || run.Phase != rollout.Progressing {
				return nil
			}
			return rollout.Lose{Target: t, Hosts: hosts}
		}),
		by("a rollout fails for hosts that it may lose", "max lost", func(w *world, svc *rollout.Service, t rollout.Target) rollout.Command {
			run := svc.Active
			hosts := gone(w, run)
			few := len(hosts) > 0 && len(hosts) < len(run.Hosts) && run.Spec.MaxLost != nil && len(run.Lost)+len(hosts) <= w.record.mayLose(run)
			if !few || !goesBack(run) && run.Phase != rollout.Preparing {
				return nil
			}
			return rollout.RollBack{Target: t, Why: rollout.Why{Cause: rollout.CauseLost, Hosts: hosts}}
		}),
		{"who is silent is taken for one that reports", "lost", mishear(func(l *leader, watch *watch, host string) { watch.saw(host, l.clock()) })},
	}
}

func sabotagesOfDeaths() []sabotage {
	ends := func(w *world, run *rollout.Rollout) int {
		return w.host(run.Hosts[0]).docker.ends[edition{run.Service, run.To.ID}]
	}
	back := func(t rollout.Target, run *rollout.Rollout) rollout.Command {
		return rollout.RollBack{Target: t, Why: rollout.Why{Cause: rollout.CauseDeath, Hosts: run.Hosts[:1]}}
	}
	return []sabotage{
		{"nobody hears of deaths", "death", mishear(func(_ *leader, watch *watch, host string) {
			e := watch.hosts[host]
			e.Deaths = 0
			watch.hosts[host] = e
		})},
		by("a return for deaths that nobody died", "death", func(w *world, svc *rollout.Service, t rollout.Target) rollout.Command {
			if run := svc.Active; goesBack(run) && ends(w, run) == 0 {
				return back(t, run)
			}
			return nil
		}),
		by("a return for a single death", "death", func(w *world, svc *rollout.Service, t rollout.Target) rollout.Command {
			if run := svc.Active; goesBack(run) && run.Wave() > 1 && ends(w, run) == 1 {
				return back(t, run)
			}
			return nil
		}),
	}
}

func sabotagesOfPauses() []sabotage {
	failed := rollout.Why{Cause: rollout.CauseGate, Verdict: &analysis.Verdict{Outcome: analysis.Fail}}
	when := func(what, want string, may func(*rollout.Rollout) bool, decide func(rollout.Target) rollout.Command) sabotage {
		return by(what, want, func(_ *world, svc *rollout.Service, t rollout.Target) rollout.Command {
			if !may(svc.Active) {
				return nil
			}
			return decide(t)
		})
	}
	return []sabotage{
		when("a return where the file says pause", "on failure", pauses, func(t rollout.Target) rollout.Command {
			return rollout.RollBack{Target: t, Why: failed}
		}),
		when("a pause where the file says to go back", "on failure", goesBack, func(t rollout.Target) rollout.Command {
			return rollout.Pause{Target: t, Why: failed, Park: true}
		}),
		when("a pause after a failure that leaves the traffic", "on failure", pauses, func(t rollout.Target) rollout.Command {
			return rollout.Pause{Target: t, Why: failed}
		}),
		when("a pause for one host where the file has another way", "one host", func(run *rollout.Rollout) bool {
			return run.Phase == rollout.Progressing && run.Spec.Gates.OneHost != rollout.PauseForHost
		}, func(t rollout.Target) rollout.Command {
			return rollout.Pause{Target: t, Why: rollout.Why{Cause: rollout.CauseHost}, Park: true}
		}),
		when("a pause for an approval that nobody asks for", "approval", func(run *rollout.Rollout) bool {
			return run.Phase == rollout.Progressing && !run.Spec.Steps[run.Step].Approve
		}, func(t rollout.Target) rollout.Command {
			return rollout.Pause{Target: t, Why: rollout.Why{Cause: rollout.CauseApproval}}
		}),
	}
}
