package rollout

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Revision is immutable: the bytes of an image and the way that they run.
type Revision struct {
	ID        string    `json:"id"`    // short hash of everything below but Name
	Name      string    `json:"name"`  // the reference as the user wrote it: for people
	Image     string    `json:"image"` // pinned: repo@sha256:…, or sha256:… of a local image
	Replicas  int       `json:"replicas"`
	Container Container `json:"container"`
}

// NewRevision makes the revision of a spec whose image was resolved to pinned.
func NewRevision(spec Spec, pinned string) Revision {
	r := Revision{Name: spec.Image, Image: pinned, Replicas: spec.Replicas, Container: spec.Container}
	sum := sha256.Sum256([]byte(r.canonical()))
	r.ID = hex.EncodeToString(sum[:])[:10]
	return r
}

// Version is the part of the name that people know a revision by: the tag, or
// the short id where the name has none.
func (r Revision) Version() string {
	name, _, _ := strings.Cut(r.Name, "@")
	if i := strings.LastIndexByte(name, ':'); i >= 0 && !strings.ContainsRune(name[i:], '/') {
		return name[i+1:]
	}
	return r.ID
}

// Private

// canonical renders what identifies a revision, in a fixed order: the id must
// be the same on every replica and for every release that knows these fields.
func (r Revision) canonical() string {
	var b strings.Builder
	field := func(key string, value any) { fmt.Fprintf(&b, "%q=%q\n", key, fmt.Sprint(value)) }
	c := r.Container
	field("image", r.Image)
	field("replicas", r.Replicas)
	field("port", c.Port)
	for _, k := range slices.Sorted(maps.Keys(c.Env)) {
		field("env."+k, c.Env[k])
	}
	field("env_file", c.EnvFile)
	for _, arg := range c.Command {
		field("command", arg)
	}
	field("user", c.User)
	field("network", c.Network)
	field("memory", c.Memory)
	field("cpu_milli", c.CPUMilli)
	field("stop_grace_ms", c.StopGrace.Milliseconds())
	field("drain_limit_ms", c.DrainLimit.Milliseconds())
	field("health.kind", c.Health.Kind)
	field("health.path", c.Health.Path)
	field("health.timeout_ms", c.Health.Timeout.Milliseconds())
	return b.String()
}
