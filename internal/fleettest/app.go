package fleettest

import (
	"math"
	"math/rand/v2"
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
	Slower    int           // percent that all requests take longer than others' do
	SlowAPI   int           // percent that those for APIPath take longer, besides
	Leak      int           // MiB that it holds more after each second of life
	Metrics   string        // its page of metrics
}

// APIPath is what every second user asks for where HAProxy logs; the others ask
// for "/".
const APIPath = "/api/items"

// Image is the reference of a version.
func Image(version string) string { return "registry.example.com/" + Service + ":" + version }

// Push puts a version of the service into the registry.
func (f *Fleet) Push(version string, app App) {
	digest := f.registry.Push(dockertest.Image{Ref: Image(version), Content: version})
	f.apps.put(digest, app)
}

// Odd makes a version behave otherwise on one host, in containers that start
// from now on.
func (f *Fleet) Odd(host int, version string, app App) {
	f.hosts[host].odd.put(f.registry.Push(dockertest.Image{Ref: Image(version), Content: version}), app)
}

// Private

// ordinary is the memory of a program that does not leak, and what requests
// take at the median; those for APIPath take three times as long.
const (
	ordinaryMemory = 100 << 20
	ordinaryMicros = 10_000
)

// took returns a random time as long as a request takes: long ones are rarer
// the longer they are, up to ten times the median.
func (a App) took(r *rand.Rand) func(path string) int64 {
	return func(path string) int64 {
		us := ordinaryMicros * min(10, math.Exp(.5*r.NormFloat64()))
		if path == APIPath {
			us *= 3 * float64(100+a.SlowAPI) / 100
		}
		return int64(us * float64(100+a.Slower) / 100)
	}
}

// usage is what it uses after a time of life.
func (a App) usage(life time.Duration) dockertest.Usage {
	return dockertest.Usage{Memory: ordinaryMemory + uint64(a.Leak)<<20*uint64(life/time.Second)}
}

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
func (a *apps) of(image string) (App, bool) {
	_, digest, _ := strings.Cut(image, "@")
	a.mu.Lock()
	defer a.mu.Unlock()
	app, known := a.byDigest[digest]
	return app, known
}

// app returns the program of an image as it behaves on the host.
func (h *Host) app(image string) App {
	if app, odd := h.odd.of(image); odd {
		return app
	}
	app, _ := h.fleet.apps.of(image)
	return app
}
