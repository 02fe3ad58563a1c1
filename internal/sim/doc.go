// Package sim simulates whole fleets from a seed, in one goroutine and without
// real time, to look for counter-examples to serin's promises: about 200,000
// events in a second of one core, hours of a fleet's time. docs/reliability.md
// says what the promises are, and how to run it.
//
// # What is real, and what is modelled
//
// Real are the decisions: rollout.Decide, Apply, Assignment and Wave,
// analysis.Panel, plan.Next, plan.Floor and package fence, called as the
// coordinator and the agent call them. Modelled are what surrounds them, as small as possible, each
// file beside the one that it stands for:
//
//	cluster.go, stream.go   Raft's log and the event stream, with what they may do to a
//	                        proposal or an event
//	leader.go, watch.go     the leader's loop (coordinator/lead.go, evidence.go, publish.go, ...)
//	people.go               operators and CI, and the intake of triggers
//	bus.go                  loses, delays, reorders, repeats, is away
//	agent.go, service.go    the agent around package fence: its disk and its reflex
//	observe.go, converge.go its loop around plan.Next, and what it remembers
//	host.go, docker.go,     a host: containers, slots, weights, users
//	balancer.go, do.go
//
// Elections, membership and JetStream are not simulated (internal/fleettest runs
// the real ones), nor are latencies, usage and users' own signals.
//
// # Faults
//
// Whatever can go wrong asks its own source of chance (chance.go) whether it
// does now; each such question has an identity that does not depend on what
// others were asked. So a run can be repeated with some of its faults only, and
// the story of a broken promise shrinks to those that matter (shrink.go). A seed
// draws which kinds of faults there are and how often, since with all of them all
// the time nothing would ever come far.
//
// A run has two parts: trouble, in which only safety is asked for, and then a
// healed world, which has to come to rest as its state says.
//
// # Checkers
//
// check*.go know the truth that no party has. Each has a test that breaks its
// promise on purpose; mutants plants faults in the core itself.
package sim
