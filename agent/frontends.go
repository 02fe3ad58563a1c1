package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/serin-rollouts/serin/agent/haproxy"
)

// frontends is the set of services that HAProxy takes traffic for. HAProxy is
// given the whole set at once.
type frontends struct {
	proxy proxy
	bind  string // address for services that name only a port; empty: all

	turn chan struct{} // holds one: who tells HAProxy

	mu     sync.Mutex
	wanted map[string]haproxy.Service
	done   map[string]haproxy.Service // as HAProxy has it
}

func newFrontends(p proxy, bind string) *frontends {
	return &frontends{
		proxy: p, bind: bind, turn: make(chan struct{}, 1),
		wanted: map[string]haproxy.Service{}, done: map[string]haproxy.Service{},
	}
}

// want adds a service to the set without telling HAProxy yet: so that the
// first that does does not drop the others.
func (f *frontends) want(s haproxy.Service) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wanted[s.Name] = f.bound(s)
}

// present tells whether HAProxy has the service as it shall be, or, for one
// that is to go, whether it has it at all.
func (f *frontends) present(name string, s haproxy.Service, snap haproxy.Snapshot) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, shown := snap.Backends[name]
	if s.Listen == "" && s.Backend == "" {
		return shown
	}
	return shown && f.done[name] == f.bound(s)
}

// ensure has HAProxy take the service's traffic. Another service that cannot
// be set up does not stand in its way.
func (f *frontends) ensure(ctx context.Context, s haproxy.Service) error {
	f.want(s)
	return f.apply(ctx, s.Name)
}

// remove has HAProxy forget the service.
func (f *frontends) remove(ctx context.Context, name string) error {
	f.mu.Lock()
	delete(f.wanted, name)
	f.mu.Unlock()
	return f.apply(ctx, name)
}

// revive starts HAProxy, if it is gone, with what it shall have.
func (f *frontends) revive(ctx context.Context) error {
	return f.apply(ctx, "")
}

// Private

// bound puts this host's address before a port that stands alone.
func (f *frontends) bound(s haproxy.Service) haproxy.Service {
	if strings.HasPrefix(s.Listen, ":") {
		s.Listen = f.bind + s.Listen
	}
	return s
}

// apply gives HAProxy what is wanted. Another call may be starting it, which takes
// its time.
func (f *frontends) apply(ctx context.Context, concerned string) error {
	select {
	case f.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("wait for another service's frontend: %w", ctx.Err())
	}
	defer func() { <-f.turn }()
	f.mu.Lock()
	try, done := maps.Clone(f.wanted), f.done
	f.mu.Unlock()
	for {
		set := make([]haproxy.Service, 0, len(try))
		for _, name := range slices.Sorted(maps.Keys(try)) {
			set = append(set, try[name])
		}
		err := f.proxy.Ensure(ctx, set)
		if err == nil {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.done = try
			return nil
		}
		culprit := blame(err)
		if _, in := try[culprit]; culprit == concerned || !in || done[culprit] == try[culprit] {
			return fmt.Errorf("set up %d frontends: %w", len(set), err)
		}
		if old, had := done[culprit]; had {
			try[culprit] = old
		} else {
			delete(try, culprit)
		}
	}
}

// blame names the service because of which a set was refused.
func blame(err error) string {
	if port, ok := errors.AsType[*haproxy.PortError](err); ok {
		return port.Service
	}
	if missing, ok := errors.AsType[*haproxy.MissingError](err); ok {
		return missing.Service
	}
	return ""
}
