package replica

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/serin-rollouts/serin/internal/rollout"
	"github.com/serin-rollouts/serin/internal/statefile"
)

// MaxEntry is how large an encoded entry may be, in bytes: larger ones make
// every commit slow. Most have less than a thousand; the one that starts a
// rollout names its hosts, up to 10,000 of them.
const MaxEntry = 1 << 20

// entryVersion is the version of the envelope. Another type or field of a
// command needs no new version: strict decoding refuses it anyway.
const entryVersion = 1

// ErrTooLarge means that an entry exceeds MaxEntry; nothing was proposed.
var ErrTooLarge = errors.New("entry too large")

// envelope is how an entry stands in the log:
// {"v":1,"type":"advance","stamp":{...},"command":{...}}.
type envelope struct {
	Version int             `json:"v"`
	Type    string          `json:"type"`
	Stamp   rollout.Stamp   `json:"stamp"`
	Command json.RawMessage `json:"command"`
}

// The names of the commands in the log. They never change.
const (
	typeSubmit   = "submit"
	typeRefuse   = "refuse"
	typeAdvance  = "advance"
	typeApprove  = "approve"
	typePause    = "pause"
	typeExclude  = "exclude"
	typeLose     = "lose"
	typeRaise    = "raise"
	typeRenew    = "renew"
	typeFreeze   = "freeze"
	typeThaw     = "thaw"
	typeTick     = "tick"
	typeRelease  = "release"
	typeResume   = "resume"
	typePromote  = "promote"
	typeRollBack = "rollback"
	typeAbort    = "abort"
	typeFinish   = "finish"
)

func encodeEntry(e rollout.Entry) ([]byte, error) {
	name := typeName(e.Command)
	if name == "" {
		return nil, fmt.Errorf("encode entry: %T is no command", e.Command)
	}
	command, err := json.Marshal(e.Command)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", name, err)
	}
	data, err := json.Marshal(envelope{Version: entryVersion, Type: name, Stamp: e.Stamp, Command: command})
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", name, err)
	}
	if len(data) > MaxEntry {
		return nil, fmt.Errorf("%w: %s has %d bytes, at most %d fit; shorten the spec or select hosts by fewer names",
			ErrTooLarge, name, len(data), MaxEntry)
	}
	return data, nil
}

// decodeEntry is strict: an entry that this version does not wholly understand
// is an error.
func decodeEntry(data []byte) (rollout.Entry, error) {
	var probe struct {
		Version int `json:"v"`
	}
	if err := json.Unmarshal(data, &probe); err != nil {
		return rollout.Entry{}, fmt.Errorf("it is no JSON: %w", err)
	}
	if probe.Version != entryVersion {
		return rollout.Entry{}, fmt.Errorf("it has version %d, this release knows %d", probe.Version, entryVersion)
	}
	var env envelope
	if err := statefile.Strict(data, &env); err != nil {
		return rollout.Entry{}, err
	}
	command, err := decodeCommand(env.Type, env.Command)
	if err != nil {
		return rollout.Entry{}, fmt.Errorf("command %.40q: %w", env.Type, err)
	}
	return rollout.Entry{Stamp: env.Stamp, Command: command}, nil
}

func typeName(c rollout.Command) string {
	switch c.(type) {
	case rollout.Submit:
		return typeSubmit
	case rollout.Refuse:
		return typeRefuse
	case rollout.Advance:
		return typeAdvance
	case rollout.Approve:
		return typeApprove
	case rollout.Pause:
		return typePause
	case rollout.Exclude:
		return typeExclude
	case rollout.Lose:
		return typeLose
	case rollout.Raise:
		return typeRaise
	case rollout.Renew:
		return typeRenew
	case rollout.Freeze:
		return typeFreeze
	case rollout.Thaw:
		return typeThaw
	case rollout.Tick:
		return typeTick
	case rollout.Release:
		return typeRelease
	case rollout.Resume:
		return typeResume
	case rollout.Promote:
		return typePromote
	case rollout.RollBack:
		return typeRollBack
	case rollout.Abort:
		return typeAbort
	case rollout.Finish:
		return typeFinish
	}
	return ""
}

func decodeCommand(name string, data []byte) (rollout.Command, error) {
	switch name {
	case typeSubmit:
		return commandOf[rollout.Submit](data)
	case typeRefuse:
		return commandOf[rollout.Refuse](data)
	case typeAdvance:
		return commandOf[rollout.Advance](data)
	case typeApprove:
		return commandOf[rollout.Approve](data)
	case typePause:
		return commandOf[rollout.Pause](data)
	case typeExclude:
		return commandOf[rollout.Exclude](data)
	case typeLose:
		return commandOf[rollout.Lose](data)
	case typeRaise:
		return commandOf[rollout.Raise](data)
	case typeRenew:
		return commandOf[rollout.Renew](data)
	case typeFreeze:
		return commandOf[rollout.Freeze](data)
	case typeThaw:
		return commandOf[rollout.Thaw](data)
	case typeTick:
		return commandOf[rollout.Tick](data)
	case typeRelease:
		return commandOf[rollout.Release](data)
	case typeResume:
		return commandOf[rollout.Resume](data)
	case typePromote:
		return commandOf[rollout.Promote](data)
	case typeRollBack:
		return commandOf[rollout.RollBack](data)
	case typeAbort:
		return commandOf[rollout.Abort](data)
	case typeFinish:
		return commandOf[rollout.Finish](data)
	}
	return nil, errors.New("this release does not know it")
}

func commandOf[C rollout.Command](data []byte) (rollout.Command, error) {
	var c C
	if len(data) == 0 || bytes.Equal(data, []byte("null")) {
		return nil, errors.New("it is empty")
	}
	if err := statefile.Strict(data, &c); err != nil {
		return nil, err
	}
	return c, nil
}
