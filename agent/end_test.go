package agent

import (
	"context"
	"testing"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/bus"
)

// TestEndBeforeTheStart: an agent that is told to end while it still starts has
// not failed.
func TestEndBeforeTheStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Run(ctx, Config{Host: host, DataDir: t.TempDir(), Log: zerolog.Nop(), Bus: bus.Config{URLs: []string{"nats://127.0.0.1:1"}}}); err != nil {
		t.Error(err)
	}
}
