package agent

import (
	"context"
	"testing"

	"github.com/rs/zerolog"
)

// TestEndBeforeTheStart: an agent that is told to end while it still starts has
// not failed.
func TestEndBeforeTheStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Run(ctx, Config{Host: host, DataDir: t.TempDir(), Log: zerolog.Nop()}); err != nil {
		t.Error(err)
	}
}
