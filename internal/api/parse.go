package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// MaxTrigger is the most bytes that a trigger may have.
const MaxTrigger = 96 << 10

// ParseTrigger reads what may be published on trigger.<service>: a Trigger, a
// whole rollout file (YAML or JSON), or a CloudEvent in structured JSON mode
// that carries one of these. The problem names the field at fault; the trigger
// then still has the id that was found.
func ParseTrigger(data []byte) (Trigger, *rollout.Problem) {
	if len(data) > MaxTrigger {
		return Trigger{}, problemf("trigger", "has %d bytes; %d are the most", len(data), MaxTrigger)
	}
	data = bytes.TrimSpace(data)
	if len(data) == 0 {
		return Trigger{}, problemf("trigger", `is empty; send {"image": "..."}, or a rollout file`)
	}
	if data[0] != '{' {
		return file(data), nil
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(data, &keys); err != nil {
		return Trigger{}, problemf("trigger", "is not JSON: %v", err)
	}
	switch {
	case keys["specversion"] != nil:
		return parseCloudEvent(data)
	case keys["service"] != nil || keys["container"] != nil:
		return Trigger{Spec: bytes.Clone(data)}, nil
	default:
		return parseTrigger(data)
	}
}

// SpecText returns the rollout file in a Trigger's Spec, whichever way it came.
func (t Trigger) SpecText() ([]byte, error) {
	if len(t.Spec) == 0 || t.Spec[0] != '"' {
		return t.Spec, nil
	}
	var text string
	if err := json.Unmarshal(t.Spec, &text); err != nil {
		return nil, fmt.Errorf("read spec: %w", err)
	}
	return []byte(text), nil
}

// Private

// file makes a trigger of the text of a rollout file.
func file(text []byte) Trigger {
	quoted, err := json.Marshal(string(text))
	if err != nil {
		return Trigger{} // no string fails to encode
	}
	return Trigger{Spec: quoted}
}

func parseTrigger(data []byte) (Trigger, *rollout.Problem) {
	var t Trigger
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&t)
	if err == nil {
		if _, more := decoder.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the object")
		}
	}
	wrongType, isType := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case isType:
		return Trigger{ID: idOf(data)}, problemf(wrongType.Field, "is a %s; want a %s", wrongType.Value, wrongType.Type)
	case err != nil:
		return Trigger{ID: idOf(data)}, problemf("trigger", "%v; known are id, image, spec, by, reason, replace, force, override_freeze, if_revision", err)
	case t.Image == "" && len(t.Spec) == 0:
		return t, problemf("image", `is missing; send {"image": "..."}, or a rollout file`)
	}
	return t, nil
}

// cloudEvent is the part of an event that a trigger needs.
type cloudEvent struct {
	ID     string          `json:"id"`
	Source string          `json:"source"`
	Data   json.RawMessage `json:"data"`
	Base64 []byte          `json:"data_base64"`
	Trace  json.RawMessage `json:"traceparent"` // a wrong type is no reason to refuse a trigger
}

// parseCloudEvent takes the trigger out of its envelope. Source and id
// together name an event.
func parseCloudEvent(data []byte) (Trigger, *rollout.Problem) {
	var e cloudEvent
	if err := json.Unmarshal(data, &e); err != nil {
		return Trigger{}, problemf("trigger", "is not a CloudEvent: %v", err)
	}
	if e.ID == "" || e.Source == "" {
		return Trigger{}, problemf("id", "is missing, or source is: a CloudEvent has both")
	}
	inner := []byte(e.Data)
	if len(e.Base64) > 0 {
		inner = e.Base64
	}
	if len(inner) > 0 && inner[0] == '"' {
		var text string
		if err := json.Unmarshal(inner, &text); err == nil {
			inner = []byte(text)
		}
	}
	t, problem := Trigger{}, problemf("data", "is missing in the CloudEvent")
	switch {
	case len(inner) == 0:
	case json.Valid(inner) && hasKey(inner, "specversion"):
		problem = problemf("data", "is a CloudEvent again")
	default:
		t, problem = ParseTrigger(inner)
	}
	t.ID = e.Source + "#" + e.ID
	_ = json.Unmarshal(e.Trace, &t.Trace) // else it is none
	return t, problem
}

func hasKey(object []byte, key string) bool {
	var keys map[string]json.RawMessage
	return json.Unmarshal(object, &keys) == nil && keys[key] != nil
}

func idOf(data []byte) string {
	var t struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(data, &t); err != nil {
		return ""
	}
	return t.ID
}

func problemf(field, format string, args ...any) *rollout.Problem {
	return &rollout.Problem{Field: field, Message: fmt.Sprintf(format, args...)}
}
