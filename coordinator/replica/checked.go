package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"runtime"
	"strings"

	"github.com/hashicorp/raft"
)

// The store below has no checksums for its content, so a flipped bit would be
// replicated, or a vote forgotten. These two wrappers add them.

const sumSize = 4 // bytes of a CRC-32C

// checkedLogs is a LogStore whose entries carry a checksum in their
// Extensions, which serin does not use otherwise.
type checkedLogs struct {
	raft.LogStore
	// found is told of damage, and of what could not be stored; it must not block.
	found func(error)
}

// StoreLog stores one entry.
func (c checkedLogs) StoreLog(l *raft.Log) error { return c.StoreLogs([]*raft.Log{l}) }

// StoreLogs stores entries with their checksums. The caller's entries stay as
// they are: others hold them.
func (c checkedLogs) StoreLogs(logs []*raft.Log) error {
	sealed := make([]*raft.Log, len(logs))
	for i, l := range logs {
		copied := *l
		copied.Extensions = sumLog(l)
		sealed[i] = &copied
	}
	if err := guarded(func() error { return c.LogStore.StoreLogs(sealed) }); err != nil {
		err = fmt.Errorf("%w: entries from %d: %w", ErrDisk, logs[0].Index, err)
		c.found(err)
		return err
	}
	return nil
}

// GetLog reads an entry and verifies its checksum. The error is raft.ErrLogNotFound
// or an ErrDamaged.
func (c checkedLogs) GetLog(index uint64, l *raft.Log) error {
	err := guarded(func() error { return c.LogStore.GetLog(index, l) })
	switch {
	case errors.Is(err, raft.ErrLogNotFound):
		return err
	case err != nil:
		err = fmt.Errorf("%w: entry %d cannot be read: %w", ErrDamaged, index, err)
	case l.Index != index || string(l.Extensions) != string(sumLog(l)):
		err = fmt.Errorf("%w: entry %d does not fit its checksum", ErrDamaged, index)
	default:
		l.Extensions = nil
		return nil
	}
	c.found(err)
	return err
}

// verify reads the whole log: nothing may be damaged or missing.
func (c checkedLogs) verify() (first, last uint64, err error) {
	if first, err = c.FirstIndex(); err != nil {
		return 0, 0, fmt.Errorf("%w: read first index: %w", ErrDamaged, err)
	}
	if last, err = c.LastIndex(); err != nil {
		return 0, 0, fmt.Errorf("%w: read last index: %w", ErrDamaged, err)
	}
	for index := first; first > 0 && index <= last; index++ {
		var l raft.Log
		if err := c.GetLog(index, &l); err != nil {
			return 0, 0, fmt.Errorf("%w: read entry %d of %d to %d: %w", ErrDamaged, index, first, last, err)
		}
	}
	return first, last, nil
}

// raftLogs is the LogStore as Raft's goroutines see it.
type raftLogs struct{ checkedLogs }

// GetLog does not return an entry's damage or absence to a caller of Raft's that would
// panic then. As in raftStable it ends that goroutine instead. To others, which
// replicate, it returns the error: these have more to close than what they have deferred.
func (r raftLogs) GetLog(index uint64, l *raft.Log) error {
	err := r.checkedLogs.GetLog(index, l)
	if err != nil && needsEntry() {
		r.found(fmt.Errorf("%w: entry %d is missing: %w", ErrDamaged, index, err)) // unless the damage was told before
		runtime.Goexit()
	}
	return err
}

// needsEntry reports whether it was called, however deep, for a function of Raft that
// panics without the entry it reads. Only Raft's stack tells.
func needsEntry() bool {
	var callers [16]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers[:])])
	for {
		frame, more := frames.Next()
		if strings.HasSuffix(frame.Function, "raft.(*Raft).processLogs") || strings.HasSuffix(frame.Function, "raft.NewRaft") {
			return true
		}
		if !more {
			return false
		}
	}
}

func sumLog(l *raft.Log) []byte {
	var head [17]byte
	binary.BigEndian.PutUint64(head[0:], l.Index)
	binary.BigEndian.PutUint64(head[8:], l.Term)
	head[16] = byte(l.Type)
	return sum(head[:], l.Data)
}

func sum(parts ...[]byte) []byte {
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	for _, p := range parts {
		_, _ = h.Write(p) // a hash never fails
	}
	return h.Sum(nil)
}

// checkedStable is a StableStore (term and vote) with checksums.
type checkedStable struct {
	raft.StableStore
	found func(error)
}

// Set stores a value with the checksum of key and value.
func (c checkedStable) Set(key, value []byte) error {
	sealed := append(append([]byte(nil), value...), sum(key, value)...)
	if err := guarded(func() error { return c.StableStore.Set(key, sealed) }); err != nil {
		err = fmt.Errorf("%w: %s: %w", ErrDisk, key, err)
		c.found(err)
		return err
	}
	return nil
}

// Get reads a value and verifies its checksum.
func (c checkedStable) Get(key []byte) ([]byte, error) {
	var sealed []byte
	err := guarded(func() (err error) {
		sealed, err = c.StableStore.Get(key)
		return err
	})
	if err != nil {
		return nil, err
	}
	at := len(sealed) - sumSize
	if at < 0 || string(sum(key, sealed[:at])) != string(sealed[at:]) {
		err := fmt.Errorf("%w: %s does not fit its checksum", ErrDamaged, key)
		c.found(err)
		return nil, err
	}
	return sealed[:at], nil
}

// SetUint64 stores a number.
func (c checkedStable) SetUint64(key []byte, n uint64) error {
	return c.Set(key, binary.BigEndian.AppendUint64(nil, n))
}

// GetUint64 reads a number.
func (c checkedStable) GetUint64(key []byte) (uint64, error) {
	value, err := c.Get(key)
	if err != nil {
		return 0, err
	}
	if len(value) != 8 {
		return 0, fmt.Errorf("%w: %s is no number", ErrDamaged, key)
	}
	return binary.BigEndian.Uint64(value), nil
}

// raftStable is the StableStore as Raft's goroutines see it.
type raftStable struct{ checkedStable }

// SetUint64 does not return if the number cannot be stored: Raft would panic if
// that is its term. It ends the goroutine that calls it instead, with what that has
// deferred, since whoever runs the replica has just been told to end it.
func (s raftStable) SetUint64(key []byte, n uint64) error {
	if err := s.checkedStable.SetUint64(key, n); err != nil {
		runtime.Goexit()
	}
	return nil
}

// Keys of Raft in the stable store.
const (
	keyTerm     = "CurrentTerm"
	keyVoteTerm = "LastVoteTerm"
	keyVote     = "LastVoteCand"
)

// verify reads everything that Raft keeps here. It returns the current term.
func (c checkedStable) verify() (term uint64, err error) {
	if term, err = c.GetUint64([]byte(keyTerm)); err != nil && !absent(err) {
		return 0, err
	}
	if _, err = c.GetUint64([]byte(keyVoteTerm)); err != nil && !absent(err) {
		return 0, err
	}
	if _, err = c.Get([]byte(keyVote)); err != nil && !absent(err) {
		return 0, err
	}
	return term, nil
}

// absent reports whether a stable store has nothing under a key. Stores agree
// on the text only; Raft asks the same way.
func absent(err error) bool {
	return err != nil && !errors.Is(err, ErrDamaged) && err.Error() == "not found"
}
