package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"

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
		f := &fence{dir: dir, highest: map[string]uint64{}}
		f.start(t)
		t.Repeat(map[string]func(*rapid.T){
			"assign":  f.assign,
			"wave":    f.wave,
			"restart": f.start,
			"kill":    f.kill,
		})
	})
}

// fence is an agent as far as accepting goes, and what it has accepted.
type fence struct {
	dir     string
	agent   *agent
	highest map[string]uint64 // epochs accepted, by service
}

func (f *fence) start(t *rapid.T) {
	l, err := openLedger(f.dir, host)
	if err != nil {
		t.Fatal(err)
	}
	f.agent = &agent{ledger: l, log: zerolog.Nop(), services: map[string]*service{}}
}

// kill ends the agent in the middle of writing: half a file is left, under the
// name that an unfinished one has.
func (f *fence) kill(t *rapid.T) {
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

func (f *fence) message(t *rapid.T) (string, uint64) {
	return rapid.SampledFrom([]string{shop, "other"}).Draw(t, "service"), rapid.Uint64Range(1, 20).Draw(t, "epoch")
}

func (f *fence) assign(t *rapid.T) {
	name, epoch := f.message(t)
	accepted := f.agent.current([]rollout.Assignment{{Service: name, Epoch: epoch}})
	if err := f.agent.persist(accepted); err != nil {
		t.Fatal(err)
	}
	for _, as := range accepted {
		if as.Epoch < f.highest[name] {
			t.Fatalf("I2: epoch %d of %s is accepted after %d", as.Epoch, name, f.highest[name])
		}
		f.highest[name] = as.Epoch
	}
	if len(accepted) == 0 && epoch >= f.highest[name] {
		t.Fatalf("epoch %d of %s is refused after %d", epoch, name, f.highest[name])
	}
}

// wave raises the fence as onWave does, for a service that the agent knows.
func (f *fence) wave(t *rapid.T) {
	name, epoch := f.message(t)
	page := f.agent.ledger.page.Accepted[name]
	if epoch <= page.Epoch {
		return
	}
	page.Epoch = epoch
	if err := f.agent.ledger.record(map[string]acceptedPage{name: page}); err != nil {
		t.Fatal(err)
	}
	f.highest[name] = epoch
}
