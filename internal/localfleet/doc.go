// Package localfleet runs a whole fleet on one machine with real parts:
// coordinator replicas and agents as processes of their own, a HAProxy for each
// agent, real containers, a registry on loopback, and load from outside.
//
//	fleet, err := localfleet.New(ctx, localfleet.Config{...}) // checks what is there, starts nothing
//	defer fleet.End()                                         // removes everything
//	err = fleet.Up(ctx)                                       // returns when the leader knows all hosts
//
// Parts have names: "registry", Replicas[i].Name and Hosts[i].Name. Start, Stop,
// Kill and Signal act on one of them; HAProxy and the containers live on, as
// they do on real hosts. Join allots one more replica.
//
// Everything that a fleet makes carries its run's name: files stand in one
// directory, processes name that directory on their command line, containers
// carry its hosts' label. A sweeper, a process of its own, ends and removes all
// of that as soon as the maker is gone, however it ended.
package localfleet
