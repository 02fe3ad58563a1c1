package rollout

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Problem is a mistake in a spec or a trigger: which field, what is wrong, and
// what to write instead.
type Problem struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Error renders the problem as "field: message".
func (p *Problem) Error() string { return p.Field + ": " + p.Message }

// MaxReplicas is how many containers of one track fit into a host's slots.
const MaxReplicas = 8

// Bounds of what a spec may carry: all of it travels to every host.
const (
	maxDeadline = 7 * 24 * time.Hour
	maxText     = 1_024 // bytes of a reference, path or address
	maxName     = 128   // bytes of a user, network or variable's name
	maxItems    = 256   // words of a command, variables, steps, host names
)

// Validate checks a defaulted spec. It returns the first mistake, nil if none.
func (s Spec) Validate() *Problem {
	checks := []func() *Problem{
		s.validateNames, s.validateContainer, s.validateFrontend, s.validateEnums, s.validatePace, s.validateSteps, s.validateLost,
		s.Gates.validate,
	}
	for _, check := range checks {
		if p := check(); p != nil {
			return p
		}
	}
	return nil
}

// ValidName reports whether s is usable as service name, NATS token and HAProxy
// backend at once.
func ValidName(s string) bool {
	if s == "" || len(s) > 63 {
		return false
	}
	for _, r := range s {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-_", r) {
			return false
		}
	}
	return true
}

// Private

func problem(field, format string, args ...any) *Problem {
	return &Problem{Field: field, Message: fmt.Sprintf(format, args...)}
}

func (s Spec) validateNames() *Problem {
	switch {
	case s.Service == "":
		return problem("service", "is missing; name the service, for example `service: checkout`")
	case !ValidName(s.Service):
		return problem("service", "%q is not usable as a name; use 1 to 63 of a-z, 0-9, - and _", s.Service)
	case s.Service == Fleet:
		return problem("service", "%q means all services; take another name", s.Service)
	case s.Image == "":
		return problem("image", "is missing; name the image to roll out, for example `image: registry.example.com/%s:1.0.0`", s.Service)
	case len(s.Image) > maxText || strings.ContainsAny(s.Image, " \t\r\n"):
		return problem("image", "%q contains white space or is too long", clip(s.Image))
	case s.Replicas < 1 || s.Replicas > MaxReplicas:
		return problem("replicas", "is %d; use 1 to %d containers per host", s.Replicas, MaxReplicas)
	case len(s.Hosts.Names) > 0 && len(s.Hosts.Labels) > 0:
		return problem("hosts", "has names and labels; use one of them")
	}
	return nil
}

func (s Spec) validateFrontend() *Problem {
	f := s.Frontend
	switch {
	case f.Listen != "" && f.Backend != "":
		return problem("backend", "stands beside listen; use listen for a HAProxy that the agent runs, backend for your own")
	case len(f.Listen) > maxText || f.Listen != "" && !validListen(f.Listen):
		return problem("listen", "%q is not an address; write it as \":8080\" or \"127.0.0.1:8080\"", f.Listen)
	case len(f.Backend) > maxText || !validBackend(f.Backend):
		return problem("backend", "%q is not a HAProxy proxy name", f.Backend)
	case f.Routing != Sticky && f.Routing != Weighted:
		return problem("routing", "is %q; use sticky or weights", f.Routing)
	}
	return nil
}

// clip keeps error texts short.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

func validListen(s string) bool {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.ContainsAny(s, " ;\n\r\t,\"'\\") {
		return false
	}
	port := 0
	for _, r := range s[i+1:] {
		if r < '0' || r > '9' {
			return false
		}
		port = port*10 + int(r-'0')
		if port > 65535 {
			return false
		}
	}
	return port > 0
}

func validBackend(s string) bool {
	for _, r := range s {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:", r) {
			return false
		}
	}
	return true
}

func (s Spec) validateContainer() *Problem {
	c := s.Container
	switch {
	case c.Port == 0:
		return problem("container.port", "is missing; name the port that the app listens on inside the container")
	case c.Port < 1 || c.Port > 65535:
		return problem("container.port", "is %d; use 1 to 65535", c.Port)
	case c.Memory < 0:
		return problem("container.memory", "is negative")
	case c.CPUMilli < 0:
		return problem("container.cpus", "is negative")
	case len(c.EnvFile) > maxText || c.EnvFile != "" && !strings.HasPrefix(c.EnvFile, "/"):
		return problem("container.env_file", "%q is no absolute path on the host", clip(c.EnvFile))
	case len(c.User) > maxName:
		return problem("container.user", "is longer than %d bytes", maxName)
	case len(c.Network) > maxName:
		return problem("container.network", "is longer than %d bytes", maxName)
	case len(c.Command) > maxItems:
		return problem("container.command", "has %d words; %d are the most", len(c.Command), maxItems)
	}
	if p := c.validateEnv(); p != nil {
		return p
	}
	return c.validateTimes()
}

func (c Container) validateEnv() *Problem {
	if len(c.Env) > maxItems {
		return problem("container.env", "has %d variables; %d are the most, use env_file for more", len(c.Env), maxItems)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		if name == "" || len(name) > maxName || strings.ContainsAny(name, "= \t\r\n\x00") {
			return problem("container.env", "%q is no name of a variable", clip(name))
		}
		if strings.ContainsRune(c.Env[name], 0) {
			return problem("container.env."+name, "contains a zero byte")
		}
	}
	return nil
}

func (c Container) validateTimes() *Problem {
	h := c.Health
	switch {
	case h.Kind != HTTPHealth && h.Kind != TCPHealth && h.Kind != DockerHealth:
		return problem("container.health.kind", "is %q; use http, tcp or docker", h.Kind)
	case h.Kind == HTTPHealth && !strings.HasPrefix(h.Path, "/"):
		return problem("container.health.path", "%q does not begin with /", clip(h.Path))
	case len(h.Path) > maxText || strings.ContainsAny(h.Path, " \r\n\t;\"'\\"):
		return problem("container.health.path", "%q is too long, or contains a character that no path has unencoded", clip(h.Path))
	case h.Timeout < time.Millisecond || h.Timeout > maxDeadline:
		return problem("container.health.timeout", "is %s; use 1ms to %s", h.Timeout, maxDeadline)
	case c.StopGrace < 0 || c.StopGrace > maxDeadline:
		return problem("container.stop_grace", "is %s; use 0s to %s", c.StopGrace, maxDeadline)
	case c.DrainLimit < 0 || c.DrainLimit > maxDeadline:
		return problem("container.drain_limit", "is %s; use 0s to %s", c.DrainLimit, maxDeadline)
	}
	return nil
}

func (s Spec) validateEnums() *Problem {
	switch {
	case s.Strategy != Canary && s.Strategy != BlueGreen && s.Strategy != Rolling:
		return problem("strategy", "is %q; use canary, bluegreen or rolling", s.Strategy)
	case s.OnFailure != RollBackOnFailure && s.OnFailure != PauseOnFailure:
		return problem("on_failure", "is %q; use rollback or pause", s.OnFailure)
	case s.OnControlLoss != RevertOnLoss && s.OnControlLoss != HoldOnLoss:
		return problem("on_control_loss", "is %q; use revert or hold", s.OnControlLoss)
	case s.Deadline < time.Second || s.Deadline > maxDeadline:
		return problem("deadline", "is %s; use 1s to %s", s.Deadline, maxDeadline)
	}
	return nil
}

func (s Spec) validateSteps() *Problem {
	if len(s.Steps) > maxItems {
		return problem("steps", "are %d; %d are the most", len(s.Steps), maxItems)
	}
	var before Step
	var holds time.Duration
	for i, step := range s.Steps {
		if p := step.validate(i, before); p != nil {
			return p
		}
		before, holds = step, holds+step.Hold
	}
	last := len(s.Steps) - 1
	if last < 0 || before.Hosts.Share != Full || before.Weight != Full {
		return problem(fmt.Sprintf("steps[%d]", max(last, 0)), "the last step must reach {hosts: 100%%, weight: 100%%}")
	}
	if holds >= s.Deadline {
		return problem("deadline", "is %s, but the steps hold for %s together; raise the deadline or shorten the holds", s.Deadline, holds)
	}
	return nil
}

func (s Step) validate(i int, before Step) *Problem {
	at := func(key string) string { return fmt.Sprintf("steps[%d].%s", i, key) }
	switch {
	case s.Hosts.Share < 0 || s.Hosts.Share > Full || s.Hosts.Count < 0 || (s.Hosts.Share == 0 && s.Hosts.Count == 0):
		return problem(at("hosts"), "is %s; use a count of 1 or more, or up to 100%%", s.Hosts)
	case s.Weight < 0 || s.Weight > Full:
		return problem(at("weight"), "is %s; use 0%% to 100%%", Percent(s.Weight))
	case s.Hold < 0:
		return problem(at("hold"), "is negative")
	case s.Weight < before.Weight:
		return problem(at("weight"), "goes back from %s to %s; weights never go back but by a rollback", Percent(before.Weight), Percent(s.Weight))
	case s.Hosts.lessThan(before.Hosts):
		return problem(at("hosts"), "goes back from %s to %s; hosts never go back but by a rollback", before.Hosts, s.Hosts)
	}
	return nil
}

// lessThan reports whether h is surely fewer hosts than other. A count and a
// share compare only once the fleet's size is known (CheckHosts).
func (h HostCount) lessThan(other HostCount) bool {
	if (h.Share > 0) != (other.Share > 0) {
		return false
	}
	return h.Share < other.Share || h.Count < other.Count
}

// CheckHosts checks what only the chosen hosts can tell: that there are some,
// and that counts and shares do not go back on a fleet of this size.
func (s Spec) CheckHosts(hosts []string) *Problem {
	if len(hosts) == 0 {
		return problem("hosts", "no known host matches; see `serin hosts` for names and labels")
	}
	before := 0
	for i, step := range s.Steps {
		n := step.Hosts.Of(len(hosts))
		if n < before {
			return problem(fmt.Sprintf("steps[%d].hosts", i), "is %d of %d hosts after a step with %d; hosts never go back but by a rollback", n, len(hosts), before)
		}
		before = n
	}
	return nil
}
