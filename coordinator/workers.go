package coordinator

import (
	"context"
	"maps"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// workers is a group that late callers cannot join once it ends.
type workers struct {
	group *errgroup.Group

	mu     sync.Mutex
	sealed bool
}

// seal waits for the end of ctx and closes the group; as a member of it, it
// keeps it from ending before.
func (w *workers) seal(ctx context.Context) error {
	<-ctx.Done()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sealed = true
	return nil
}

// keep runs a part again if it fails while the term goes on: the bus may be
// away for a while.
func (l *leader) keep(name string, part func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		for ctx.Err() == nil {
			if err := part(ctx); err != nil && ctx.Err() == nil {
				l.log.Warn().Err(err).Str("part", name).Msg("interrupted, trying on")
			}
			pause(ctx, time.Second)
		}
		return nil
	}
}

// spawn runs f beside the term's other work, unless the term is over.
func (l *leader) spawn(ctx context.Context, f func(context.Context)) {
	l.work.mu.Lock()
	defer l.work.mu.Unlock()
	if !l.work.sealed {
		l.work.group.Go(func() error {
			f(ctx)
			return nil
		})
	}
}

// roster is what the publishing goroutines know of the fleet: the labels of
// each host that has reported.
type roster struct {
	mu     sync.Mutex
	labels map[string]map[string]string
}

func newRoster() *roster { return &roster{labels: map[string]map[string]string{}} }

func (r *roster) put(name string, labels map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.labels[name] = labels
}

func (r *roster) all() map[string]map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.labels)
}

// Private

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
