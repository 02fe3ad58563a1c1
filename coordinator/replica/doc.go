// Package replica keeps rollout.State the same on 1, 3 or 5 coordinators by
// Raft, and tells whether this one leads. It is the only importer of
// hashicorp/raft.
//
// # What is replicated
//
// Entries of the log are commands in JSON (see entry.go): readable, because the
// log is the audit trail, and strict. Applying is deterministic, so every
// replica comes to the same state byte for byte.
//
// # What is not understood stops the replica
//
// A replica that meets an entry of a newer release, with a type or a field that
// it does not know, or one that is damaged, must not skip it: from then on its
// state would differ from the others' without anybody noticing, and as the next
// leader it would decide on it. It stops instead: it applies nothing more, takes
// no snapshot of a state that lacks the entry, leaves the group's work to the
// others, closes Done, and Err says why. The directory is as it was; a release
// that understands the entry continues there. The same holds for a panic in
// Apply.
//
// So that a rolling upgrade never gets there, each entry has a level (package
// rollout), and Propose refuses with ErrLevel what exceeds the state's. A leader
// raises the state's level when every member has said that it understands it:
// from then on a replica of an earlier release does not take part any more.
//
// # What is damaged refuses to open
//
// A replica that has forgotten a vote or an entry can make the group lose a
// decision, so damage is never repaired by guessing. Open checks every page of
// the store, the checksum of every entry and of every vote, that no entry is
// missing, and the newest snapshot. The way back is always the same, and the
// errors say it: remove the replica from the group, move its directory away,
// and let it join as a new member under a new id. An emptied directory must not
// be started again with the old list of peers: it would vote again in terms in
// which it has voted already.
//
// An entry that cannot be read as it was written later, while the replica runs, ends
// it with ErrDamaged, and without a panic of Raft's; the others go on.
//
// # What the disk does not take ends the replica
//
// If a term, a vote or an entry cannot be stored, nobody knows what the disk holds of
// it, so the replica stops with ErrDisk, at once and without a panic of Raft's.
// Whoever started it starts it again: then all that is there is read and verified.
//
// # Who may connect
//
// With TLS, a peer needs a certificate of the common authority that is valid
// for the host of a member (or of a configured peer): agents have certificates
// of the same authority and may not speak Raft. A joining replica that knows no
// member yet accepts any certificate of the authority until it does.
package replica
