package agent

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-rollouts/serin/agent/haproxy/haproxytest"
	"github.com/serin-rollouts/serin/internal/bus/bustest"
	"github.com/serin-rollouts/serin/internal/wire"
)

// checks is what the last report told of what the agent works with.
func (l *leader) checks() wire.Checks {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last.Checks == nil {
		return wire.Checks{}
	}
	return *l.last.Checks
}

// TestIdleHostTellsWhatItWorksWith: a host that has nothing to do tells within
// seconds that Docker or HAProxy has gone, and that it is back.
func TestIdleHostTellsWhatItWorksWith(t *testing.T) {
	inBubble(t, func(b *bench) {
		const soon = 10 * time.Second
		well := func() bool { c := b.checks(); return c.DiskSize > 0 && c.DockerProblem+c.HAProxyProblem == "" }
		b.within("well, with no service and so no HAProxy", soon, well)
		b.docker.Down()
		b.within("Docker has gone", soon, func() bool { return b.checks().DockerProblem != "" })
		b.docker.Up()
		b.within("Docker is back", soon, well)
	})
}

// TestHostTellsThatItsHAProxyIsGone: one of the user's own is not started by the
// agent, so that somebody has to be told, whether anything is served there or not.
func TestHostTellsThatItsHAProxyIsGone(t *testing.T) {
	bustest.Hold(t)
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBenchWith(t, dir, haproxytest.NewExisting(8, "mine"))
		t.Cleanup(b.end)
		const soon = 10 * time.Second
		b.within("well", soon, func() bool { return b.checks().DiskSize > 0 && b.checks().HAProxyProblem == "" })
		b.haproxy.Crash()
		b.within("HAProxy has gone", soon, func() bool { return strings.Contains(b.checks().HAProxyProblem, "does not answer") })
		if err := b.haproxy.Restart(); err != nil {
			t.Error(err)
		}
		b.within("HAProxy is back", soon, func() bool { return b.checks().HAProxyProblem == "" })
	})
}
