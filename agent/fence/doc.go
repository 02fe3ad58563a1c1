// Package fence is who may say what to an agent: which message counts, what it
// allows, and for how long. It is pure: no I/O, no clock, no goroutine. Times are
// the agent's own, which only go forward.
//
// A Leash ties the whole agent to its leader: when one was heard, and which nonces
// wait for their echo. A Post is one service: what it shall be, the highest epoch
// heard of, what holds the canary down, and until when it may be raised. A Page is
// what of that has to survive the process, and is on the disk before anything is
// done about it.
//
// Lowering needs nothing but an epoch that is not older. Raising needs a licence:
// the echo of a nonce that is younger than LicenceTime, in an assignment of the
// highest epoch heard of.
package fence
