package wire

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
)

// marshal renders m the same way every time, and refuses what the other side
// would refuse for its size.
func marshal(what string, limit int, m proto.Message) ([]byte, error) {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", what, err)
	}
	if len(data) > limit {
		return nil, fmt.Errorf("encode %s: it has %d bytes, at most %d fit", what, len(data), limit)
	}
	return data, nil
}

func unmarshal(what string, limit int, data []byte, m proto.Message) error {
	if len(data) > limit {
		return fmt.Errorf("decode %s: it has %d bytes, at most %d are accepted", what, len(data), limit)
	}
	if err := proto.Unmarshal(data, m); err != nil {
		return fmt.Errorf("decode %s: %w", what, err)
	}
	return nil
}

// millis rounds up: a bound that is not a whole number of milliseconds gets
// longer on its way, never shorter.
func millis(d time.Duration) int64 {
	ms := d.Milliseconds()
	if time.Duration(ms)*time.Millisecond < d {
		ms++
	}
	return ms
}

// duration is the inverse of millis. What does not fit into a Duration becomes
// negative, so that the check that follows refuses it.
func duration(ms int64) time.Duration {
	if ms > int64(maxDuration/time.Millisecond) || ms < 0 {
		return -1
	}
	return time.Duration(ms) * time.Millisecond
}

// small converts a count from the wire. What is too large to be one becomes
// negative, so that the check that follows refuses it.
func small(n uint32) int {
	if n > maxNumber {
		return -1
	}
	return int(n)
}
