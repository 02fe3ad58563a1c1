package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// catchUpPoll is how often a member is asked how far it has come.
	catchUpPoll = 100 * time.Millisecond
	// catchUpLongest is how long one that is to lead may take.
	catchUpLongest = 5 * time.Second
)

// Cluster is the group as one replica sees it.
type Cluster struct {
	ID     string `json:"id"`     // of the replica that answers
	Role   string `json:"role"`   // leader, follower, candidate or shutdown
	Leader string `json:"leader"` // empty if it knows none
	Term   uint64 `json:"term"`
	// Last is the last entry in its log, Commit the last that it knows to be
	// committed, Applied the last that its state holds.
	Last    uint64 `json:"last"`
	Commit  uint64 `json:"commit"`
	Applied uint64 `json:"applied"`
	// ContactMillis is how long ago it heard of its leader; 0 if it leads, -1 if
	// it never has.
	ContactMillis int64    `json:"contact_millis"`
	Members       []Member `json:"members"` // in order of id
}

// Member is one replica of the group.
type Member struct {
	ID      string `json:"id"`
	Address string `json:"address"`
	Voter   bool   `json:"voter"` // else it only follows
}

// Cluster returns the group as this replica sees it; an error once it has
// stopped.
func (r *Replica) Cluster() (Cluster, error) {
	if err := r.Err(); err != nil {
		return Cluster{}, fmt.Errorf("describe the group: %w", err)
	}
	leader, _ := r.Leader()
	c := Cluster{
		ID: r.cfg.ID, Role: strings.ToLower(r.raft.State().String()), Leader: leader, Term: r.raft.CurrentTerm(),
		Last: r.raft.LastIndex(), Commit: r.raft.CommitIndex(), Applied: r.raft.AppliedIndex(), ContactMillis: -1,
		Members: r.members(),
	}
	if contact := r.raft.LastContact(); r.raft.State() == raft.Leader {
		c.ContactMillis = 0
	} else if !contact.IsZero() {
		c.ContactMillis = time.Since(contact).Milliseconds()
	}
	return c, nil
}

// Add makes a replica that waits to join a member. It votes only when it has
// caught up: a voter that does not answer can stop a small group. If ctx ends
// before that it stays a member without a vote; adding it again goes on.
// Adding a voter under another address moves it, if it answers there.
func (r *Replica) Add(ctx context.Context, id, address string) error {
	if id == "" || address == "" {
		return errors.New("add replica: id and address must be there")
	}
	members := r.members()
	at := slices.IndexFunc(members, func(m Member) bool { return m.ID == id && m.Voter })
	if at >= 0 && members[at].Address != address {
		if err := r.answersAt(ctx, id, address); err != nil {
			return fmt.Errorf("move replica %s to %s: %w", id, address, err)
		}
	}
	if at < 0 {
		err := r.change(ctx, func() raft.Future {
			return r.raft.AddNonvoter(raft.ServerID(id), raft.ServerAddress(address), 0, 0)
		})
		if err != nil {
			return fmt.Errorf("add replica %s: %w", id, err)
		}
		if err := r.catchUp(ctx, id, address); err != nil {
			return fmt.Errorf("replica %s at %s is a member without a vote: %w; see that it runs, then add it again", id, address, err)
		}
	}
	err := r.change(ctx, func() raft.Future {
		return r.raft.AddVoter(raft.ServerID(id), raft.ServerAddress(address), 0, 0)
	})
	if err != nil {
		return fmt.Errorf("give replica %s a vote: %w", id, err)
	}
	r.warnAboutVoters()
	return nil
}

// Remove takes a member out of the group for ever: its id is not used again. A
// leader that removes itself stops with ErrRemoved; a follower may not hear of
// its removal and has to be stopped.
func (r *Replica) Remove(ctx context.Context, id string) error {
	members := r.members()
	at := slices.IndexFunc(members, func(m Member) bool { return m.ID == id })
	switch {
	case at < 0:
		return fmt.Errorf("remove replica %s: %w", id, ErrNotMember)
	case members[at].Voter && r.voters() == 1:
		return fmt.Errorf("remove replica %s: %w", id, ErrLastVoter)
	}
	err := r.change(ctx, func() raft.Future { return r.raft.RemoveServer(raft.ServerID(id), 0, 0) })
	if id == r.cfg.ID && errors.Is(err, ErrRemoved) {
		return nil // it stopped before the answer came
	}
	if err != nil {
		return fmt.Errorf("remove replica %s: %w", id, err)
	}
	r.warnAboutVoters()
	return nil
}

// Transfer hands leadership to the voter of that id, once it has caught up, or to
// the most advanced one if id is empty. Entries proposed during the handover are
// refused with ErrNotLeader.
func (r *Replica) Transfer(ctx context.Context, id string) error {
	start := r.raft.LeadershipTransfer
	if id != "" {
		members := r.members()
		at := slices.IndexFunc(members, func(m Member) bool { return m.ID == id })
		switch {
		case at < 0:
			return fmt.Errorf("transfer leadership to %s: %w", id, ErrNotMember)
		case !members[at].Voter:
			return fmt.Errorf("transfer leadership to %s: %w", id, ErrNoVote)
		}
		if leader, _ := r.Leader(); leader == id {
			return nil
		}
		if err := r.awaitHeir(ctx, id, members[at].Address); err != nil {
			return fmt.Errorf("transfer leadership to %s: %w; see that it runs, then try again", id, err)
		}
		start = func() raft.Future {
			return r.raft.LeadershipTransferToServer(raft.ServerID(id), raft.ServerAddress(members[at].Address))
		}
	}
	if err := r.change(ctx, start); err != nil {
		return fmt.Errorf("transfer leadership: %w", err)
	}
	return nil
}

// Private

// change waits for a change of the group.
func (r *Replica) change(ctx context.Context, start func() raft.Future) error {
	if err := r.Err(); err != nil {
		return err
	}
	err := r.await(ctx, start)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return r.notLeader()
	default:
		return err
	}
}

// catchUp waits until a member has every entry that this leader had at first.
func (r *Replica) catchUp(ctx context.Context, id, address string) error {
	goal, reached := r.raft.LastIndex(), uint64(0)
	for {
		term, err := r.confirm(ctx) // only the leader of a term may speak as that
		if err != nil {
			return err
		}
		last, err := r.ask(ctx, term, id, address)
		if reached = max(reached, last); err == nil && reached >= goal {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("it has %d of %d entries: %w", reached, goal, ctx.Err()), err)
		case <-time.After(catchUpPoll):
		}
	}
}

// awaitHeir waits until a voter can take over. Raft itself does not: it takes no
// entry for as long as it tries to bring the voter up to date, which after an outage
// of that one is up to ten seconds, and a second try within those makes it take none
// any more (see settle).
func (r *Replica) awaitHeir(ctx context.Context, id, address string) error {
	ctx, stop := context.WithTimeout(ctx, catchUpLongest)
	defer stop()
	return r.catchUp(ctx, id, address)
}

// answersAt fails unless the voter runs at an address: the group would lose its
// vote, and say nothing.
func (r *Replica) answersAt(ctx context.Context, id, address string) error {
	if id == r.cfg.ID {
		return fmt.Errorf("%w: it leads, and cannot try its own address: transfer the leadership first", ErrAddress)
	}
	term, err := r.confirm(ctx)
	if err != nil {
		return err
	}
	if _, err := r.ask(ctx, term, id, address); err != nil {
		return fmt.Errorf("%w; start it there first: %w", ErrAddress, err)
	}
	return nil
}

// ask asks a member for the last entry of its log.
func (r *Replica) ask(ctx context.Context, term uint64, id, address string) (last uint64, err error) {
	got := make(chan uint64, 1)
	err = r.await(ctx, func() raft.Future {
		answer, err := r.heartbeat(term, id, address)
		if err == nil && string(answer.ID) != id {
			err = fmt.Errorf("replica %q runs there", answer.ID)
		}
		got <- answer.LastLog
		return settled{err}
	})
	if err != nil {
		return 0, err
	}
	return <-got, nil
}

// settled is a future that has arrived.
type settled struct{ err error }

// Error returns at once.
func (s settled) Error() error { return s.err }

// members returns the group in order of id.
func (r *Replica) members() []Member {
	future := r.raft.GetConfiguration() // answered from memory, and never with an error
	var members []Member
	for _, s := range future.Configuration().Servers {
		members = append(members, Member{ID: string(s.ID), Address: string(s.Address), Voter: s.Suffrage == raft.Voter})
	}
	slices.SortFunc(members, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	return members
}

func (r *Replica) voters() int {
	n := 0
	for _, m := range r.members() {
		if m.Voter {
			n++
		}
	}
	return n
}

func (r *Replica) warnAboutVoters() {
	if n := r.voters(); n > 0 && n%2 == 0 {
		r.log.Warn().Int("voters", n).Msg("an even number of voters bears no more losses than one fewer; use 1, 3 or 5")
	}
}

// memberHosts returns the hosts whose certificates may connect.
func (r *Replica) memberHosts() []string {
	var addresses []string
	for _, p := range r.cfg.Peers {
		addresses = append(addresses, p.Address)
	}
	for _, m := range r.members() {
		addresses = append(addresses, m.Address)
	}
	return hostsOf(addresses)
}
