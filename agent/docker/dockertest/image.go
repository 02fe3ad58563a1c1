package dockertest

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/distribution/reference"
)

// Image is an image and how the program in it behaves.
type Image struct {
	// Ref is its name, repository:tag.
	Ref string

	// Content tells images of one Ref apart; equal Ref and Content are equal
	// bytes.
	Content string

	Labels map[string]string

	// Health says that it has a HEALTHCHECK: its containers are "starting"
	// until SetHealth.
	Health bool

	// StopTakes is how long the program runs on after the stop signal.
	StopTakes time.Duration
}

// Registry is where images are pulled from. Several Fakes may share one.
type Registry struct {
	mu      sync.Mutex
	tags    map[string]string // repository:tag to digest
	digests map[string]Image  // repository@digest to image
	broken  string
}

// NewRegistry makes an empty registry.
func NewRegistry() *Registry {
	return &Registry{tags: map[string]string{}, digests: map[string]Image{}}
}

// Push stores an image under its Ref and returns its digest ("sha256:...").
// A tag that is there already moves.
func (r *Registry) Push(i Image) string {
	named := mustParse(i.Ref)
	digest := hashOf("manifest", i)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tags[named.String()] = digest
	r.digests[named.Name()+"@"+digest] = i
	return digest
}

// Break makes the registry fail each request with a message, until it is
// called with "".
func (r *Registry) Break(message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = message
}

// AddImage puts an image on the host without a registry, as `docker load`
// does, and returns its id. A tag that is there already moves.
func (f *Fake) AddImage(i Image) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.store(i)
	f.tag(mustParse(i.Ref).String(), s)
	return s.id
}

// RemoveImage deletes an image, by any of its names.
func (f *Fake) RemoveImage(ref string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.image(ref); s != nil {
		delete(f.images, s.id)
	}
}

// Private

// stored is an image on the host.
type stored struct {
	Image
	id      string
	tags    map[string]bool // normal forms of repository:tag
	digests map[string]bool // normal forms of repository@digest
}

func (r *Registry) find(named reference.Named) (digest string, i Image, refusal string) {
	if r == nil {
		return "", Image{}, "dial tcp: no registry is reachable"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken != "" {
		return "", Image{}, r.broken
	}
	if by, ok := named.(reference.Digested); ok {
		digest = by.Digest().String()
	} else {
		digest = r.tags[reference.TagNameOnly(named).String()]
	}
	i, ok := r.digests[named.Name()+"@"+digest]
	if !ok {
		return "", Image{}, "manifest unknown: " + named.String()
	}
	return digest, i, ""
}

func (f *Fake) store(i Image) *stored {
	id := hashOf("config", i)
	s := f.images[id]
	if s == nil {
		s = &stored{Image: i, id: id, tags: map[string]bool{}, digests: map[string]bool{}}
		f.images[id] = s
	}
	return s
}

func (f *Fake) tag(name string, to *stored) {
	for _, s := range f.images {
		delete(s.tags, name)
	}
	to.tags[name] = true
}

// image finds an image by id, digest or tag; nil if it is not there.
func (f *Fake) image(ref string) *stored {
	parsed, err := reference.ParseAnyReference(ref)
	if err != nil {
		return nil
	}
	named, ok := parsed.(reference.Named)
	if !ok {
		return f.images[parsed.String()]
	}
	want := reference.TagNameOnly(named).String()
	if by, ok := named.(reference.Digested); ok {
		want = named.Name() + "@" + by.Digest().String()
	}
	for _, s := range f.images {
		if s.tags[want] || s.digests[want] {
			return s
		}
	}
	return nil
}

// names are the short forms, sorted.
func names(set map[string]bool) []string {
	short := []string{}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		short = append(short, reference.FamiliarString(mustParse(name)))
	}
	return short
}

func mustParse(ref string) reference.Named {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		panic("dockertest: image " + ref + ": " + err.Error())
	}
	return reference.TagNameOnly(named)
}

func hashOf(kind string, i Image) string {
	sum := sha256.Sum256([]byte(kind + "\x00" + mustParse(i.Ref).String() + "\x00" + i.Content))
	return "sha256:" + hex.EncodeToString(sum[:])
}
