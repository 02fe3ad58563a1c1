package api

import "encoding/json"

// Trigger asks for a rollout. Either Image alone, which keeps everything else
// as the stable revision was rolled out (or, before the first success, as was
// last tried), or Spec, a whole rollout file (Image then overrides the file's).
type Trigger struct {
	// ID makes the trigger idempotent: repeating it starts nothing and gets
	// the same answer. A Nats-Msg-Id header does the same, but JetStream may
	// answer a repetition within 100 ms first. Without either, every message is
	// a trigger of its own, and is answered only when the stream hands it out;
	// with one the answer does not wait for the stream.
	ID    string `json:"id,omitempty"`
	Image string `json:"image,omitempty"`
	// Spec is the rollout file: a JSON object, or a JSON string that holds the
	// file's text (YAML or JSON).
	Spec   json.RawMessage `json:"spec,omitempty"`
	By     string          `json:"by,omitempty"`     // who asks, for the record
	Reason string          `json:"reason,omitempty"` // why, for the record
	// Replace aborts a running rollout first, instead of being refused.
	Replace bool `json:"replace,omitempty"`
	// Force rolls out a revision that is stable already once more.
	Force bool `json:"force,omitempty"`
	// Override lets the rollout begin although its service, or the fleet, is frozen. It
	// takes a Reason.
	Override bool `json:"override_freeze,omitempty"`
	// IfRevision refuses the trigger unless the stable revision has this id.
	IfRevision string `json:"if_revision,omitempty"`
	// Trace is where in a trace (W3C's traceparent) the trigger was sent: that of a
	// CloudEvent's extension, or the header's, which has precedence. It may be wrong.
	Trace string `json:"-"`
}

// Command is what a verb takes. The zero value is valid for every verb.
type Command struct {
	// ID makes a rollback idempotent: repeating it starts nothing more. The
	// other verbs are by nature, if Rollout is named.
	ID string `json:"id,omitempty"`
	// Rollout, if not empty, has to be the one that runs: a guard against
	// changing another one than the person looked at.
	Rollout string `json:"rollout,omitempty"`
	By      string `json:"by,omitempty"`
	Reason  string `json:"reason,omitempty"`
	// Full promotes on every host at once, instead of taking one step.
	Full bool `json:"full,omitempty"`
	// To is where a rollback goes: a revision's id, a version, or the id of
	// the rollout that installed it; empty for the last good one.
	To string `json:"to,omitempty"`
	// Host is the one that is released: it was excluded from a rollout, and
	// follows the service's stable revision again.
	Host string `json:"host,omitempty"`
	// For is how long a freeze lasts, in ms; 0: until it is thawed.
	For int64 `json:"for_ms,omitempty"`
	// Trace is where in a trace (W3C's traceparent) the command was sent: its
	// header. It may be wrong.
	Trace string `json:"-"`
}

// Member names a replica of the coordinator.
type Member struct {
	ID   string `json:"id"`
	Addr string `json:"addr,omitempty"` // host:port of its Raft listener, for add
	By   string `json:"by,omitempty"`
}
