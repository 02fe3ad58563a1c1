package demo

import (
	"context"
	"sync"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/localfleet"
)

// quiet is after how long without an event the demo tells what it waits for.
const quiet = 15 * time.Second

// progress shows what goes on between the events of one rollout.
type progress struct {
	run     *run
	conn    *bus.Conn
	stage   *stage
	version string

	mu   sync.Mutex
	last time.Time // of an event, or of a line about what is waited for
}

// start begins to show; the returned function ends it.
func (p *progress) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	p.heard()
	go func() {
		defer close(ended)
		p.show(ctx)
	}()
	return func() { cancel(); <-ended }
}

// heard notes that something was told just now.
func (p *progress) heard() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = time.Now()
}

// Private

func (p *progress) show(ctx context.Context) {
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	defer p.run.screen.show("")
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if p.stage.load != nil && p.run.Repeat == 1 { // there is one line, for one rollout
			p.run.screen.show(statusLine(p.stage.load.Stats(), p.version))
		}
		if p.silent() {
			p.tellWaiting(ctx)
		}
	}
}

func (p *progress) silent() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Since(p.last) >= quiet
}

func (p *progress) tellWaiting(ctx context.Context) {
	p.heard()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	s, err := localfleet.Ask[api.ServiceStatus](ctx, p.conn, api.GetService, p.stage.service)
	switch {
	case err != nil:
		p.run.say("  no leader answers: %v", err)
	case s.Running && s.Rollout.Waiting != "":
		p.run.say("  %s %s", s.Rollout.ID, s.Rollout.Waiting)
	}
}
