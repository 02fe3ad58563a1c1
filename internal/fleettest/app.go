package fleettest

import (
	"strings"
	"sync"
	"time"

	"github.com/serin-rollouts/serin/agent/docker/dockertest"
)

// Service is the service that a fleet serves.
const Service = "shop"

// port is where the containers listen.
const port = 8080

// App is how the program in an image behaves.
type App struct {
	Errors    int           // basis points of its answers that are 500
	DiesAfter time.Duration // of life, with exit code 1; 0: it lives
	NotReady  bool          // it accepts no connection
}

// Image is the reference of a version.
func Image(version string) string { return "registry.example.com/" + Service + ":" + version }

// Push puts a version of the service into the registry.
func (f *Fleet) Push(version string, app App) {
	digest := f.registry.Push(dockertest.Image{Ref: Image(version), Content: version})
	f.apps.put(digest, app)
}

// Private

// apps are the programs by the digest of their image.
type apps struct {
	mu       sync.Mutex
	byDigest map[string]App
}

func newApps() *apps { return &apps{byDigest: map[string]App{}} }

func (a *apps) put(digest string, app App) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.byDigest[digest] = app
}

// of returns the program of an image "name@digest".
func (a *apps) of(image string) App {
	_, digest, _ := strings.Cut(image, "@")
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.byDigest[digest]
}
