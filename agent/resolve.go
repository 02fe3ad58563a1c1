package agent

import (
	"context"
	"time"

	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/wire"
)

// resolveTimeout bounds one look-up at a registry; atOnce how many there are.
const (
	resolveTimeout = 30 * time.Second
	resolveAtOnce  = 4
)

// Private

// onResolve answers which bytes an image reference stands for, in a goroutine
// of its own: the subscription must not wait for a registry.
func (a *agent) onResolve(ctx context.Context, m bus.Msg) {
	select {
	case a.resolving <- struct{}{}:
	default:
		a.answer(m, wire.Resolved{Error: "this host is busy with other look-ups"})
		return
	}
	a.group.Go(func() error {
		defer func() { <-a.resolving }()
		a.answer(m, a.resolve(ctx, m.Data))
		return nil
	})
}

func (a *agent) resolve(ctx context.Context, data []byte) wire.Resolved {
	ask, err := wire.DecodeResolve(data)
	if err != nil {
		return wire.Resolved{Error: cut(err.Error())}
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	image, err := a.out.library.Resolve(ctx, ask.Image)
	if err != nil {
		return wire.Resolved{Error: cut(err.Error())}
	}
	return wire.Resolved{Image: image.Ref, Local: image.Local}
}

func (a *agent) answer(m bus.Msg, r wire.Resolved) {
	data, err := wire.EncodeResolved(r)
	if err == nil {
		err = m.Respond(data)
	}
	if err != nil {
		a.log.Warn().Err(err).Msg("look-up of an image not answered")
	}
}
