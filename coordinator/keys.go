package coordinator

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/serin-rollouts/serin/internal/bus"
)

// A trigger is known by what the sender calls it, or else by its place in the
// stream; never by its content, for asking twice for the same may be meant.
//
//	id:<service>:<id>                the trigger's id, a CloudEvent's source and
//	                                 id, or the Nats-Msg-Id, in this order
//	stream:<sequence>@<nanoseconds>  when the stream stored it and as which; the
//	                                 time tells a stream apart from one that was
//	                                 made anew, and decides nothing

// keyOfID returns the key of a trigger that its sender named.
func keyOfID(service, id string) string {
	const longest = 128
	if len(id) > longest {
		id = contentHash(service, []byte(id))
	}
	return "id:" + service + ":" + id
}

// keyOfPlace returns the key of a stored trigger that nobody named.
func keyOfPlace(t bus.Trigger) string {
	return "stream:" + strconv.FormatUint(t.StreamSeq, 10) + "@" + strconv.FormatInt(t.At.UnixNano(), 10)
}

// contentHash matches a request that has no id with its own stored copy.
func contentHash(service string, data []byte) string {
	h := sha256.New()
	h.Write([]byte(service))
	h.Write([]byte{0})
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil))
}
