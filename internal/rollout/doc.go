// Package rollout is the core of serin: what a rollout is, how it moves, and
// what every host should be at each moment. It is pure: no I/O, no clock, no
// goroutine, no randomness. The coordinator drives it, the agents obey it.
//
// # The square
//
// One axis is the share of hosts that run the new revision, the other the share
// of each such host's traffic that it gets. A rollout is a path from (0, 0) to
// (100 %, 100 %), never backwards except all the way. Canary, blue-green and
// rolling are paths in that square (see Strategy): there is one engine.
//
// # Four functions
//
//	Decide(state, evidence, now)  -> commands, when to look again   leader only
//	State.Apply(index, entry)     -> result, events                 every replica
//	State.Assignment(s, host)     -> what that host should be       level-triggered
//	State.Wave(service)           -> the broadcast that lowers      level-triggered
//
// Decide reads evidence that the leader pooled from the hosts' reports; evidence
// never enters the log. Its commands do, stamped with the fleet's clock, and
// Apply is a function of state and entry alone, so that all replicas agree. An
// assignment is the whole of what a host should be, never a difference: it may
// be sent twice, late or by a new leader.
//
// # The machine
//
//	             Advance            Advance (next step)
//	Submit            ┌──────────────────┐
//	  │               │                  │
//	  ▼               │   Pause          │         Promote           Finish
//	Preparing ──► Progressing ◄──────► Paused ──► (either) ──► Promoting ──► Succeeded
//	  │               │       Resume     │
//	  │               │                  │
//	  └───────────────┴──────────────────┘
//	                  │ RollBack, Abort
//	                  ▼            Finish
//	             RollingBack ──────────────► RolledBack (serin's decision)
//	                                         Aborted    (a person's)
//
// A first rollout has no stable revision to compare with or go back to: it is an
// install, by waves of hosts, judged by readiness.
//
// While a rollout is Preparing, Progressing or Paused its old revision stays
// wanted on every host, so a return waits for no start. Promotion is the point
// of no automatic return: from there the old containers are drained and removed.
//
// # Gates
//
// A rollout has one budget for rolling back a version that is no worse, alpha,
// and any number of gates that share it (Gates). Decide reads one verdict that
// the panel of their judges (internal/analysis) comes to: any failure is one, a
// pass needs all that are required. What outranks it: canaries that die, hosts
// that cannot go on, the deadline.
//
// A host whose canary alone is bad, while the others' are not, is no reason to
// take the version back (OneHost): Exclude returns it to stable and the rollout
// goes on, up to a tenth of the fleet. A promotion leaves such a host at what it
// had (Service.Held) until a later rollout reaches it, or a person releases it.
//
// With AutoPace the path is found on the way: Advance carries the next step,
// the largest weight at which a regression of the stated size is expected to
// harm no more requests than stated (pace.go).
//
// # Epochs
//
// Service.Epoch is the log index of the last entry that changed what any host
// should do: the fencing token. Commands name the epoch they were decided
// against and are refused under another; agents refuse assignments that are
// older than what they have accepted.
//
// # Time
//
// State.Clock is the fleet's own clock. It runs while a leader leads: a new
// leader goes on from the last entry's stamp, by its own monotonic clock. So
// wall clocks decide nothing, and a failover can only lengthen a hold or a
// deadline, never cut it short.
//
// # Freezes
//
// A freeze keeps rollouts of a service, or of the whole fleet, from beginning
// (freeze.go). What runs goes on, what returns to an earlier revision begins all
// the same, and so does what a person wants to go through it.
//
// # Invariants that the tests hold this package to
//
//   - I1: one rollout of a service moves at a time; phases follow the diagram,
//     steps follow one by one.
//   - I3: a known trigger starts nothing twice; its answer is remembered.
//   - I4: every rollout has a deadline at every moment, and ends with a cause.
//   - I7: stable is wanted on every host until promotion.
//   - I9: replaying the log gives the same state; a published state never changes.
//   - I10: when everything follows, every host is on the revision that the state
//     names, with no canary left.
//   - I11: events are numbered without gaps.
package rollout
