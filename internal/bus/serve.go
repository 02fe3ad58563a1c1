package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"golang.org/x/sync/errgroup"
)

// maxHandlers is how many requests of one service are handled at a time; the
// others wait in their subscription.
const maxHandlers = 64

// Codes of a ServiceError that Serve itself makes.
const (
	// CodeInternal is the code of a handler's error that is no ServiceError.
	CodeInternal = "500"
	// CodeStopping is the code of a refusal by a service that is ending; the
	// next leader will answer.
	CodeStopping = "503"
)

// ErrSilent is what a Handler returns to leave a request unanswered, since
// somebody else will answer it.
var ErrSilent = errors.New("no answer from here")

// Handler answers a request with data. An error is sent in the headers of the
// NATS micro protocol (a *ServiceError with its own code, any other as
// CodeInternal), with data as the body.
type Handler func(ctx context.Context, m Msg) (data []byte, err error)

// ServiceInfo is how a service shows in the listings of NATS tools.
type ServiceInfo struct {
	// Name consists of letters, digits, _ and -.
	Name string
	// Version is a semantic version.
	Version string
	// Description is for people.
	Description string
	// Metadata may be nil.
	Metadata map[string]string
}

// Serve answers requests as a NATS micro service until ctx ends, and returns
// nil after its endpoints have gone and its handlers have ended. Subjects may
// be patterns. Every instance of a service hears every request (no queue
// group): a deposed leader must not swallow what is meant for its successor.
//
// The service has a connection of its own, so that its end is the end of its
// endpoints. What arrives while handlers finish is refused with CodeStopping.
func (c *Conn) Serve(ctx context.Context, info ServiceInfo, handlers map[string]Handler) error {
	cfg := c.cfg
	cfg.Name += " " + info.Name
	conn, err := Connect(ctx, cfg)
	if err != nil {
		return fmt.Errorf("serve %s: %w", info.Name, err)
	}
	s := server{conn: conn}
	s.group.SetLimit(maxHandlers)
	err = s.register(ctx, info, handlers)
	if err == nil {
		<-ctx.Done()
	}
	err = errors.Join(err, s.group.Wait())
	return errors.Join(err, conn.Close()) //nolint:contextcheck // ctx has ended; Close is bounded by itself
}

// Private

type server struct {
	conn  *Conn
	group errgroup.Group
}

func (s *server) register(ctx context.Context, info ServiceInfo, handlers map[string]Handler) error {
	service, err := micro.AddService(s.conn.nc, micro.Config{
		Name:               info.Name,
		Version:            info.Version,
		Description:        info.Description,
		Metadata:           info.Metadata,
		QueueGroupDisabled: true,
	})
	if err != nil {
		return fmt.Errorf("add service %s: %w", info.Name, err)
	}
	for _, subject := range slices.Sorted(maps.Keys(handlers)) {
		handler := s.handler(ctx, handlers[subject])
		if err := service.AddEndpoint(endpointName(subject), handler, micro.WithEndpointSubject(subject)); err != nil {
			return fmt.Errorf("add endpoint %s: %w", subject, err)
		}
	}
	// Found from here on; without a connection, once there is one.
	if err := s.conn.flush(ctx); err != nil {
		s.conn.log.Debug().Err(err).Str("service", info.Name).Msg("endpoints not confirmed yet")
	}
	return nil
}

// handler hands a request to a goroutine, so that one that waits for a commit
// does not keep the next one waiting.
func (s *server) handler(ctx context.Context, h Handler) micro.Handler {
	return micro.HandlerFunc(func(r micro.Request) {
		if ctx.Err() != nil {
			s.answer(r, nil, &ServiceError{Code: CodeStopping, Description: "the service is stopping here"})
			return
		}
		m := Msg{Subject: r.Subject(), Reply: r.Reply(), Header: nats.Header(r.Headers()), Data: r.Data(), conn: s.conn}
		s.group.Go(func() error {
			data, err := h(ctx, m)
			s.answer(r, data, err)
			return nil
		})
	})
}

func (s *server) answer(r micro.Request, data []byte, refusal error) {
	if errors.Is(refusal, ErrSilent) || r.Reply() == "" {
		return
	}
	var err error
	switch se, ok := errors.AsType[*ServiceError](refusal); {
	case ok:
		err = r.Error(se.Code, se.Description, data)
	case refusal != nil:
		err = r.Error(CodeInternal, refusal.Error(), data)
	default:
		err = r.Respond(data)
	}
	if err != nil {
		s.conn.log.Warn().Err(err).Str("subject", r.Subject()).Msg("answer not sent")
	}
}

// endpointName makes a name from a subject pattern: cmd.*.* becomes
// cmd-any-any.
func endpointName(subject string) string {
	name := strings.TrimPrefix(subject, Prefix)
	return strings.NewReplacer(".", "-", "*", "any", ">", "all").Replace(name)
}
