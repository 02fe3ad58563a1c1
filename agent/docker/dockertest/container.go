package dockertest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Container is a container as a test sees it.
type Container struct {
	ID, Name       string
	Image, ImageID string
	Labels         map[string]string // the image's, too
	Env, Command   []string
	Network        string
	Memory         int64      // bytes; 0 is no limit
	NanoCPUs       int64      // billionths of a CPU; 0 is no limit
	State          string     // in Docker's words
	IP             netip.Addr // valid while it runs; in OnStop the one that it had
	ExitCode       int
	OOMKilled      bool
	Health         string
	Restarts       int
}

// Containers lists all containers, in every state, sorted by name.
func (f *Fake) Containers() []Container {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]Container, 0, len(f.containers))
	for _, c := range slices.SortedFunc(maps.Values(f.containers), byName) {
		all = append(all, c.Container)
	}
	return all
}

// Container finds one by name or id.
func (f *Fake) Container(name string) (Container, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.lookup(name)
	if c == nil {
		return Container{}, false
	}
	return c.Container, true
}

// Die makes the program in a running container exit with a code; 137 is a
// kill -9. It reports whether there was one.
func (f *Fake) Die(name string, code int) bool {
	c := f.find(name)
	return c != nil && f.die(c, code, false)
}

// OOM makes the kernel kill the program in a running container for its memory.
func (f *Fake) OOM(name string) bool {
	c := f.find(name)
	return c != nil && f.die(c, 137, true)
}

// SetHealth is an outcome of the container's HEALTHCHECK: "healthy" or
// "unhealthy".
func (f *Fake) SetHealth(name, status string) bool {
	c := f.find(name)
	if c == nil {
		return false
	}
	f.mu.Lock()
	c.Health = status
	f.mu.Unlock()
	f.events.publish(c, "health_status: "+status, nil)
	return true
}

// Log writes a line to the container's standard output.
func (f *Fake) Log(name, line string) bool {
	c := f.find(name)
	if c == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c.log = append(c.log, line)
	return true
}

// Private

// instance is a container and all that the Engine knows of it. The Fake's mu
// guards it; ID, Name, Image and Labels never change.
type instance struct {
	Container

	image        *stored
	config, host map[string]any // as they came, for inspect
	policy       restartPolicy
	created      time.Time
	started      time.Time
	finished     time.Time
	byHand       bool          // stopped on request: the restart policy rests
	delay        time.Duration // before the next restart
	restart      *time.Timer   // pending
	log          []string
	usage        Usage
}

type restartPolicy struct {
	Name              string
	MaximumRetryCount int
}

func (p restartPolicy) wants(code, restarts int) bool {
	switch p.Name {
	case "always", "unless-stopped":
		return true
	case "on-failure":
		return code != 0 && (p.MaximumRetryCount == 0 || restarts < p.MaximumRetryCount)
	default:
		return false
	}
}

func (c *instance) cancelRestart() {
	if c.restart != nil {
		c.restart.Stop()
	}
}

func byName(a, b *instance) int { return cmp.Compare(a.Name, b.Name) }

func (f *Fake) find(name string) *instance {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lookup(name)
}

// lookup finds by id, by name, or by the beginning of an id.
func (f *Fake) lookup(name string) *instance {
	if c := f.containers[name]; c != nil {
		return c
	}
	for _, c := range f.containers {
		if c.Name == strings.TrimPrefix(name, "/") {
			return c
		}
	}
	for id, c := range f.containers {
		if name != "" && strings.HasPrefix(id, name) {
			return c
		}
	}
	return nil
}

// nextID is unique among Fakes with different subnets.
func (f *Fake) nextID(name string) string {
	f.made++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %s", f.cfg.Subnet, f.made, name))
	return hex.EncodeToString(sum[:])
}

// start makes a container run.
func (f *Fake) start(c *instance) *refusal {
	f.mu.Lock()
	if no := f.startable(c); no != nil {
		f.mu.Unlock()
		return no
	}
	c.cancelRestart()
	before, network := c.State, f.networks[c.Network]
	c.State, c.IP, c.byHand = "running", network.take(), false
	c.ExitCode, c.OOMKilled, c.started = 0, false, time.Now()
	if c.image.Health {
		c.Health = "starting"
	}
	snapshot := c.Container
	f.mu.Unlock()
	if f.cfg.OnStart != nil {
		if err := f.cfg.OnStart(snapshot); err != nil {
			f.mu.Lock()
			defer f.mu.Unlock()
			c.State, c.IP, c.ExitCode = before, netip.Addr{}, 127
			network.release(snapshot.IP)
			return refusef(http.StatusBadRequest, "failed to create task for container: %v", err)
		}
	}
	f.events.publish(c, "start", nil)
	return nil
}

func (f *Fake) startable(c *instance) *refusal {
	switch {
	case f.containers[c.ID] == nil:
		return noSuchContainer(c.ID)
	case c.State == "running":
		return &refusal{status: http.StatusNotModified}
	case c.State == "paused":
		return refusef(http.StatusConflict, "cannot start a paused container, try unpause instead")
	case f.networks[c.Network] == nil:
		return refusef(http.StatusNotFound, "network %s not found", c.Network)
	}
	return nil
}

// die ends the program of a running container.
func (f *Fake) die(c *instance, code int, oom bool) bool {
	f.mu.Lock()
	if c.State != "running" && c.State != "paused" {
		f.mu.Unlock()
		return false
	}
	snapshot := c.Container
	c.State, c.IP, c.finished = "exited", netip.Addr{}, time.Now()
	c.ExitCode, c.OOMKilled = code, oom
	snapshot.State, snapshot.ExitCode, snapshot.OOMKilled = c.State, code, oom
	network := f.networks[c.Network]
	f.mu.Unlock()
	if oom {
		f.events.publish(c, "oom", nil)
	}
	if f.cfg.OnStop != nil {
		f.cfg.OnStop(snapshot)
	}
	f.mu.Lock()
	network.release(snapshot.IP)
	f.planRestart(c)
	f.mu.Unlock()
	f.events.publish(c, "die", map[string]string{"exitCode": strconv.Itoa(code)})
	return true
}

// planRestart follows the restart policy with Docker's pauses: 100 ms, doubled
// up to a minute, and from the start again after 10 s of life.
func (f *Fake) planRestart(c *instance) {
	select {
	case <-f.closed:
		return
	default:
	}
	if c.byHand || !c.policy.wants(c.ExitCode, c.Restarts) || f.containers[c.ID] == nil {
		return
	}
	c.delay = min(2*c.delay, time.Minute)
	if c.delay == 0 || time.Since(c.started) >= 10*time.Second {
		c.delay = 100 * time.Millisecond
	}
	c.State = "restarting"
	c.restart = time.AfterFunc(c.delay, func() {
		f.mu.Lock()
		due := c.State == "restarting" && !f.down
		if due {
			c.Restarts++
		}
		f.mu.Unlock()
		if due {
			f.start(c)
		}
	})
}
