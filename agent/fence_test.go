package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"github.com/serin-rollouts/serin/agent/fence"
	"github.com/serin-rollouts/serin/internal/durable"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// TestFence is I2: whatever order assignments and broadcasts come in, however
// often the agent is killed, also while it writes, nothing is accepted of an
// epoch older than one that was accepted before.
func TestFence(t *testing.T) {
	scratch, runs := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		dir := filepath.Join(scratch, strconv.Itoa(runs))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		f := &guard{dir: dir, highest: map[string]uint64{}}
		f.start(t)
		t.Repeat(map[string]func(*rapid.T){
			"assign":  f.assign,
			"wave":    f.wave,
			"note":    f.note,
			"restart": f.start,
			"kill":    f.kill,
		})
	})
}

// guard is an agent as far as accepting goes, and what it has accepted.
type guard struct {
	dir     string
	agent   *agent
	highest map[string]uint64 // epochs accepted, by service
}

func (f *guard) start(t *rapid.T) {
	l, err := openLedger(f.dir, host, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.agent = &agent{ledger: l, accepting: make(chan struct{}, 1), log: zerolog.Nop(), services: map[string]*service{}}
	for name, page := range l.page.Accepted {
		f.service(name).restore(page)
	}
}

// service is one that nobody works on.
func (f *guard) service(name string) *service {
	if f.agent.services[name] == nil {
		f.agent.services[name] = newService(f.agent, name)
	}
	return f.agent.services[name]
}

// kill ends the agent in the middle of writing: half a file is left, under the
// name that an unfinished one has.
func (f *guard) kill(t *rapid.T) {
	page := filepath.Join(f.dir, "accepted.json")
	whole, err := os.ReadFile(page)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(f.dir, ".accepted.json123"), whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	f.start(t)
	if left, err := durable.Unfinished(page); err != nil || len(left) > 0 {
		t.Fatalf("left behind: %v, %v", left, err)
	}
}

func (f *guard) message(t *rapid.T) (string, uint64) {
	return rapid.SampledFrom([]string{shop, "other"}).Draw(t, "service"), rapid.Uint64Range(1, 20).Draw(t, "epoch")
}

func (f *guard) assign(t *rapid.T) {
	name, epoch := f.message(t)
	accepted := fence.Fresh(f.agent.ledger.page.Accepted, []rollout.Assignment{{Service: name, Epoch: epoch}}, f.agent.tooOld)
	if err := f.agent.persist(accepted); err != nil {
		t.Fatal(err)
	}
	for _, as := range accepted {
		if as.Epoch < f.highest[name] {
			t.Fatalf("I2: epoch %d of %s is accepted after %d", as.Epoch, name, f.highest[name])
		}
		f.highest[name] = as.Epoch
		s := f.service(name)
		if s.accept(as, startOfTime); s.post.MayRaise(0) != (s.heard() == epoch) {
			t.Fatalf("I12: epoch %d of %s may be raised at %d", epoch, name, s.heard())
		}
	}
	if len(accepted) == 0 && epoch >= f.highest[name] {
		t.Fatalf("epoch %d of %s is refused after %d", epoch, name, f.highest[name])
	}
}

// wave is a broadcast; the agent may die before it is written down.
func (f *guard) wave(t *rapid.T) {
	name, epoch := f.message(t)
	f.service(name).hold(rollout.Wave{Service: name, Epoch: epoch})
	if got := f.service(name).heard(); got < epoch {
		t.Fatalf("I2: after a broadcast of epoch %d of %s it is at %d", epoch, name, got)
	}
}

func (f *guard) note(t *rapid.T) {
	if err := f.agent.noteEpochs(); err != nil {
		t.Fatal(err)
	}
	for name, s := range f.agent.services {
		f.highest[name] = max(f.highest[name], s.heard())
	}
}
