// Package bustest starts a bus inside a test.
package bustest

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server/ats"
	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/bus/embed"
)

// startTimeout is generous: test machines are slow and shared.
const startTimeout = 2 * time.Minute

// Hold lets servers run inside the bubbles of testing/synctest, until the test
// ends. Call it on the outer test, before synctest.Test: the server has one
// clock per process, which must not be born inside a bubble, or time stands
// still there.
func Hold(tb testing.TB) {
	tb.Helper()
	ats.Register()
	tb.Cleanup(ats.Unregister)
}

// Start runs a server without ports, with its streams made, until the test
// ends. In a bubble, pass the bubble's own T.
func Start(tb testing.TB) *embed.Server {
	tb.Helper()
	s := StartEmpty(tb)
	c := Connect(tb, s)
	ctx, stop := context.WithTimeout(tb.Context(), startTimeout)
	defer stop()
	if err := c.EnsureStreams(ctx, 1); err != nil {
		tb.Fatalf("make streams: %v", err)
	}
	return s
}

// StartEmpty is Start without the streams.
func StartEmpty(tb testing.TB) *embed.Server {
	tb.Helper()
	ctx, stop := context.WithTimeout(tb.Context(), startTimeout)
	defer stop()
	s, err := embed.Start(ctx, embed.Config{
		Name:          "test",
		Dir:           tb.TempDir(),
		InProcessOnly: true,
		Log:           zerolog.Nop(),
	})
	if err != nil {
		tb.Fatalf("start bus: %v", err)
	}
	tb.Cleanup(func() {
		if err := s.Shutdown(); err != nil {
			tb.Errorf("stop bus: %v", err)
		}
	})
	if err := s.Ready(ctx); err != nil {
		tb.Fatalf("start bus: %v", err)
	}
	return s
}

// Connect returns a connection to s that is closed when the test ends.
func Connect(tb testing.TB, s *embed.Server) *bus.Conn {
	tb.Helper()
	ctx, stop := context.WithTimeout(tb.Context(), startTimeout)
	defer stop()
	c, err := bus.Connect(ctx, bus.Config{Name: tb.Name(), InProcess: s, Log: zerolog.Nop()})
	if err != nil {
		tb.Fatalf("connect to bus: %v", err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Errorf("close connection to bus: %v", err)
		}
	})
	return c
}
