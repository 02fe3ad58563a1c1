package workload

import (
	"context"
	"sync"
	"time"

	"github.com/serin-rollouts/serin/chaos/history"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Steer does by hand what rollouts wait for or do by themselves, and some of it just
// when it cannot be: it approves steps, also twice at once or together with what
// contradicts that; takes the next step or all of them without evidence, also of what
// goes back; and releases hosts, also such as are not held back.
func (o *Operators) Steer(ctx context.Context) {
	const most = 1200 * time.Millisecond // between two looks
	for ctx.Err() == nil {
		pause(ctx, time.Duration(o.Hand.Int64N(int64(most))))
		if v, err := o.look(ctx, o.Number+steering); err == nil {
			o.steer(ctx, v)
		}
	}
}

// LetGo releases all hosts that are held back.
func (o *Operators) LetGo(ctx context.Context) {
	for ctx.Err() == nil {
		v, err := o.look(ctx, o.Number+steering)
		if err == nil && len(v.Held) == 0 {
			return
		}
		for _, host := range v.Held {
			o.by(ctx, steering, history.Op{Verb: history.Release, Host: host})
		}
		pause(ctx, 400*time.Millisecond)
	}
}

// Private

// The clients that steer. Two of them, so that they can call at once.
const (
	steering = Clients - 2
	helping  = Clients - 1
)

// steer does something about what was seen, or mostly nothing. Each thing is done in
// one case of so many.
func (o *Operators) steer(ctx context.Context, v history.View) {
	const releases, strays, approves, full, steps, late, after = 4, 60, 2, 40, 30, 6, 40
	onward, all := history.Op{Verb: history.Promote, Rollout: v.Last}, history.Op{Verb: history.Promote, Rollout: v.Last, Full: true}
	going := v.Phase == rollout.Progressing || v.Phase == rollout.Paused
	switch {
	case len(v.Held) > 0 && o.one(releases):
		o.by(ctx, steering, history.Op{Verb: history.Release, Host: v.Held[o.Hand.IntN(len(v.Held))]})
	case o.one(strays):
		o.by(ctx, steering, history.Op{Verb: history.Release, Host: o.Hosts[o.Hand.IntN(len(o.Hosts))]})
	case v.NeedsApproval && o.one(approves):
		o.approve(ctx, v, onward)
	case going && o.isHarmless(v.To) && o.one(full):
		o.contend(ctx, v, all)
	case going && o.isHarmless(v.To) && o.one(steps):
		o.by(ctx, steering, onward)
	case v.Phase == rollout.RollingBack && o.one(late), v.Phase.Final() && o.one(after):
		o.by(ctx, steering, all)
	case v.Phase == rollout.Promoting && o.one(late):
		o.by(ctx, steering, onward)
	}
}

// approve gives an approval: alone, twice at once, or while something else is asked for.
func (o *Operators) approve(ctx context.Context, v history.View, approval history.Op) {
	const twice, aborted, paused, passed, ways = 2, 3, 4, 5, 9
	switch n := o.Hand.IntN(ways); {
	case n < twice:
		o.both(ctx, approval, approval)
	case n < aborted:
		o.both(ctx, approval, history.Op{Verb: history.Abort, Rollout: v.Last})
	case n < paused:
		o.both(ctx, approval, history.Op{Verb: history.Pause, Rollout: v.Last})
		o.by(ctx, steering, history.Op{Verb: history.Resume, Rollout: v.Last})
	case n < passed && o.isHarmless(v.To):
		all := approval
		all.Full = true
		o.both(ctx, approval, all)
	default:
		o.by(ctx, steering, approval)
	}
}

// contend goes all the way, in half of the cases while somebody else takes all back.
func (o *Operators) contend(ctx context.Context, v history.View, all history.Op) {
	const half = 2
	if o.one(half) {
		o.both(ctx, all, history.Op{Verb: history.Abort, Rollout: v.Last})
	} else {
		o.by(ctx, steering, all)
	}
}

func (o *Operators) both(ctx context.Context, one, other history.Op) {
	var calls sync.WaitGroup
	calls.Go(func() { o.by(ctx, steering, one) })
	calls.Go(func() { o.by(ctx, helping, other) })
	calls.Wait()
}

// by sends a command as one of the clients that steer.
func (o *Operators) by(ctx context.Context, client int, op history.Op) {
	o.command(ctx, o.Number+client, op)
}

// one tells, in one case of so many.
func (o *Operators) one(of int) bool { return o.Hand.IntN(of) == 0 }

// isHarmless tells whether a version may become stable without evidence.
func (o *Operators) isHarmless(version string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.harmless[version]
}
