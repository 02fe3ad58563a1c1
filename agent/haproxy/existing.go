package haproxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Existing steers backends of a HAProxy that belongs to somebody else. It
// needs an admin socket, and per backend the slot servers a1..aN and b1..bN,
// declared disabled. Splits are made by server weights.
type Existing struct {
	balancer

	splitFile file
	advised   []string // backends whose file has been looked at
}

// MissingError says what the existing HAProxy lacks.
type MissingError struct {
	Service, Backend string
	Servers          []string // nil: the whole backend
}

// Error tells what to declare.
func (e *MissingError) Error() string {
	if len(e.Servers) == 0 {
		return fmt.Sprintf("service %s: the existing HAProxy has no backend %s", e.Service, e.Backend)
	}
	return fmt.Sprintf("service %s: backend %s lacks the servers %s; declare them like \"server a1 127.0.0.1:1 check disabled\"",
		e.Service, e.Backend, strings.Join(e.Servers, ", "))
}

// OpenExisting connects to the admin socket and checks HAProxy's version.
func OpenExisting(ctx context.Context, cfg Config) (*Existing, error) {
	cfg.setDefaults()
	if err := cfg.validateExisting(); err != nil {
		return nil, fmt.Errorf("open existing HAProxy: %w", err)
	}
	x := &Existing{}
	x.cfg, x.turn = cfg, make(chan struct{}, 1)
	x.sock = socket{dial: cfg.Dial, path: cfg.Socket, timeout: cfg.Timeout, observe: cfg.Observe}
	x.persist = x.save
	x.view.Store(&view{services: map[string]entry{}})
	if cfg.Dir != "" {
		if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("open existing HAProxy: %w", err)
		}
		x.splitFile.path = filepath.Join(cfg.Dir, "split.map")
	}
	l, err := x.look(ctx, false)
	if err != nil {
		return nil, fmt.Errorf("open existing HAProxy: %w", err)
	}
	if err := checkVersion(l.info.version); err != nil {
		return nil, fmt.Errorf("open existing HAProxy at %s: %w", cfg.Socket, err)
	}
	return x, nil
}

// Close has nothing to let go of; it is there so that both kinds end alike.
func (x *Existing) Close() error { return nil }

// Stop does nothing: this HAProxy is not ours to end.
func (x *Existing) Stop(context.Context) error { return nil }

// Ensure checks that every backend exists, speaks HTTP, takes weights at run
// time and has its slots. It changes nothing.
func (x *Existing) Ensure(ctx context.Context, services []Service) error {
	free, err := x.take(ctx)
	if err != nil {
		return fmt.Errorf("ensure: %w", err)
	}
	defer free()
	l, err := x.look(ctx, true)
	if err != nil {
		return fmt.Errorf("ensure: %w", err)
	}
	old := x.view.Load()
	next := &view{services: make(map[string]entry, len(services))}
	var problems []error
	for _, s := range services {
		e, err := x.check(old, s, l)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		next.services[s.Name] = e
		x.advise(e.backend)
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("ensure: %w", err)
	}
	if x.splitFile.path != "" {
		text, err := x.splitFile.load()
		if err != nil {
			return fmt.Errorf("ensure: %w", err)
		}
		readSplits(next, text)
	}
	x.view.Store(next)
	if err := x.save(); err != nil {
		return fmt.Errorf("ensure: %w", err)
	}
	return nil
}

// Private

func (x *Existing) check(old *view, s Service, l live) (entry, error) {
	if err := s.validate(); err != nil {
		return entry{}, err
	}
	if s.Sticky {
		return entry{}, fmt.Errorf("service %s: sticky routing needs a managed HAProxy", s.Name)
	}
	backend := s.Backend
	if backend == "" {
		backend = s.Name
	}
	rows, ok := l.servers[backend]
	if !ok {
		return entry{}, &MissingError{Service: s.Name, Backend: backend}
	}
	missing := slices.DeleteFunc(slotNames(x.cfg.Slots), func(name string) bool {
		_, ok := rows[name]
		return ok
	})
	if len(missing) > 0 {
		return entry{}, &MissingError{Service: s.Name, Backend: backend, Servers: missing}
	}
	st := l.stats[statKey{backend, "BACKEND"}]
	if st.mode != "" && st.mode != "http" {
		return entry{}, fmt.Errorf("service %s: backend %s is in mode %s, not http", s.Name, backend, st.mode)
	}
	if st.algo != "" && !slices.Contains([]string{"roundrobin", "leastconn", "random"}, st.algo) {
		return entry{}, fmt.Errorf("service %s: backend %s has balance %s, which takes no weights at run time", s.Name, backend, st.algo)
	}
	e := old.services[s.Name]
	e.Service, e.backend = s, backend
	return x.merge(e, l)
}

// save keeps the requested splits, if there is a place for them.
func (x *Existing) save() error {
	if x.splitFile.path == "" {
		return nil
	}
	v := x.view.Load()
	kept := &view{services: maps.Clone(v.services)}
	return x.splitFile.save(splitFile(kept))
}
