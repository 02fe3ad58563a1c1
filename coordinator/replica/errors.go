package replica

import (
	"errors"
	"fmt"
)

var (
	// ErrNotLeader means that this replica does not lead and that nothing was
	// proposed. The error is a *NotLeaderError, which names the leader.
	ErrNotLeader = errors.New("not the leader")
	// ErrUnknown means that nobody here knows whether the entry has been or will
	// be committed: ask the state, or propose it again (commands are idempotent
	// by their key or fenced by their epoch).
	ErrUnknown = errors.New("outcome unknown")
	// ErrNotUnderstood means that the log holds an entry that this release
	// cannot carry out; the replica has stopped.
	ErrNotUnderstood = errors.New("the log holds what this release does not understand; upgrade this replica")
	// ErrLevel means that an entry has to wait until every replica runs a release
	// that understands it; nothing was proposed.
	ErrLevel = errors.New("not before all replicas are upgraded")
	// ErrDamaged means that the directory is not as this replica has left it.
	ErrDamaged = errors.New("damaged")
	// ErrDisk means that the disk has not taken what this replica has to remember; it
	// has stopped, and may be started again as soon as the disk takes it.
	ErrDisk = errors.New("the disk has not stored what Raft has to remember")
	// ErrHandover means that Raft leads but takes no entry, for the sake of a handover
	// that is over; it has stopped, and may be started again at once.
	ErrHandover = errors.New("leadership is of no use: Raft waits for a handover that is over")
	// ErrRemoved means that the group has removed this replica; it has stopped.
	ErrRemoved = errors.New("this replica was removed from the group")
	// ErrNotMember means that the group has no replica of that id.
	ErrNotMember = errors.New("it is not a member")
	// ErrNoVote means that a member only follows so far.
	ErrNoVote = errors.New("it is a member without a vote")
	// ErrLastVoter means that a group cannot be without a voter.
	ErrLastVoter = errors.New("it is the last voter")
	// ErrAddress means that a voter was not seen to run where it is to move.
	ErrAddress = errors.New("it was not seen to run there")
	// ErrClosed means that the replica was closed.
	ErrClosed = errors.New("replica is closed")
	// ErrDirectory means that the directory cannot be this replica's.
	ErrDirectory = errors.New("unusable directory")
)

// NotLeaderError is ErrNotLeader with the leader to ask instead.
type NotLeaderError struct {
	ID, Address string // empty while there is none
}

// Error names the leader, if there is one.
func (e *NotLeaderError) Error() string {
	if e.ID == "" {
		return "not the leader; there is none at the moment"
	}
	return fmt.Sprintf("not the leader; ask %s at %s", e.ID, e.Address)
}

// Is makes every NotLeaderError an ErrNotLeader.
func (*NotLeaderError) Is(target error) bool { return target == ErrNotLeader }
