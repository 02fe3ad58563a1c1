package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/agent/docker"
	"github.com/serin-rollouts/serin/agent/plan"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const (
	// A container that starts is asked every few milliseconds, later less
	// often: its first request comes the sooner.
	probeFirst   = 5 * time.Millisecond
	probeLast    = 250 * time.Millisecond
	probeTimeout = time.Second
	proveSpell   = time.Second // before the whole host is looked at again
	lastLines    = 5           // of a log, to tell why
)

// errNotReady means that no container got ready in this spell.
var errNotReady = errors.New("not ready yet")

// Private

// prove asks the containers, until one of them is ready or the spell is over.
func (s *service) prove(ctx context.Context, op plan.Prove, turn uint64) error {
	health := op.Revision.Container.Health
	last := make([]error, len(op.Containers))
	end := s.agent.now() + proveSpell
	for wait := probeFirst; ; wait = min(2*wait, probeLast) {
		for i, c := range op.Containers {
			last[i] = s.probe(ctx, c, health)
			if last[i] == nil {
				return s.proved(ctx, c.ID)
			}
		}
		if s.agent.now() >= end || ctx.Err() != nil {
			break
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
	for i, c := range op.Containers {
		s.overdue(ctx, turn, op.Revision, c, last[i])
	}
	return errNotReady
}

// probe asks one container once.
func (s *service) probe(ctx context.Context, c plan.Container, health rollout.Health) error {
	if health.Kind == rollout.DockerHealth {
		return errors.New("its Docker health check has not passed")
	}
	if c.Addr == "" {
		return errors.New("it has no address: is it connected to a network?")
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if health.Kind == rollout.HTTPHealth {
		return s.probeHTTP(ctx, "http://"+c.Addr+health.Path)
	}
	conn, err := s.agent.cfg.Dial(ctx, "tcp", c.Addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

// probeHTTP wants a status of 200 to 399.
func (s *service) probeHTTP(ctx context.Context, url string) error {
	return s.agent.ask(ctx, url, func(resp *http.Response) error {
		_, _ = io.CopyN(io.Discard, resp.Body, mostBody) // the status is what counts
		if resp.StatusCode < 200 || resp.StatusCode > 399 {
			return fmt.Errorf("GET %s answers %s", resp.Request.URL.Path, resp.Status)
		}
		return nil
	})
}

// proved remembers that the container is ready, if it is still the same run.
func (s *service) proved(ctx context.Context, id string) error {
	found, err := s.agent.out.engine.List(ctx, s.labels())
	if err != nil {
		return err
	}
	for _, c := range found {
		if c.ID == id && c.State == docker.StateRunning {
			s.memory.proven[id] = c.StartedAt
			s.mu.Lock()
			s.status.problem = problem{}
			s.mu.Unlock()
		}
	}
	return nil
}

// overdue makes a problem of a container that should have been ready by now.
func (s *service) overdue(ctx context.Context, turn uint64, rev rollout.Revision, c plan.Container, last error) {
	since, ok := s.memory.runsSince[c.ID]
	if !ok {
		s.memory.runsSince[c.ID] = s.agent.now()
		return
	}
	limit := rev.Container.Health.Timeout
	if limit <= 0 || s.agent.now()-since < limit {
		return
	}
	a, _ := s.current()
	p := problem{
		text:  fmt.Sprintf("%s is not ready after %s: %v%s", c.Slot, limit, plainly(last), s.logTail(ctx, c.ID)),
		cause: rollout.CauseStart,
		fatal: a.Rollout != "" && isNew(a, rev.ID),
	}
	s.mu.Lock()
	changed := s.post.Turn == turn && (s.status.problem.text == "" || s.status.problem.fatal != p.fatal)
	if changed {
		s.status.trouble(p)
	}
	s.mu.Unlock()
	if changed {
		s.log.Warn().Str("slot", c.Slot).Str("problem", p.text).Msg("container does not get ready")
		s.agent.reportNow()
	}
}

// plainly leaves out what a dial's error says about addresses, which change
// from probe to probe.
func plainly(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		return op.Err
	}
	return err
}

// logTail quotes what the container said last.
func (s *service) logTail(ctx context.Context, id string) string {
	lines, err := s.agent.out.library.Logs(ctx, id, lastLines)
	if err != nil || len(lines) == 0 {
		return ""
	}
	for i, line := range lines {
		lines[i] = strings.ToValidUTF8(line[:min(len(line), 200)], "?")
	}
	return "; its last words: " + strings.Join(lines, " | ")
}
