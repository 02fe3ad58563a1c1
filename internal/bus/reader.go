package bus

import (
	"cmp"
	"context"
	"errors"
	"sort"

	"github.com/nats-io/nats.go/jetstream"
)

// errBehind means that the copy of the stream that a consumer reads does not
// hold yet what the stream's leader has.
var errBehind = errors.New("this copy of the stream lags behind")

// reader is one run of Events. It remembers its position itself, so that any
// interruption ends in a new consumer that continues there.
type reader struct {
	conn    *Conn
	filter  Filter
	deliver func(EventMsg) error

	next uint64 // stream sequence to read next
	last uint64 // the last one wanted of those that were stored at the start; 0: none
}

// locate finds where to begin, by bisection: numbers and times only rise.
func (r *reader) locate(ctx context.Context) error {
	ask, asked := context.WithTimeout(ctx, attemptTimeout)
	defer asked()
	stream, err := r.conn.js.Stream(ask, EventsStream)
	if err != nil {
		return err
	}
	r.next = max(stream.CachedInfo().State.FirstSeq, 1)
	if r.last, err = r.end(ctx, stream); err != nil {
		return err
	}
	if r.filter.FromSeq == 0 && r.filter.Since.IsZero() {
		return nil
	}
	if r.last < r.next {
		return nil
	}
	var failed error
	offset := sort.Search(int(r.last-r.next)+1, func(i int) bool {
		ok, err := r.wanted(ctx, stream, r.next+uint64(i))
		if err != nil && failed == nil {
			failed = err
		}
		return ok
	})
	r.next += uint64(offset)
	return failed
}

// end asks the stream's leader for the last message that matches; 0: there is
// none. Consumers cannot tell: theirs is any copy of the stream, and after a
// change of its leader, or under load, one that lacks the newest messages.
func (r *reader) end(ctx context.Context, stream jetstream.Stream) (uint64, error) {
	ask, asked := context.WithTimeout(ctx, attemptTimeout)
	defer asked()
	msg, err := stream.GetLastMsgForSubject(ask, r.pattern())
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return msg.Sequence, nil
}

// behind tells what it means that a consumer has no more, and the end is not
// reached: a copy that lags, or the last messages have expired meanwhile.
func (r *reader) behind(ctx context.Context) (done bool, err error) {
	ask, asked := context.WithTimeout(ctx, attemptTimeout)
	defer asked()
	stream, err := r.conn.js.Stream(ask, EventsStream)
	if err != nil {
		return false, err
	}
	end, err := r.end(ctx, stream)
	if err != nil {
		return false, err
	}
	r.last = min(r.last, end)
	if r.drained() {
		return true, nil
	}
	return false, errBehind
}

// drained reports whether everything that was stored at the start is read and
// nothing further is wanted.
func (r *reader) drained() bool { return !r.filter.Follow && r.next > r.last }

// wanted reports whether the message at a position, or the next one that
// carries a number, is neither too early in number nor in time. A message
// that has expired is too early.
func (r *reader) wanted(ctx context.Context, stream jetstream.Stream, at uint64) (bool, error) {
	for ; at <= r.last; at++ {
		msg, err := getMsg(ctx, stream, at)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if seq := eventSeq(msg.Header); seq > 0 {
			return seq >= r.filter.FromSeq && !msg.Time.Before(r.filter.Since), nil
		}
	}
	return true, nil
}

// getMsg bounds the wait for an answer: a server that dies takes the question
// with it, and a caller's patience may be long.
func getMsg(ctx context.Context, stream jetstream.Stream, at uint64) (*jetstream.RawStreamMsg, error) {
	ask, asked := context.WithTimeout(ctx, attemptTimeout)
	defer asked()
	return stream.GetMsg(ask, at)
}

// read delivers until it is done, or interrupted.
func (r *reader) read(ctx context.Context, progress func()) (done bool, err error) {
	ask, asked := context.WithTimeout(ctx, attemptTimeout)
	defer asked()
	consumer, err := r.conn.js.OrderedConsumer(ask, EventsStream, jetstream.OrderedConsumerConfig{
		FilterSubjects:    []string{r.pattern()},
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       r.next,
		InactiveThreshold: observerTTL,
		MaxResetAttempts:  1, // further tries are ours, since these do not heed ctx
	})
	if err != nil {
		return false, err
	}
	if !r.filter.Follow && consumer.CachedInfo().NumPending == 0 {
		return r.behind(ctx)
	}
	messages, err := consumer.Messages(jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullHeartbeat))
	if err != nil {
		return false, err
	}
	stop := context.AfterFunc(ctx, messages.Stop)
	defer stop()
	defer messages.Stop()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return false, err
		}
		progress()
		more, done, err := r.handle(msg)
		if done || err != nil {
			return done, err
		}
		if !more && !r.filter.Follow {
			return r.behind(ctx)
		}
	}
}

// handle delivers one message and moves on. more says that the consumer has
// further ones.
func (r *reader) handle(msg jetstream.Msg) (more, done bool, err error) {
	meta, err := msg.Metadata()
	if err != nil {
		return false, false, err
	}
	at := meta.Sequence.Stream
	if !r.filter.Follow && at > r.last {
		return false, true, nil
	}
	ev := EventMsg{
		Seq:       eventSeq(msg.Headers()),
		StreamSeq: at,
		Subject:   msg.Subject(),
		Data:      msg.Data(),
		At:        meta.Timestamp,
	}
	if err := r.hand(ev); err != nil {
		return false, true, err
	}
	r.next = at + 1
	return meta.NumPending > 0, r.drained(), nil
}

// hand delivers an event, unless it is too early, or not written by serin, whose
// subjects are checked.
func (r *reader) hand(ev EventMsg) error {
	var malformed error
	ev.Service, ev.Rollout, ev.Kind, malformed = ParseEvent(ev.Subject)
	early := ev.At.Before(r.filter.Since) || ev.Seq != 0 && ev.Seq < r.filter.FromSeq
	if malformed != nil || early {
		return nil //nolint:nilerr // what is not wanted is no error
	}
	return r.deliver(ev)
}

func (r *reader) pattern() string {
	return EventSubject(cmp.Or(r.filter.Service, "*"), cmp.Or(r.filter.Rollout, "*"), cmp.Or(r.filter.Kind, ">"))
}
