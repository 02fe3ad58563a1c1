// Package haproxy drives the host's HAProxy: which containers serve, with
// which weight, and which share of the traffic goes to the canary.
//
// There are two ways to have a HAProxy. Managed owns one: it writes the
// file and runs the process so that it outlives the agent. Existing steers one
// backend of a HAProxy that belongs to somebody else, by its admin socket only.
// Both have the same methods.
//
// # Slots
//
// Every service is ONE backend with two banks of server slots, a1..aN and
// b1..bN. One bank holds the stable containers, the other the canary. One
// backend for both means that HAProxy itself redispatches a failed canary
// connection to stable. Slots exist from the start (in maintenance); containers
// move in and out by "set server addr", which is safe in every version since
// 2.6, unlike "add server" and "del server".
//
// # Order of operations
//
// The order that loses no request, for the caller:
//
//  1. start the container, prove on its own address that it is ready
//  2. Attach (address, weight 0, ready)
//  3. SetSplit, raising in steps
//  4. Promote (new weights before old ones, split to 0 last)
//  5. wait until Slot.Sessions of the old slots is 0 in two looks, and
//     Snapshot.OldWorkers is false
//  6. Detach, and only then stop the container
//
// # Durability
//
// HAProxy's memory is a cache of two files in Config.Dir: haproxy.cfg holds the
// real addresses and weights, maps/split.map the splits. Every change goes to
// the running HAProxy first, is read back, and what was read back is then made
// durable (fsync, rename). So the files never promise the canary more than it
// was once given; after a crash between the two, HAProxy (if it runs) is right
// and the files follow it at the next Ensure, or (if it died as well) the older
// state returns and the caller, who is level-triggered, applies its wish again.
// HAProxy's own server-state file is not used: it loses the IP over a reload.
//
// What the files cannot know is whose an address is by now: Docker gives that of a
// container that ended to the next one, of whatever service. So before a launch, and
// by Evict at any other time, the caller is asked which containers run
// (Config.Residents), and slots that lead to others are emptied. A HAProxy that runs
// is not asked about at a reload: its slots are what the caller sees and steers.
//
// The process is a daemon in a session of its own, so it outlives the agent; a
// systemd unit of the agent needs KillMode=process for that.
//
// # Concurrency
//
// All methods may be called from several goroutines. Changes, launches and reloads
// are done one after the other, since a runtime change that races a reload would be
// lost; who waits for that waits no longer than its context. Zero sends its command
// at once and repeats it in its turn.
package haproxy
