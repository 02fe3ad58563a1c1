package control

import (
	"context"
	"fmt"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// longestFreeze is the longest that a freeze may be said to last.
const longestFreeze = 366 * 24 * time.Hour

// Private

// freeze keeps rollouts of a service, or of the fleet, from beginning.
func (s *server) freeze(ctx context.Context, service string, c api.Command) (rollout.Result, error) {
	if c.For < 0 || c.For > longestFreeze.Milliseconds() {
		return declined(&rollout.Refusal{
			Code: rollout.CodeInvalid, Field: "for_ms",
			Message: fmt.Sprintf("is %d; use up to %d, a year, or leave it out to freeze until it is thawed", c.For, longestFreeze.Milliseconds()),
		})
	}
	return s.ofFreezes(ctx, c.By, rollout.Freeze{Service: service, For: time.Duration(c.For) * time.Millisecond, Reason: c.Reason})
}

// thaw ends a freeze.
func (s *server) thaw(ctx context.Context, service string, c api.Command) (rollout.Result, error) {
	return s.ofFreezes(ctx, c.By, rollout.Thaw{Service: service, Reason: reason(c)})
}

// ofFreezes proposes what every replica has to understand.
func (s *server) ofFreezes(ctx context.Context, by string, c rollout.Command) (rollout.Result, error) {
	if s.Leader.State().AtLevel() < rollout.Needs(c) {
		return refused(rollout.CodeBusy, "", "freezes take replicas that all know of them; `serin cluster status` shows their releases: upgrade or remove the earlier ones")
	}
	return s.Leader.Propose(ctx, by, c)
}

// freezes renders those that keep rollouts of a service from beginning.
func (v View) freezes(s *rollout.State, service string) []api.Freeze {
	var all []api.Freeze
	for _, f := range s.Freezes(service, v.Now) {
		all = append(all, api.Freeze{Service: f.Service, By: f.By, Reason: f.Reason, Since: f.Since, Until: f.End(v.Now, v.Wall)})
	}
	return all
}
