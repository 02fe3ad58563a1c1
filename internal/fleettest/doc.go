// Package fleettest runs a whole fleet in one process, under the virtual time
// of testing/synctest: real coordinators with real Raft, a real NATS server
// with JetStream, and real agents. Fakes stand only where the machine ends:
// Raft's network and disks are memory, and every host has a Docker Engine and
// a HAProxy that speak their protocols over pipes (dockertest, haproxytest).
//
//	fleettest.Run(t, fleettest.Options{Hosts: 50}, func(f *fleettest.Fleet) {
//		f.Install("1")
//		f.Push("2", fleettest.App{Errors: 500})
//		r := f.Start(api.Trigger{Image: fleettest.Image("2")})
//		f.Until(r, rollout.RolledBack)
//	})
//
// While the function runs, users send requests to every host, and two promises
// are watched at every moment: no request is left unanswered (I6), and no
// container is stopped that leaves a host without a full set of any revision
// (I7). When it returns, the fleet has to come to rest as its state says (I8,
// I10), with all replicas alike (I9) and an event log without a gap or a
// repetition (I11); see Fleet.Check.
//
// Programs can fail, crash, leak or be slow (App), on one host alone too (Odd):
// what the gates of a rollout see of it they see as on a real host.
//
// Elections, and what races with them, are random: a fleet is fast, but not
// deterministic. What a test expects must not depend on it.
package fleettest
