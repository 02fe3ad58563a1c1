// Package plan decides what an agent does next for one service on its host.
//
// Next is a pure function of what the host should be (a rollout.Assignment)
// and of what it is (a Host, as Docker and HAProxy show it). It names one
// operation, which is safe to repeat; the agent does it, looks again and asks
// again. Nothing else is remembered, so that a crash at any instruction is just
// another observation.
//
// # Banks
//
// HAProxy has sixteen slots for a service: a1 to a8 and b1 to b8. The
// containers of one revision live in one bank, the next revision takes the
// other. Which bank is whose follows from the labels of the containers and from
// the weights of the slots; promotion flips it. A slot's weight is its part in
// the traffic that the split does not take: full in the bank that serves as
// stable, zero in the canary's, whose traffic is the split's share.
//
// # Order
//
// The rules stand in the order of their urgency, and the first one that has
// something to do wins:
//
//  1. lower: the canary's share, if it is more than it may be
//  2. strays: close slots behind which no container of ours lives
//  3. frontend: a place for the traffic to arrive
//  4. stable: every container of the stable revision runs, is ready, attached
//  5. flip: the stable revision's bank serves, and no other
//  6. prefetch: images to have at hand
//  7. canary: every container of the canary runs, is ready, attached, no share
//  8. share: the canary's share as assigned
//  9. retire: drain, detach, stop and remove whatever else is ours
//
// # Licence
//
// What raises a weight, starts a revision that does not serve yet, or takes
// away a container that lives, is done only under a licence (Host.MayRaise);
// without one Next answers Ask. Everything else, lowering above all, is free.
package plan
