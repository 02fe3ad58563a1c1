package replica

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// openQuestions bounds how many questions of Verify one peer has not answered
// yet: one that is away keeps each of them for peerTimeout.
const openQuestions = 2

// Verify returns nil if this replica led at the moment of the call: no other
// had been elected then. It asks a majority, which takes one round trip. It
// returns ErrNotLeader if this replica does not lead, or not any more before a
// majority has answered, and ctx's error if that ends first.
func (r *Replica) Verify(ctx context.Context) error {
	_, err := r.confirm(ctx)
	return err
}

// Private

// confirm returns the term in which this replica led at the call.
//
// It puts a question of its own to each voter, and counts the answers to that
// alone. Raft's VerifyLeader counts whatever answer comes next, also to what a
// peer was asked before the call: there may be several on their way from each,
// so that asking it again and again proves nothing for certain.
//
// Who answers with success was in this term at a moment after the call. So had
// anybody been elected in a later term before, its majority would have no voter
// in common with this one.
func (r *Replica) confirm(ctx context.Context) (term uint64, err error) {
	t := r.tenure.Load()
	term, leads := r.leads()
	switch {
	case r.Err() != nil:
		return 0, fmt.Errorf("verify leadership: %w", r.Err())
	case !t.leading || !leads:
		return 0, r.notLeader()
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	loyal, missing := r.poll(ctx, term)
	for ; missing > 0; missing-- {
		select {
		case yes := <-loyal:
			if !yes {
				return 0, r.notLeader()
			}
		case <-t.over:
			return 0, r.notLeader()
		case <-r.done:
			return 0, fmt.Errorf("verify leadership: %w", r.Err())
		case <-ctx.Done():
			return 0, fmt.Errorf("verify leadership: %w", ctx.Err())
		}
	}
	return term, nil
}

// leads returns the term, and whether this replica leads in it. The term only
// rises, and a leader steps down before it takes up a later one.
func (r *Replica) leads() (term uint64, ok bool) {
	term = r.raft.CurrentTerm()
	return term, r.raft.State() == raft.Leader && r.raft.CurrentTerm() == term
}

// poll asks all other voters until they answer or ctx ends. The channel says of
// each that has answered whether it is in this term. It returns too how many it
// takes for a majority.
func (r *Replica) poll(ctx context.Context, term uint64) (loyal <-chan bool, missing int) {
	members := r.members()
	answers := make(chan bool, len(members))
	voters, own := 0, 0
	for _, m := range members {
		if !m.Voter {
			continue
		}
		voters++
		if m.ID == r.cfg.ID {
			own = 1
			continue
		}
		go r.question(ctx, term, m, answers)
	}
	return answers, voters/2 + 1 - own
}

// question asks one voter until it answers or ctx ends. It does not wait with
// those whose number is bounded.
func (r *Replica) question(ctx context.Context, term uint64, m Member, answers chan<- bool) {
	room, _ := r.questions.LoadOrStore(m.ID, make(chan struct{}, openQuestions))
	slot := room.(chan struct{})
	for {
		select {
		case slot <- struct{}{}:
		case <-ctx.Done():
			return
		}
		answer, err := r.heartbeat(term, m.ID, m.Address)
		<-slot
		if err == nil {
			answers <- answer.Success && answer.Term == term
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryPause): // a connection may have been from before its restart
		}
	}
}

// heartbeat says to a member, as the leader of term, that it is there. The
// answer is a success if the member knows of no later term.
func (r *Replica) heartbeat(term uint64, id, address string) (raft.AppendEntriesResponse, error) {
	var answer raft.AppendEntriesResponse
	err := r.trans.AppendEntries(raft.ServerID(id), raft.ServerAddress(address), &raft.AppendEntriesRequest{
		RPCHeader: raft.RPCHeader{
			ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(r.cfg.ID),
			Addr: r.trans.EncodePeer(raft.ServerID(r.cfg.ID), r.trans.LocalAddr()),
		},
		Term: term,
	}, &answer)
	return answer, err
}
