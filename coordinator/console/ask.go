package console

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const (
	patience = 15 * time.Second       // with an election
	attempt  = 6 * time.Second        // of one question; an explanation takes 3 s without a stream
	pause    = 250 * time.Millisecond // between attempts
)

// errUnanswered means that something was sent and nobody said what came of it.
var errUnanswered = errors.New("no leader has answered; it may have been carried out: look before you try again")

// question is what the leader is asked, or told to do.
type question struct {
	subject string
	header  bus.Header
	data    []byte
	again   bool // asking twice does no harm
}

// ask puts a question to the leader until somebody answers it.
func (l *live) ask(ctx context.Context, q question) ([]byte, error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	for {
		answer, err := l.try(ctx, q)
		switch {
		case err == nil:
			return answer, nil
		case !q.again && errors.Is(err, context.DeadlineExceeded):
			return nil, errUnanswered
		case !passing(err):
			return nil, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// try asks once.
func (l *live) try(ctx context.Context, q question) ([]byte, error) {
	ctx, stop := context.WithTimeout(ctx, attempt)
	defer stop()
	m, err := l.bus.RequestHeader(ctx, q.subject, q.header, q.data)
	if _, refused := errors.AsType[*bus.ServiceError](err); refused && len(m.Data) > 0 && json.Valid(m.Data) {
		return m.Data, nil // the refusal stands in the body
	}
	return m.Data, err
}

// passing reports whether the next leader may answer.
func passing(err error) bool {
	if refused, ok := errors.AsType[*bus.ServiceError](err); ok {
		return refused.Code == bus.CodeStopping
	}
	return errors.Is(err, bus.ErrNoResponders) || errors.Is(err, bus.ErrNotConnected) || errors.Is(err, context.DeadlineExceeded)
}

// unanswered says in words that the leader could not be asked.
func unanswered(err error) string {
	switch {
	case errors.Is(err, errUnanswered):
		return err.Error()
	case errors.Is(err, bus.ErrNotConnected):
		return "this replica has no connection to the bus"
	case passing(err):
		return "no leader answers just now"
	}
	return err.Error()
}

// statusOf is the HTTP status of an answer of the leader's.
func statusOf(answer []byte) int {
	r, err := api.DecodeReply(answer)
	switch {
	case err != nil:
		return http.StatusBadGateway
	case r.OK:
		return http.StatusOK
	}
	switch r.Code {
	case rollout.CodeUnknown:
		return http.StatusNotFound
	case rollout.CodeInvalid:
		return http.StatusBadRequest
	case rollout.CodeBusy:
		return http.StatusServiceUnavailable
	default:
		return http.StatusConflict
	}
}
