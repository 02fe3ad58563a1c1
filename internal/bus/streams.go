package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Names of the streams and of the durable consumer.
const (
	TriggersStream  = "SERIN_TRIGGERS"
	EventsStream    = "SERIN_EVENTS"
	StateStream     = "SERIN_STATE"
	triggerConsumer = "serin-coordinator"
)

const (
	eventsWindow = 10 * time.Minute
	// triggersWindow is the least that a server takes. Three servers that keep a stream
	// answer a message whose id they know by themselves, whatever NoAck says, and what a
	// trigger is called is the leader's to know.
	triggersWindow = 100 * time.Millisecond
	triggersMaxAge = 7 * 24 * time.Hour
	eventsMaxAge   = 30 * 24 * time.Hour

	triggersMaxMessages = 100_000
	eventsMaxMessages   = 1_000_000
	statesMaxMessages   = 100_000 // one per service

	triggersMaxBytes = 64 << 20
	eventsMaxBytes   = 512 << 20
	statesMaxBytes   = 64 << 20

	streamMaxMessage = 256 << 10 // bytes with headers: four times the largest spec

	attemptTimeout        = 5 * time.Second // of one question to JetStream: a server that dies takes it along
	triesWithoutJetStream = 5               // one to two seconds

	retryMin = 100 * time.Millisecond
	retryMax = 5 * time.Second
)

// Codes of the server's JetStream API that the client has no names for.
const (
	codeNoPeers              = 10005 // not enough servers known yet
	codeNoMetaLeader         = 10008 // for some seconds after a server has gone, or while a cluster starts
	codeReplicasNotClustered = 10074
)

// Errors of streams.
var (
	// ErrNoJetStream means that the server has no JetStream, or not for us.
	ErrNoJetStream = errors.New("the nats server has no jetstream (enable it: serin keeps triggers and events there)")
	// ErrNoStream means that EnsureStreams has not run on this bus yet.
	ErrNoStream = errors.New("no such stream on this bus (does a coordinator run?)")
	// ErrReplicas means that the server cannot keep so many copies.
	ErrReplicas = errors.New("the nats server cannot keep that many replicas")
)

// Stream is what serin asks of one of its streams.
type Stream struct {
	Name     string
	Subjects []string
	// WorkQueue: what is taken is gone.
	WorkQueue bool
	// Of each, 0 means no bound: MaxAge and MaxMessages, the most on one subject,
	// and bytes, of all and of one message.
	MaxAge      time.Duration
	MaxMessages int64
	PerSubject  int64
	MaxBytes    int64
	MaxMessage  int
	// Dedupe is how long a Nats-Msg-Id is remembered; 0: the server's default.
	Dedupe time.Duration
	// Acknowledges: a publisher may wait until the stream holds a message.
	Acknowledges bool
	// Kept: nobody may delete messages or purge it.
	Kept bool
}

// Streams lists the streams that EnsureStreams makes.
func Streams() []Stream {
	var all []Stream
	for _, cfg := range streamConfigs(1) {
		all = append(all, Stream{
			Name: cfg.Name, Subjects: cfg.Subjects, WorkQueue: cfg.Retention == jetstream.WorkQueuePolicy,
			MaxAge: cfg.MaxAge, MaxMessages: cfg.MaxMsgs, PerSubject: max(0, cfg.MaxMsgsPerSubject), MaxBytes: cfg.MaxBytes,
			MaxMessage: int(max(0, cfg.MaxMsgSize)), Dedupe: cfg.Duplicates, Acknowledges: !cfg.NoAck, Kept: cfg.DenyDelete && cfg.DenyPurge,
		})
	}
	return all
}

// EnsureStreams creates the streams, or updates them to what this version
// expects, each kept by replicas servers (1, 3 or 5). It retries what a
// cluster that is still forming refuses, until ctx ends. Errors that no
// waiting cures: ErrNoJetStream, ErrReplicas (standalone server), and a
// stream of the same name that cannot be updated.
func (c *Conn) EnsureStreams(ctx context.Context, replicas int) error {
	for _, cfg := range streamConfigs(replicas) {
		if err := c.ensureStream(ctx, cfg); err != nil {
			return err
		}
	}
	return nil
}

// Private

func streamConfigs(replicas int) []jetstream.StreamConfig {
	return []jetstream.StreamConfig{
		{
			Name:        TriggersStream,
			Description: "triggers that wait for a leader",
			Subjects:    []string{AllTriggers},
			Retention:   jetstream.WorkQueuePolicy, // what is taken is gone: a consumer made anew repeats nothing
			Storage:     jetstream.FileStorage,
			Replicas:    replicas,
			NoAck:       true, // a request is answered by the leader
			Duplicates:  triggersWindow,
			MaxAge:      triggersMaxAge,
			MaxMsgs:     triggersMaxMessages,
			MaxBytes:    triggersMaxBytes,
			MaxMsgSize:  -1, // what is too large is stored, so that it can be refused aloud,
			Discard:     jetstream.DiscardOld,
		},
		{
			Name:        EventsStream,
			Description: "what happened, as CloudEvents; the message id is the Raft index",
			Subjects:    []string{AllEvents},
			Retention:   jetstream.LimitsPolicy,
			Storage:     jetstream.FileStorage,
			Replicas:    replicas,
			Duplicates:  eventsWindow,
			MaxAge:      eventsMaxAge,
			MaxMsgs:     eventsMaxMessages,
			MaxBytes:    eventsMaxBytes,
			MaxMsgSize:  streamMaxMessage,
			Discard:     jetstream.DiscardOld,
			DenyDelete:  true,
			DenyPurge:   true,
		},
		{
			Name:              StateStream,
			Description:       "the last state of each service",
			Subjects:          []string{AllStates},
			Retention:         jetstream.LimitsPolicy,
			Storage:           jetstream.FileStorage,
			Replicas:          replicas,
			MaxMsgsPerSubject: 1,
			MaxMsgs:           statesMaxMessages,
			MaxBytes:          statesMaxBytes,
			MaxMsgSize:        streamMaxMessage,
			Discard:           jetstream.DiscardOld,
		},
	}
}

func (c *Conn) ensureStream(ctx context.Context, cfg jetstream.StreamConfig) error {
	pause := newPause()
	for try := 1; ; try++ {
		err := c.tryStream(ctx, cfg)
		if err == nil {
			return nil
		}
		err = fmt.Errorf("ensure stream %s with %d replicas: %w", cfg.Name, cfg.Replicas, typedStream(err))
		if permanent(err, try) {
			return err
		}
		c.log.Debug().Err(err).Msg("stream not ready, trying again")
		if wait(ctx, pause.NextBackOff()) != nil {
			return errors.Join(err, ctx.Err())
		}
	}
}

func (c *Conn) tryStream(ctx context.Context, cfg jetstream.StreamConfig) error {
	ctx, stop := context.WithTimeout(ctx, attemptTimeout)
	defer stop()
	stream, err := c.js.Stream(ctx, cfg.Name)
	if err == nil && isAs(stream.CachedInfo().Config, cfg) {
		return nil // an update would be one more thing for a busy cluster to agree on
	}
	_, err = c.js.CreateOrUpdateStream(ctx, cfg)
	return err
}

// isAs reports whether a stream is as cfg asks; what cfg leaves zero is the
// server's to choose.
func isAs(have, cfg jetstream.StreamConfig) bool {
	return have.Description == cfg.Description && slices.Equal(have.Subjects, cfg.Subjects) &&
		have.Retention == cfg.Retention && have.Storage == cfg.Storage && have.Replicas == cfg.Replicas &&
		have.NoAck == cfg.NoAck && have.Discard == cfg.Discard && have.MaxAge == cfg.MaxAge &&
		(cfg.Duplicates == 0 || have.Duplicates == cfg.Duplicates) &&
		(cfg.MaxMsgsPerSubject == 0 || have.MaxMsgsPerSubject == cfg.MaxMsgsPerSubject) &&
		have.MaxMsgs == cfg.MaxMsgs && have.MaxBytes == cfg.MaxBytes && have.MaxMsgSize == cfg.MaxMsgSize &&
		have.DenyDelete == cfg.DenyDelete && have.DenyPurge == cfg.DenyPurge
}

// permanent reports whether a refusal will be the same next time. A cluster
// that still forms answers with 5xx codes, or not at all; a server that just
// starts is without JetStream for a moment.
func permanent(err error, try int) bool {
	if errors.Is(err, ErrNoJetStream) {
		return try >= triesWithoutJetStream
	}
	if errors.Is(err, ErrReplicas) {
		return true
	}
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && api.Code >= 400 && api.Code < 500 && api.ErrorCode != codeNoPeers
}

// typedStream translates the JetStream client's errors into this package's.
func typedStream(err error) error {
	api, isAPI := errors.AsType[*jetstream.APIError](err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled),
		errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount),
		errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("%w (%w)", ErrNoJetStream, err)
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, jetstream.ErrNoStreamResponse):
		return fmt.Errorf("%w (%w)", ErrNoStream, err)
	case isAPI && api.ErrorCode == codeReplicasNotClustered:
		return fmt.Errorf("%w (%w)", ErrReplicas, err)
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionClosed):
		return fmt.Errorf("%w (%w)", ErrNotConnected, err)
	default:
		return err
	}
}

// newPause returns growing, jittered pauses between tries.
func newPause() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = retryMin, retryMax
	return b
}

// wait returns ctx's error if it ends before d has passed.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
