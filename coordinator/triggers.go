package coordinator

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/serin-rollouts/serin/coordinator/replica"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const (
	triggerTimeout = 40 * time.Second // gathering, resolving and recording together
	answerTimeout  = 20 * time.Second // for the stream to hand out a request's copy
	claimWithin    = 2 * time.Second  // of an outcome by the request that it belongs to
	maxRequests    = 256              // that are being worked on
	longestRefusal = 2 << 10          // bytes of text in the log
	// silentFor is how long a trigger is tried again while no agent answers.
	silentFor = 5 * time.Minute
	// noService stands in the record and the event of a trigger on a subject
	// that names none.
	noService = "_invalid"
)

// errUndecided means that it is not known what became of a trigger. It is in
// the stream, and comes again.
var errUndecided = errors.New("trigger is not decided yet")

// intake takes triggers in, by two roads: straight from their sender, and once
// more from the stream, until they have been taken. Whichever comes first is
// worked on, under a key that both copies share; the other finds the outcome in
// the state. One without an id cannot be matched with its copy, so it is left
// to that, and a requester waits for it. One with an id is not lost either
// while the stream is being set up or has no leader.
//
// A requester is told what Raft has committed, and nothing before: a leader
// that has been deposed cannot refuse what its successor starts.
type intake struct {
	leader *leader
	slots  chan struct{} // for requests

	serving [64]chan struct{} // a token per service, shared by few: its triggers go one by one

	mu      sync.Mutex
	jobs    map[string]*job
	waiters map[string][]chan api.Reply
	claims  map[string]claim
	silent  map[string]time.Duration // triggers that no agent answered: since when
}

// job is a trigger that is being worked on, for all who ask about it.
type job struct {
	done  chan struct{}
	reply api.Reply
	err   error
}

// claim is an outcome whose requester may not have come up yet.
type claim struct {
	at    time.Duration
	reply api.Reply
}

func newIntake(l *leader) *intake {
	in := &intake{
		leader: l, slots: make(chan struct{}, maxRequests),
		jobs: map[string]*job{}, waiters: map[string][]chan api.Reply{}, claims: map[string]claim{},
		silent: map[string]time.Duration{},
	}
	for i := range in.serving {
		in.serving[i] = make(chan struct{}, 1)
	}
	return in
}

// run takes triggers in until ctx ends.
func (in *intake) run(ctx context.Context) error {
	requests, err := in.leader.bus.SubscribeTriggers(func(m bus.Msg) { in.request(ctx, m) })
	if err != nil {
		return err
	}
	defer in.leader.close(requests)
	// The handler's context ends after seconds; the work on a trigger may not.
	return in.leader.bus.ConsumeTriggers(ctx, func(handling context.Context, t bus.Trigger) error {
		return in.stored(ctx, handling, t)
	})
}

// Private

// request answers one sender, from a goroutine of its own.
func (in *intake) request(ctx context.Context, m bus.Msg) {
	select {
	case in.slots <- struct{}{}:
	default:
		return // its copy in the stream is taken in turn
	}
	in.leader.spawn(ctx, func(ctx context.Context) {
		defer func() { <-in.slots }()
		reply, err := in.answer(ctx, m)
		if quiet, ok := errors.AsType[*silence](err); ok {
			reply, err = notYet(quiet), nil
		}
		if err != nil {
			in.leader.log.Info().Err(err).Str("subject", m.Subject).Msg("trigger not decided here")
			return
		}
		if m.Reply == "" {
			return
		}
		data, err := json.Marshal(reply)
		if err == nil {
			err = m.Respond(data)
		}
		if err != nil {
			in.leader.log.Warn().Err(err).Str("subject", m.Subject).Msg("answer not sent")
		}
	})
}

func (in *intake) answer(ctx context.Context, m bus.Msg) (api.Reply, error) {
	service, wrong := bus.ParseTrigger(m.Subject)
	service, t, problem := parse(service, wrong, m.Data, bus.TraceOf(m.Header))
	id := t.ID
	if id == "" {
		id = m.Header.Get(msgID)
	}
	switch {
	case id == "" && m.Reply == "":
		return api.Reply{}, nil // its copy is all there is
	case id == "" && problem != nil && service == noService:
		return api.Refused(problem.Refused()), nil // its copy makes the event
	case id == "":
		return in.awaitCopy(ctx, contentHash(service, m.Data))
	}
	return in.take(ctx, ctx, keyOfID(service, id), service, t, problem)
}

// msgID is the header by which senders name a message.
const msgID = "Nats-Msg-Id"

// stored takes one trigger from the stream. Its error leaves it there.
func (in *intake) stored(ctx, handling context.Context, m bus.Trigger) error {
	service, t, problem := parse(m.Service, m.Wrong, m.Data, m.Trace)
	key, named := keyOfPlace(m), t.ID != "" || m.ID != ""
	switch {
	case t.ID != "":
		key = keyOfID(service, t.ID)
	case m.ID != "":
		key = keyOfID(service, m.ID)
	}
	reply, err := in.take(ctx, handling, key, service, t, problem)
	hash := contentHash(service, m.Data)
	if quiet, ok := errors.AsType[*silence](err); ok && !named {
		in.tell(hash, notYet(quiet))
	}
	if err == nil && !named {
		in.hand(hash, reply)
	}
	return err
}

// parse reads a trigger, that for no possible service too, and its header.
func parse(service string, wrong error, data []byte, sent string) (string, api.Trigger, *rollout.Problem) {
	t, problem := api.ParseTrigger(data)
	t.Trace = cmp.Or(sent, t.Trace)
	if wrong != nil {
		return noService, t, &rollout.Problem{Field: "service", Message: wrong.Error()}
	}
	return service, t, problem
}

// take returns what became of a trigger, and makes something become of it if
// nothing has. Who comes while it is being worked on waits for the same.
// The work lasts as long as ctx, the caller's patience as long as the other.
func (in *intake) take(ctx, patience context.Context, key, service string, t api.Trigger, problem *rollout.Problem) (api.Reply, error) {
	in.mu.Lock()
	j := in.jobs[key]
	if j == nil {
		j = &job{done: make(chan struct{})}
		in.jobs[key] = j
		in.leader.spawn(ctx, func(ctx context.Context) { in.work(ctx, j, key, service, t, problem) })
	}
	in.mu.Unlock()
	select {
	case <-j.done:
		return j.reply, j.err
	case <-patience.Done():
		return api.Reply{}, fmt.Errorf("%w: %w", errUndecided, patience.Err())
	case <-ctx.Done():
		return api.Reply{}, fmt.Errorf("%w: %w", errUndecided, ctx.Err())
	}
}

// work decides on a trigger. It outlives a requester who has gone.
func (in *intake) work(ctx context.Context, j *job, key, service string, t api.Trigger, problem *rollout.Problem) {
	ctx, stop := context.WithTimeout(ctx, triggerTimeout)
	defer stop()
	defer func() {
		in.mu.Lock()
		defer in.mu.Unlock()
		delete(in.jobs, key)
		close(j.done)
	}()
	turn, err := in.turn(ctx, service)
	if err != nil {
		j.err = err
		return
	}
	defer turn()
	j.reply, j.err = in.decide(ctx, key, service, t, problem)
}

// turn waits until no other trigger of the service is being worked on, so that
// each sees what the one before it came to.
func (in *intake) turn(ctx context.Context, service string) (done func(), err error) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(service)) // never fails
	token := in.serving[h.Sum32()%uint32(len(in.serving))]
	select {
	case token <- struct{}{}:
		return func() { <-token }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errUndecided, ctx.Err())
	}
}

// decide records what becomes of a trigger, and returns what is recorded.
func (in *intake) decide(ctx context.Context, key, service string, t api.Trigger, problem *rollout.Problem) (api.Reply, error) {
	if known, ok := in.leader.ledger.State().Known(key); ok {
		return replyOf(rollout.Result{Repeat: true, Rollout: known.Rollout, Refused: known.Refusal}), nil
	}
	command, err := in.command(ctx, key, service, t, problem)
	if refusal := in.outwait(key, err); refusal != nil {
		command, err = record(key, service, refusal), nil
	}
	if err != nil {
		return api.Reply{}, fmt.Errorf("%w: %w", errUndecided, err)
	}
	by := t.By
	if by == "" {
		by = "trigger"
	}
	result, err := in.leader.propose(ctx, by, command)
	if errors.Is(err, replica.ErrTooLarge) {
		refusal := invalid("spec", err.Error())
		result, err = in.leader.propose(ctx, by, rollout.Refuse{Key: key, Service: service, Refusal: *refusal})
	}
	if err != nil {
		return api.Reply{}, fmt.Errorf("%w: %w", errUndecided, err)
	}
	if result.Refused != nil && result.Refused.Code == rollout.CodeBusy {
		return api.Reply{}, fmt.Errorf("%w: %w", errUndecided, result.Refused) // not recorded: it may come again
	}
	return replyOf(result), nil
}

// command makes a submission of a trigger, or the record of its refusal.
func (in *intake) command(ctx context.Context, key, service string, t api.Trigger, problem *rollout.Problem) (rollout.Command, error) {
	if problem != nil {
		return record(key, service, problem.Refused()), nil
	}
	p, refusal, err := in.leader.prepare(ctx, service, t)
	if err != nil {
		return nil, err
	}
	if refusal == nil && !t.Force {
		refusal = p.unchanged()
	}
	if refusal != nil {
		return record(key, service, refusal), nil
	}
	return rollout.Submit{
		Key: key, Spec: p.spec, To: p.to, Hosts: p.hosts, By: t.By, Reason: t.Reason, Replace: t.Replace,
		IfNew:    !t.Force && p.level >= rollout.LevelIfNew,
		Override: t.Override && p.level >= rollout.LevelFreeze,
		Trace:    in.leader.tracing.Sent(t.Trace, p.level),
	}, nil
}

// record makes the record of a refusal.
func record(key, service string, r *rollout.Refusal) rollout.Refuse {
	cut := *r
	if len(cut.Message) > longestRefusal {
		cut.Message = strings.ToValidUTF8(cut.Message[:longestRefusal], "") + "..."
	}
	return rollout.Refuse{Key: key, Service: service, Refusal: cut}
}

// outwait returns the refusal of a trigger that no agent has answered for long
// enough, if err says that none has; else nil.
func (in *intake) outwait(key string, err error) *rollout.Refusal {
	in.mu.Lock()
	defer in.mu.Unlock()
	now := in.leader.clock.now()
	maps.DeleteFunc(in.silent, func(_ string, since time.Duration) bool { return now-since > 2*silentFor })
	quiet, ok := errors.AsType[*silence](err)
	since, known := in.silent[key]
	switch {
	case !ok:
		delete(in.silent, key)
	case !known:
		in.silent[key] = now
	case now-since >= silentFor:
		delete(in.silent, key)
		return &rollout.Refusal{
			Code: quiet.code, Field: quiet.field,
			Message: fmt.Sprintf("%v, for %s; trigger again when one does", quiet, silentFor),
		}
	}
	return nil
}

// notYet tells a requester that it is not decided what becomes of a trigger.
func notYet(quiet *silence) api.Reply {
	return api.Reply{Code: rollout.CodeBusy, Field: quiet.field, Message: fmt.Sprintf(
		"%v; nothing has been started so far: repeat the trigger with an id. Its copy in the stream is tried again for %s", quiet, silentFor)}
}

func replyOf(result rollout.Result) api.Reply {
	if result.Refused != nil {
		return api.Refused(result.Refused)
	}
	return api.Reply{OK: true, Rollout: result.Rollout, Unchanged: result.Repeat}
}
