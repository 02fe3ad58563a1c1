package coordinator

import (
	"context"
	"maps"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// awaitCopy waits for what becomes of the stored copy of a request.
func (in *intake) awaitCopy(ctx context.Context, hash string) (api.Reply, error) {
	in.mu.Lock()
	if c, ok := in.claims[hash]; ok {
		delete(in.claims, hash)
		if in.leader.clock.now()-c.at < claimWithin {
			in.mu.Unlock()
			return c.reply, nil
		}
	}
	waiter := make(chan api.Reply, 1)
	in.waiters[hash] = append(in.waiters[hash], waiter)
	in.mu.Unlock()
	timer := time.NewTimer(answerTimeout)
	defer timer.Stop()
	select {
	case reply := <-waiter:
		return reply, nil
	case <-ctx.Done():
		return api.Reply{}, errUndecided
	case <-timer.C:
		in.leave(hash, waiter)
		return api.Reply{Code: rollout.CodeBusy, Message: "the trigger is stored and will be carried out, " +
			"but the stream does not hand it out now; a trigger with an id does not wait for that"}, nil
	}
}

// hand gives an outcome to the request that has waited longest for one of that
// content, or keeps it for a moment for one that is about to come up.
func (in *intake) hand(hash string, reply api.Reply) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.give(hash, reply) {
		return
	}
	now := in.leader.clock.now()
	maps.DeleteFunc(in.claims, func(_ string, c claim) bool { return now-c.at >= claimWithin })
	in.claims[hash] = claim{at: now, reply: reply}
}

// tell gives an answer to that request alone, if one waits.
func (in *intake) tell(hash string, reply api.Reply) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.give(hash, reply)
}

// give reports false if no request waits for what becomes of that content. The
// caller holds mu.
func (in *intake) give(hash string, reply api.Reply) bool {
	waiting := in.waiters[hash]
	if len(waiting) == 0 {
		return false
	}
	waiting[0] <- reply
	in.drop(hash, waiting[0])
	return true
}

func (in *intake) leave(hash string, waiter chan api.Reply) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.drop(hash, waiter)
}

func (in *intake) drop(hash string, waiter chan api.Reply) {
	var left []chan api.Reply
	for _, w := range in.waiters[hash] {
		if w != waiter {
			left = append(left, w)
		}
	}
	if len(left) == 0 {
		delete(in.waiters, hash)
		return
	}
	in.waiters[hash] = left
}
