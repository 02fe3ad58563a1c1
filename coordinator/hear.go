package coordinator

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/serin-rollouts/serin/coordinator/hooks"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
)

// hookAttempt is how long a trigger of a registry's may stay unanswered before it
// is asked again; a repetition joins the first.
const hookAttempt = 10 * time.Second

// hear adds the routes by which registries tell of pushes, if they may.
func (p parts) hear(ctx context.Context, open *teardown, routes map[string]http.Handler) error {
	if p.cfg.Hooks == "" {
		return nil
	}
	rules, err := hooks.Load(p.cfg.Hooks)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	handler := hooks.New(ctx, rules, p.pushed, p.log.With().Str("component", "hooks").Logger())
	open.push("hooks", func(context.Context) error {
		stop()
		handler.Wait()
		return nil
	})
	maps.Copy(routes, handler.Routes())
	return nil
}

// Private

// pushed asks whoever leads for a rollout.
func (p parts) pushed(ctx context.Context, service string, t api.Trigger) (api.Reply, error) {
	conn := p.heard.Load()
	if conn == nil {
		return api.Reply{}, bus.ErrNotConnected
	}
	data, err := json.Marshal(t)
	if err != nil {
		return api.Reply{}, fmt.Errorf("encode trigger: %w", err)
	}
	var header bus.Header
	if t.Trace != "" {
		header = bus.Header{bus.TraceHeader: {t.Trace}}
	}
	ctx, stop := context.WithTimeout(ctx, hookAttempt)
	defer stop()
	answer, err := conn.RequestHeader(ctx, bus.TriggerSubject(service), header, data)
	if err != nil {
		return api.Reply{}, err
	}
	return api.DecodeReply(answer.Data)
}
