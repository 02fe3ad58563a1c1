package agent

import (
	"errors"
	"sync"
	"time"

	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/internal/durable"
	"github.com/serin-rollouts/serin/internal/wire"
)

// measureApart is the least time between two looks at the disk.
const measureApart = 10 * time.Second

// checks is what the agent finds of what it works with, whether it has anything
// to do there or not. It is for people; nothing is decided by it.
type checks struct {
	dir string // of the state

	mu            sync.Mutex
	docker, proxy string // why it cannot be used
	free, size    int64  // bytes
	measured      time.Time
}

// dockerIs notes why Docker cannot be used, empty if it can. It reports whether
// that is news.
func (c *checks) dockerIs(problem string) (news bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	news = (c.docker == "") != (problem == "")
	c.docker = problem
	return news
}

// proxyIs is the same of HAProxy.
func (c *checks) proxyIs(problem string) (news bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	news = (c.proxy == "") != (problem == "")
	c.proxy = problem
	return news
}

// tell is what a report says of it.
func (c *checks) tell(now time.Time) *wire.Checks {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.measured.IsZero() || now.Sub(c.measured) >= measureApart {
		c.measured = now
		c.free, c.size, _ = durable.Room(c.dir) // 0: not known
	}
	return &wire.Checks{DockerProblem: cut(c.docker), HAProxyProblem: cut(c.proxy), DiskFree: c.free, DiskSize: c.size}
}

// Private

// proxyProblem says why HAProxy cannot be used. One of the agent's own is started
// with the first service.
func (a *agent) proxyProblem(err error) string {
	switch {
	case err == nil, errors.Is(err, haproxy.ErrUnavailable) && a.cfg.Mode == Managed && !a.serves():
		return ""
	}
	return err.Error()
}
