package coordinator

import (
	"context"
	"strconv"
	"time"

	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const (
	levelTimeout = 2 * time.Second  // for one replica's answer
	levelPause   = 10 * time.Second // before the replicas are asked again
)

// answerLevel tells whoever leads what this replica understands of the log.
func (p parts) answerLevel(open *teardown) error {
	text := []byte(strconv.Itoa(p.cfg.level()))
	sub, err := p.bus.Subscribe(bus.LevelSubject(p.cfg.ID), func(m bus.Msg) {
		if err := m.Respond(text); err != nil {
			p.log.Debug().Err(err).Msg("level not told; the leader asks again")
		}
	})
	if err != nil {
		return err
	}
	open.push("level", unbounded(sub.Close))
	return nil
}

// raise lets the log hold what is new in this release once every replica has
// said that it understands it. Until then the group works as the oldest of its
// releases did. A replica that does not answer may be of any release.
func (l *leader) raise(ctx context.Context) error {
	for ctx.Err() == nil && l.ledger.State().AtLevel() < l.level {
		common, behind := l.commonLevel(ctx)
		if common > l.ledger.State().AtLevel() {
			if _, err := l.propose(ctx, self, rollout.Raise{Level: common}); err == nil {
				l.log.Info().Int("level", common).Msg("all replicas understand more of the log: level raised")
				continue
			}
		} else {
			l.log.Info().Str("member", behind).Int("level", common).Msg("what is new in this release waits for a replica to be upgraded, or removed")
		}
		pause(ctx, levelPause)
	}
	return nil
}

// Private

// commonLevel asks all other members. It returns the lowest level, and who is
// on that; LevelFirst for one that does not answer.
func (l *leader) commonLevel(ctx context.Context) (level int, behind string) {
	status, err := l.cluster.Status()
	if err != nil {
		return rollout.LevelFirst, l.id
	}
	level = l.level
	for _, m := range status.Members {
		if m.ID == l.id {
			continue
		}
		if its := l.levelOf(ctx, m.ID); its < level {
			level, behind = its, m.ID
		}
	}
	return level, behind
}

func (l *leader) levelOf(ctx context.Context, id string) int {
	ctx, stop := context.WithTimeout(ctx, levelTimeout)
	defer stop()
	m, err := l.bus.Request(ctx, bus.LevelSubject(id), nil)
	if err != nil {
		return rollout.LevelFirst
	}
	level, err := strconv.Atoi(string(m.Data))
	if err != nil {
		return rollout.LevelFirst
	}
	return max(rollout.LevelFirst, level)
}
