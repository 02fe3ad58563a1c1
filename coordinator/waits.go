package coordinator

import (
	"fmt"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// waitsPause is between two looks at what rollouts wait for.
const waitsPause = 5 * time.Second

// waits tells the log what rollouts wait for, in the words that a status has: once
// when it becomes another thing in a step, not whenever its numbers move.
type waits struct {
	next time.Duration
	said map[string]spoken // by service
}

// spoken is what was said of one phase of a rollout.
type spoken struct {
	of    string
	kinds map[string]bool
}

// tell says what is new. It costs a decision for each service, so it is done seldom.
func (w *waits) tell(log zerolog.Logger, s *rollout.State, e rollout.Evidence, now time.Duration) {
	if now < w.next {
		return
	}
	w.next = now + waitsPause
	if w.said == nil {
		w.said = map[string]spoken{}
	}
	for _, name := range s.Names() {
		r := s.Services[name].Active
		if r == nil || r.Phase == rollout.Paused { // why it pauses is an event
			delete(w.said, name)
			continue
		}
		of := fmt.Sprintf("%s %s %d", r.ID, r.Phase, r.Step)
		if w.said[name].of != of {
			w.said[name] = spoken{of, map[string]bool{}}
		}
		text := rollout.Waiting(s, name, e[name], now)
		kind := strings.Map(withoutDigits, text)
		if text == "" || text == rollout.Deciding || w.said[name].kinds[kind] {
			continue
		}
		w.said[name].kinds[kind] = true
		log.Info().Str("service", name).Str("rollout", r.ID).Str("phase", string(r.Phase)).Int("step", r.Step+1).Msg(text)
	}
}

// Private

func withoutDigits(r rune) rune {
	if '0' <= r && r <= '9' {
		return -1
	}
	return r
}
