package agent

import (
	"context"
	"net/netip"
	"time"

	"github.com/serin-rollouts/serin/agent/docker"
	"github.com/serin-rollouts/serin/agent/haproxy"
	"github.com/serin-rollouts/serin/internal/latency"
	"github.com/serin-rollouts/serin/internal/trace"
)

// engine is Docker's containers.
type engine interface {
	List(ctx context.Context, labels map[string]string) ([]docker.Container, error)
	Create(ctx context.Context, spec docker.Spec) (string, error)
	Start(ctx context.Context, id string) error
	Stop(ctx context.Context, id string, grace time.Duration) error
	Remove(ctx context.Context, id string) error
}

// library is Docker's images, and what its containers say.
type library interface {
	HasImage(ctx context.Context, ref string) (bool, error)
	Pull(ctx context.Context, ref string) error
	Resolve(ctx context.Context, ref string) (docker.Image, error)
	Logs(ctx context.Context, id string, lines int) ([]string, error)
	Watch(ctx context.Context, labels map[string]string, since time.Time, f func(docker.Event)) error
}

// scales tells what Docker's containers use.
type scales interface {
	Usage(ctx context.Context, id string) (docker.Usage, error)
}

// proxy is HAProxy's slots.
type proxy interface {
	Ensure(ctx context.Context, services []haproxy.Service) error
	Observe(ctx context.Context) (haproxy.Snapshot, error)
	Attach(ctx context.Context, service, slot string, addr netip.AddrPort) error
	Detach(ctx context.Context, service, slot string, cutSessions bool) error
	SetWeights(ctx context.Context, service string, weights map[string]int) error
}

// landlord closes HAProxy's slots that lead to what is not their container.
type landlord interface {
	Evict(ctx context.Context) ([]haproxy.Resident, error)
}

// splitter is who gets which share.
type splitter interface {
	SetSplit(ctx context.Context, service string, split haproxy.Split) error
	Promote(ctx context.Context, service, bank string) error
	Zero(ctx context.Context, service string) error
}

// publisher is where reports go.
type publisher interface {
	Publish(subject string, data []byte) error
}

// observer hears what the agent does, for metrics. It must not block.
type observer interface {
	// Counted tells of requests that a track of a service got.
	Counted(service, track string, requests, errors int64)
	// Timed tells how long some of them took; the sketch is lent.
	Timed(service, track string, some *latency.Sketch)
	// Did tells of an operation, by its kind.
	Did(operation string, took time.Duration, err error)
	// Passed tells of one pass of a service's loop.
	Passed(service string, took time.Duration)
	// Lowered tells that the reflex has lowered a canary.
	Lowered(service string, took time.Duration)
}

// outside is everything that an agent touches.
type outside struct {
	engine   engine
	library  library
	scales   scales
	proxy    proxy
	splitter splitter
	landlord landlord
	bus      publisher
	observer observer
	traces   *trace.Exporter // nil: off
	// lines calls f with each line of HAProxy's log until ctx ends; nil: there
	// is no log.
	lines func(ctx context.Context, f func(haproxy.Record)) error

	dockerVersion string
}
