// Package control serves the operators' API over the bus while its replica
// leads: reads after the leadership has been verified, verbs through Raft. What
// goes over the wire stands in internal/api.
package control

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/trace"
	"github.com/serin-rollouts/serin/internal/wire"
)

// requestTimeout bounds one request; it is longer than any election.
const requestTimeout = 30 * time.Second

// Leader is the coordinator while it leads.
type Leader interface {
	State() *rollout.State
	// Propose returns what a command came to, once it is committed.
	Propose(ctx context.Context, by string, c rollout.Command) (rollout.Result, error)
	// Verify returns nil if this replica led after the call.
	Verify(ctx context.Context) error
	View(ctx context.Context) (View, error)
	// Plan says what a trigger would start. Its error means not known.
	Plan(ctx context.Context, service string, t api.Trigger) (Proposal, *rollout.Refusal, error)
}

// What a Cluster cannot do, whoever leads.
var (
	// ErrNoMember means that there is no replica of that id.
	ErrNoMember = errors.New("no such replica")
	// ErrImpossible means that this cannot be done to that replica now.
	ErrImpossible = errors.New("not possible")
)

// Cluster is the replicas. Its errors may be ErrNoMember and ErrImpossible.
type Cluster interface {
	Status() (api.ClusterStatus, error)
	// Backup renders a state as a new group can be made of it.
	Backup(s *rollout.State) ([]byte, error)
	Add(ctx context.Context, id, addr string) error
	// Remove is done when the replica counts for nothing any more.
	Remove(ctx context.Context, id string) error
	// Transfer hands the leadership to a replica; an empty id: to any.
	Transfer(ctx context.Context, id string) error
}

// Tracing makes traces, or none.
type Tracing interface {
	// Sent returns what the state is to hold of the place where a rollout was asked
	// for, if it may hold what that level brought.
	Sent(place string, level int) string
	// Commanded tells of a command, in the trace that it was sent in.
	Commanded(c trace.Command)
}

// View is what the leader sees at one moment.
type View struct {
	Now      time.Duration // on the fleet's clock
	Wall     int64         // Unix milliseconds, for display
	Hosts    []Host
	Evidence rollout.Evidence
	Dropped  int64 // reports that were lost
	// Published is the number of the last event that the stream is known to
	// hold. The state hears of it with the next entry only.
	Published uint64
	// Feedback says, by service, what of users' feedback was not counted.
	Feedback map[string]string
}

// Host is one host as the leader has heard it.
type Host struct {
	Health wire.Health
	Seen   time.Duration // since its last report
	Live   bool
	Skew   time.Duration // its wall clock less the leader's
}

// Proposal is what a trigger would start.
type Proposal struct {
	Spec      rollout.Spec
	To        rollout.Revision
	Hosts     []string
	Unchanged bool
	PerSecond float64 // requests that the hosts have got of the service lately; 0: not known
}

// Config is what the API needs.
type Config struct {
	ID      string // of this replica
	Term    uint64
	Version string // of the coordinator, semantic; may be empty
	Leader  Leader
	Cluster Cluster
	Bus     *bus.Conn
	// Standings fills in what the members say of themselves; nil: nobody is asked.
	Standings func(ctx context.Context, all []api.ClusterMember)
	Tracing   Tracing
	Log       zerolog.Logger
}

// Run serves until ctx ends.
func Run(ctx context.Context, cfg Config) error {
	s := &server{Config: cfg}
	info := bus.ServiceInfo{
		Name: "serin-coordinator", Version: version(cfg.Version),
		Description: "the operators' API of serin, served by the leader",
		Metadata:    map[string]string{"replica": cfg.ID},
	}
	return cfg.Bus.Serve(ctx, info, map[string]bus.Handler{
		bus.AllCommands: s.command,
		bus.AllGets:     s.get,
	})
}

// Private

type server struct {
	Config

	backups backups
}

// version falls back on one that the protocol accepts.
func version(v string) string {
	if v == "" {
		return "0.0.0"
	}
	return v
}

// command answers cmd.<verb>.<service>.
func (s *server) command(ctx context.Context, m bus.Msg) ([]byte, error) {
	ctx, stop := context.WithTimeout(ctx, requestTimeout)
	defer stop()
	verb, object, err := bus.ParseCommand(m.Subject)
	if err != nil {
		return encode(refusef(rollout.CodeInvalid, "%v", err))
	}
	switch verb {
	case api.PlanVerb:
		return s.plan(ctx, object, m)
	case api.Cluster:
		return s.member(ctx, object, m.Data)
	}
	var c api.Command
	if refusal := decode(m.Data, &c); refusal != nil {
		return encode(api.Refused(refusal))
	}
	c.Trace = bus.TraceOf(m.Header)
	began := time.Now()
	result, err := s.verb(ctx, verb, object, c)
	if err == nil {
		s.commanded(verb, object, c, began, result)
	}
	switch {
	case err != nil:
		return s.silent(ctx, m, err)
	case result.Refused != nil:
		return encode(api.Refused(result.Refused))
	default:
		return encode(api.Reply{OK: true, Rollout: result.Rollout, Unchanged: result.Repeat})
	}
}

// commanded tells of a command in the trace that it was sent in, if it was.
func (s *server) commanded(verb, service string, c api.Command, began time.Time, r rollout.Result) {
	told := trace.Command{Verb: verb, Service: service, Rollout: cmp.Or(r.Rollout, c.Rollout), By: cmp.Or(c.By, somebody), Start: began, End: time.Now()}
	told.Parent, _ = trace.Parse(c.Trace)
	if r.Refused != nil {
		told.Refused = r.Refused.Message
	}
	s.Tracing.Commanded(told)
}

// get answers get.<what>[.<id>].
func (s *server) get(ctx context.Context, m bus.Msg) ([]byte, error) {
	ctx, stop := context.WithTimeout(ctx, requestTimeout)
	defer stop()
	what, id, err := bus.ParseGet(m.Subject)
	if err != nil {
		return encode(refusef(rollout.CodeInvalid, "%v", err))
	}
	if err := s.Leader.Verify(ctx); err != nil {
		return s.silent(ctx, m, err)
	}
	view, err := s.Leader.View(ctx)
	if err != nil {
		return s.silent(ctx, m, err)
	}
	return s.read(ctx, what, id, m.Data, view)
}

// silent leaves a request to whoever leads now: this replica cannot say what
// became of it.
func (s *server) silent(ctx context.Context, m bus.Msg, err error) ([]byte, error) {
	if !errors.Is(err, ctx.Err()) {
		s.Log.Info().Err(err).Str("subject", m.Subject).Msg("request not answered here")
	}
	return nil, bus.ErrSilent
}

func decode(data []byte, to any) *rollout.Refusal {
	if len(data) == 0 {
		return nil
	}
	if err := json.Unmarshal(data, to); err != nil {
		return &rollout.Refusal{Code: rollout.CodeInvalid, Message: fmt.Sprintf("request is not understood: %v", err)}
	}
	return nil
}

func encode(reply any) ([]byte, error) { return json.Marshal(reply) }

func answer[T any](data T) ([]byte, error) {
	return encode(api.Answer[T]{Reply: api.Reply{OK: true}, Data: data})
}

func refusef(code rollout.Code, format string, args ...any) api.Reply {
	return api.Refused(refusal(code, "", format, args...))
}

func refusal(code rollout.Code, rolloutID, format string, args ...any) *rollout.Refusal {
	return &rollout.Refusal{Code: code, Rollout: rolloutID, Message: fmt.Sprintf(format, args...)}
}
