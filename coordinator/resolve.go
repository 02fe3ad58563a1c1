package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/wire"
)

const (
	resolveTimeout = 15 * time.Second
	resolveHedge   = 3 * time.Second // after which another host is asked too
	resolvePause   = time.Second     // before all are asked again
	resolveAnswers = 3               // that say no are enough
	resolveAtOnce  = 32              // hosts that are asked for a local image
	mostNamed      = 5               // hosts, in a message
)

// errNoAnswer means that an agent said nothing: it may have died a moment ago
// and count as live still.
var errNoAnswer = errors.New("the agent does not answer")

// silence means that no agent has said what a trigger depends on, so that nothing
// is known: neither that it is good nor that it is bad.
type silence struct {
	code  rollout.Code // of the refusal that it becomes if it lasts
	field string
	what  string
}

// Error says who is silent.
func (s *silence) Error() string { return s.what }

// unanswered is the silence of hosts that were asked for an image.
func unanswered(image string, hosts []string) *silence {
	named := slices.Sorted(slices.Values(hosts))
	if more := len(named) - mostNamed; more > 0 {
		named = append(named[:mostNamed:mostNamed], fmt.Sprintf("%d more", more))
	}
	return &silence{rollout.CodeImage, "image", fmt.Sprintf("no agent answers what %s stands for, of %s", image, strings.Join(named, ", "))}
}

// unheard is the silence of the whole fleet.
func unheard() *silence {
	return &silence{rollout.CodeInvalid, "hosts", "no host reports to the coordinator"}
}

// finding is what one host says of an image.
type finding struct {
	host  string
	found wire.Resolved
	err   error // errNoAnswer, or the agent's own words
}

// Private

// resolve asks hosts what the image stands for, so that all of them run the
// same bytes. An image that no registry knows has to be on every host
// beforehand, the same one. The refusal carries the agents' own words. The error
// is a *silence if no host answered; others are asked before that.
func (l *leader) resolve(ctx context.Context, image string, hosts []string) (string, *rollout.Refusal, error) {
	request, err := wire.EncodeResolve(wire.Resolve{Image: image})
	if err != nil {
		return "", nil, err
	}
	bounded, stop := context.WithTimeout(ctx, resolveTimeout)
	defer stop()
	best, asked := l.ask(bounded, request, hosts)
	for best.host == "" && bounded.Err() == nil {
		pause(bounded, resolvePause) // an agent that changes servers is back in a moment
		best, asked = l.ask(bounded, request, hosts)
	}
	switch {
	case ctx.Err() != nil:
		return "", nil, ctx.Err()
	case best.host == "":
		return "", nil, unanswered(image, asked)
	case best.err != nil:
		return "", &rollout.Refusal{Code: rollout.CodeImage, Field: "image", Message: best.host + ": " + best.err.Error()}, nil
	case !best.found.Local:
		return best.found.Image, nil, nil
	}
	refusal, err := l.everywhere(bounded, image, best, request, hosts)
	return best.found.Image, refusal, errors.Join(ctx.Err(), err)
}

// ask asks one host after the other until one knows the image, or enough have
// said no, or ctx ends; then it returns one of these findings, or none (no
// host) if nobody answered. Who does not answer holds the next up for no longer
// than resolveHedge.
func (l *leader) ask(ctx context.Context, request []byte, hosts []string) (best finding, asked []string) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	findings := make(chan finding, len(hosts)) // whoever comes late finds room
	hedge := time.NewTicker(resolveHedge)
	defer hedge.Stop()
	next := func() {
		if len(asked) < len(hosts) {
			name := hosts[len(asked)]
			asked = append(asked, name)
			go func() {
				found, err := l.resolveOn(ctx, name, request)
				findings <- finding{name, found, err}
			}()
		}
	}
	next()
	for heard, refused := 0, 0; heard < len(asked); {
		select {
		case o := <-findings:
			heard++
			if o.err == nil {
				return o, asked
			}
			if !errors.Is(o.err, errNoAnswer) {
				best, refused = o, refused+1
			}
			if refused == resolveAnswers {
				return best, asked
			}
			next()
		case <-hedge.C:
			next()
		case <-ctx.Done():
			return best, asked
		}
	}
	return best, asked
}

// everywhere refuses a local image that some host has not, or has another by
// that name. Where that is not known of some, the error is a *silence.
func (l *leader) everywhere(ctx context.Context, image string, first finding, request []byte, hosts []string) (*rollout.Refusal, error) {
	var group errgroup.Group
	group.SetLimit(resolveAtOnce)
	findings := make([]finding, len(hosts))
	for i, name := range hosts {
		group.Go(func() error {
			found, err := l.resolveOn(ctx, name, request)
			findings[i] = finding{name, found, err}
			return nil
		})
	}
	_ = group.Wait() // its members report in findings
	var wrong, silent []string
	for _, o := range findings {
		switch {
		case errors.Is(o.err, errNoAnswer):
			silent = append(silent, o.host)
		case o.err != nil:
			why, _, _ := strings.Cut(o.err.Error(), "\n")
			wrong = append(wrong, o.host+" ("+why+")")
		case o.found.Image != first.found.Image:
			wrong = append(wrong, o.host+" (has another one)")
		}
	}
	switch {
	case len(wrong) > 0:
		return &rollout.Refusal{
			Code: rollout.CodeImage, Field: "image",
			Message: fmt.Sprintf("no registry knows it, so every host must have the image of %s (%s) already; not so: %s: "+
				"push it to a registry, or `docker load` it there", first.host, first.found.Image, strings.Join(wrong, ", ")),
		}, nil
	case len(silent) > 0:
		return nil, unanswered(image, silent)
	}
	return nil, nil
}

// resolveOn asks one host.
func (l *leader) resolveOn(ctx context.Context, name string, request []byte) (wire.Resolved, error) {
	token, err := bus.HostToken(name)
	if err != nil {
		return wire.Resolved{}, err
	}
	m, err := l.bus.Request(ctx, bus.ResolveSubject(token), request)
	if err != nil {
		return wire.Resolved{}, fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	answer, err := wire.DecodeResolved(m.Data)
	switch {
	case err != nil:
		return wire.Resolved{}, err
	case answer.Error != "":
		return wire.Resolved{}, errors.New(answer.Error)
	case answer.Image == "":
		return wire.Resolved{}, errors.New("the agent named no image")
	}
	return answer, nil
}
