package api

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// Reply is the answer to a trigger or a verb.
type Reply struct {
	OK bool `json:"ok"`
	// Code, Field and Message say why not: Field is the one at fault in the
	// rollout file or trigger, if it is one.
	Code    rollout.Code `json:"code,omitempty"`
	Field   string       `json:"field,omitempty"`
	Message string       `json:"message,omitempty"`
	// Rollout is the one that was started or changed or, where OK is false,
	// the one in the way.
	Rollout string `json:"rollout,omitempty"`
	// Unchanged says that there was nothing to do: the revision is stable
	// already, or its rollout runs already, or the trigger was a repetition.
	Unchanged bool `json:"unchanged,omitempty"`
}

// Answer is the reply to a read: a Reply with data.
type Answer[T any] struct {
	Reply
	Data T `json:"data,omitzero"`
}

// Refused makes the reply that tells of a refusal.
func Refused(r *rollout.Refusal) Reply {
	if r.Code == rollout.CodeUnchanged {
		return Reply{OK: true, Unchanged: true, Message: r.Message, Rollout: r.Rollout}
	}
	return Reply{Code: r.Code, Field: r.Field, Message: r.Message, Rollout: r.Rollout}
}

// Refusal returns what was refused as an error; nil if the reply is OK.
func (r Reply) Refusal() *rollout.Refusal {
	if r.OK {
		return nil
	}
	return &rollout.Refusal{Code: r.Code, Field: r.Field, Message: r.Message, Rollout: r.Rollout}
}

// ErrForeign means that an answer is not a coordinator's.
var ErrForeign = errors.New("the answer is not a coordinator's")

// DecodeReply reads the answer to a trigger or a verb. Unknown fields are left
// alone: the coordinator may be newer. What does not say whether it is OK is
// ErrForeign: anybody on the bus can answer, and a stream does.
func DecodeReply(data []byte) (Reply, error) {
	var r Reply
	if err := decode(data, &r); err != nil {
		return Reply{}, err
	}
	return r, nil
}

// DecodeAnswer reads the answer to a read; its error is a *rollout.Refusal if
// the coordinator refused, or ErrForeign.
func DecodeAnswer[T any](data []byte) (T, error) {
	var a Answer[T]
	if err := decode(data, &a); err != nil {
		return a.Data, err
	}
	if r := a.Refusal(); r != nil {
		return a.Data, r
	}
	return a.Data, nil
}

// Private

func decode(data []byte, into any) error {
	var has struct {
		OK *bool `json:"ok"`
	}
	err := json.Unmarshal(data, &has)
	if err == nil && has.OK == nil {
		err = errors.New(`there is no "ok" in it`)
	}
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		const most = 200
		return fmt.Errorf("%w (%w): %.*q", ErrForeign, err, most, data)
	}
	return nil
}
