package haproxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Managed is a HAProxy of serin's own.
type Managed struct {
	balancer

	master    socket
	cfgFile   file
	splitFile file
	logAddr   string
	maxConn   int
	oldOnes   atomic.Bool  // a reload may have left workers behind
	alone     atomic.Int64 // pid of a worker that was seen to be the only one

	logMu    sync.Mutex
	logReady net.Listener // opened by OpenManaged, taken by Tail
}

// OpenManaged reads what Dir holds and checks HAProxy's version. It starts
// nothing: Ensure does. It changes nothing but Dir.
func OpenManaged(ctx context.Context, cfg Config) (*Managed, error) {
	cfg.setDefaults()
	if err := cfg.validateManaged(); err != nil {
		return nil, fmt.Errorf("open managed HAProxy: %w", err)
	}
	out, err := cfg.Exec(ctx, cfg.Binary, []string{"-v"})
	if err != nil {
		return nil, fmt.Errorf("open managed HAProxy: run %s -v: %w; install HAProxy, or name its executable (haproxy.binary)", cfg.Binary, err)
	}
	if err := checkVersion(versionOf(out)); err != nil {
		return nil, fmt.Errorf("open managed HAProxy: %w: update %s, or name another executable (haproxy.binary)", err, cfg.Binary)
	}
	m := &Managed{maxConn: maxConnections()}
	m.cfg, m.turn = cfg, make(chan struct{}, 1)
	m.sock = socket{dial: cfg.Dial, path: m.path("admin.sock"), timeout: cfg.Timeout, observe: cfg.Observe}
	m.master = socket{dial: cfg.Dial, path: m.path("master.sock"), timeout: cfg.Timeout, observe: cfg.Observe}
	m.mapPath = m.path("maps/split.map")
	m.cfgFile.path = m.path("haproxy.cfg")
	m.splitFile.path = m.mapPath
	m.persist = m.save
	m.tellOld = m.tellOldWorkers
	if err := m.load(ctx); err != nil {
		return nil, fmt.Errorf("open managed HAProxy in %s: %w", cfg.Dir, err)
	}
	return m, nil
}

// Close lets go of the log listener. HAProxy runs on.
func (m *Managed) Close() error {
	m.logMu.Lock()
	defer m.logMu.Unlock()
	if m.logReady == nil {
		return nil
	}
	err := m.logReady.Close()
	m.logReady = nil
	return err
}

// Ensure makes HAProxy serve exactly these services. It starts HAProxy if none
// of Dir runs (without the slots whose addresses are somebody else's by now,
// see Config.Residents), adopts it if one does, and reloads it (without a lost
// request) only if the set of services or their options changed. On an error
// (PortError, ErrInvalidConfig) the services that ran before run on unchanged.
func (m *Managed) Ensure(ctx context.Context, services []Service) error {
	sorted, err := validateManaged(services)
	if err != nil {
		return fmt.Errorf("ensure: %w", err)
	}
	free, err := m.take(ctx)
	if err != nil {
		return fmt.Errorf("ensure: %w", err)
	}
	defer free()
	if err := m.ensure(ctx, sorted); err != nil {
		return fmt.Errorf("ensure: %w", err)
	}
	return nil
}

// Observe also asks the master for workers that a reload has left behind.
func (m *Managed) Observe(ctx context.Context) (Snapshot, error) {
	snap, err := m.balancer.Observe(ctx)
	if err != nil {
		return snap, err
	}
	snap.OldWorkers = m.lingering(ctx, snap.Pid)
	return snap, nil
}

// Private

func (m *Managed) path(name string) string { return filepath.Join(m.cfg.Dir, name) }

// lingering tells of workers older than the one that serves. A reload would make
// another one serve, so that one which is alone remains so, and the master need
// not be asked again. Without a master nobody knows of them; then it is safer
// to think that there are some.
func (m *Managed) lingering(ctx context.Context, serving int) bool {
	if m.alone.Load() == int64(serving) {
		return false
	}
	p, err := m.proc(ctx)
	if err != nil || len(p.oldWorkers) > 0 {
		return true
	}
	if slices.Contains(p.workers, serving) {
		m.alone.Store(int64(serving))
	}
	return false
}

// versionOf reads "HAProxy version 2.6.12-1+deb12u4 2026/10/17 - ...".
func versionOf(out string) string {
	_, rest, _ := strings.Cut(out, "version ")
	version, _, _ := strings.Cut(rest, " ")
	return version
}

// load reads the files and settles the log address.
func (m *Managed) load(ctx context.Context) error {
	if err := os.MkdirAll(m.path("maps"), 0o700); err != nil {
		return err
	}
	if err := os.Chmod(m.cfg.Dir, 0o700); err != nil {
		return err
	}
	v := &view{services: map[string]entry{}}
	remembered := ""
	text, err := m.cfgFile.load()
	if err != nil {
		return err
	}
	if text != "" {
		if v, remembered, err = parseFile(text); err != nil {
			return err
		}
	}
	splits, err := m.splitFile.load()
	if err != nil {
		return err
	}
	readSplits(v, splits)
	m.view.Store(v)
	return m.openLog(ctx, remembered)
}

// save makes the view durable: the servers first, since a split is worth nothing
// without its servers.
func (m *Managed) save() error {
	v := m.view.Load()
	text, _, err := m.render(v)
	if err != nil {
		return err
	}
	if err := m.cfgFile.save(text); err != nil {
		return err
	}
	return m.splitFile.save(splitFile(v))
}

// running tells what of ours runs: the fingerprint it has read, and whether its
// master is dead.
type running struct {
	up          bool
	fingerprint string
	orphan      int
}

// inspect looks at HAProxy and, if one runs, takes its state as the truth.
func (m *Managed) inspect(ctx context.Context) (running, error) {
	l, p, err := m.lookAtBoth(ctx)
	switch {
	case err != nil:
		return running{}, err
	case l.info.pid == 0:
		return running{}, nil
	}
	r := running{up: true, fingerprint: l.info.description}
	if p.master == 0 {
		r.up, r.orphan = false, l.info.pid
	}
	m.oldOnes.Store(len(p.oldWorkers) > 0)
	old := m.view.Load()
	next := &view{services: maps.Clone(old.services)}
	for name, e := range old.services {
		// A service that it does not have yet (the agent died before a
		// reload) stays as the file says.
		if merged, err := m.merge(e, l); err == nil {
			next.services[name] = merged
		}
	}
	m.view.Store(next)
	return r, nil
}

// lookAtBoth asks worker and master; the one that does not answer is zero. A
// master ends some milliseconds after its worker died, and a worker may follow
// its master: what is half there is looked at again for a while.
func (m *Managed) lookAtBoth(ctx context.Context) (live, processes, error) {
	const patience = 2 * time.Second
	deadline := time.Now().Add(patience)
	for {
		l, lerr := m.look(ctx, false)
		p, perr := m.proc(ctx)
		if ctx.Err() != nil {
			return l, p, ctx.Err()
		}
		settled := (lerr == nil) == (perr == nil)
		if settled || time.Now().After(deadline) {
			if lerr != nil && perr == nil {
				return l, p, fmt.Errorf("master %d runs, but its worker is silent: %w", p.master, lerr)
			}
			return l, p, nil
		}
		if err := pause(ctx); err != nil {
			return l, p, err
		}
	}
}

func (m *Managed) ensure(ctx context.Context, services []Service) error {
	r, err := m.inspect(ctx)
	if err != nil {
		return err
	}
	old := m.view.Load()
	next := &view{services: make(map[string]entry, len(services))}
	for _, s := range services {
		e, ok := old.services[s.Name]
		if !ok {
			e.slots = map[string]server{}
		}
		e.Service, e.backend = s, s.Name
		next.services[s.Name] = e
	}
	if !r.up {
		if err := m.vacate(ctx, next); err != nil {
			return err
		}
	}
	text, fingerprint, err := m.render(next)
	if err != nil {
		return err
	}
	if r.up && r.fingerprint == fingerprint {
		m.view.Store(next)
		return m.save()
	}
	serving := map[string]bool{}
	if r.up || r.orphan != 0 {
		serving = binds(old)
	}
	if err := m.probePorts(ctx, next, serving); err != nil {
		return err
	}
	if err := m.tryFile(ctx, text, next); err != nil {
		return err
	}
	return m.install(ctx, r, fingerprint, old, next)
}

// tryFile has HAProxy judge the new file beside the old one.
func (m *Managed) tryFile(ctx context.Context, text []byte, next *view) error {
	if m.splitFile.last == nil { // HAProxy refuses a map file that is missing
		if err := m.splitFile.save(splitFile(next)); err != nil {
			return err
		}
	}
	candidate := file{path: m.cfgFile.path + ".new"}
	if err := candidate.save(text); err != nil {
		return err
	}
	return errors.Join(m.checkFile(ctx, candidate.path), os.Remove(candidate.path))
}

// install writes the files and has HAProxy read them; if it does not, the old
// ones come back.
func (m *Managed) install(ctx context.Context, r running, fingerprint string, old, next *view) error {
	m.view.Store(next)
	err := m.save()
	if err == nil {
		if r.up {
			err = m.reload(ctx, fingerprint)
		} else {
			err = m.start(ctx, fingerprint, r.orphan)
		}
	}
	if err == nil {
		return m.refreshAndSave(ctx)
	}
	m.view.Store(old)
	if len(old.services) == 0 && !r.up {
		return err
	}
	if back := m.save(); back != nil {
		return errors.Join(err, fmt.Errorf("put the old files back: %w", back))
	}
	if !r.up {
		return err
	}
	// A master whose reload failed waits with its old worker; a reload of the
	// old file makes it whole again.
	if back := m.reload(context.WithoutCancel(ctx), r.fingerprint); back != nil {
		return errors.Join(err, fmt.Errorf("put the old configuration back: %w", back))
	}
	return err
}

func (m *Managed) refreshAndSave(ctx context.Context) error {
	if err := m.refresh(ctx, ""); err != nil {
		return err
	}
	return m.save()
}

func binds(v *view) map[string]bool {
	out := map[string]bool{}
	for _, e := range v.services {
		if bind, err := bindAddress(e.Listen); err == nil {
			out[bind] = true
		}
	}
	return out
}

// probePorts tries the listen addresses that HAProxy does not have yet. HAProxy
// would find out as well, but only after two seconds of retries.
func (m *Managed) probePorts(ctx context.Context, v *view, serving map[string]bool) error {
	for name, e := range v.services {
		bind, err := bindAddress(e.Listen)
		if err != nil {
			return err
		}
		if serving[bind] {
			continue
		}
		l, err := m.cfg.Listen(ctx, "tcp", strings.TrimPrefix(bind, "*"))
		if err != nil {
			return &PortError{Service: name, Address: e.Listen, Err: err}
		}
		if err := l.Close(); err != nil {
			return fmt.Errorf("probe %s: %w", e.Listen, err)
		}
	}
	return nil
}
