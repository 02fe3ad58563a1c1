package control

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"sync"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// partSize keeps an answer, in which bytes are written in base64, well below
// what any NATS server lets through.
const partSize = 256 << 10

// Private

// backups holds the newest backup, while somebody reads it in parts.
type backups struct {
	mu   sync.Mutex
	made int
	last api.SnapshotPart // all of it
}

// readSnapshot answers get.snapshot[.<id>-<offset>].
func (s *server) readSnapshot(state *rollout.State, part string) ([]byte, error) {
	s.backups.mu.Lock()
	defer s.backups.mu.Unlock()
	if part == "" {
		if err := s.backUp(state); err != nil {
			return encode(refusef(rollout.CodeInvalid, "no backup can be made: %v", err))
		}
		return answer(partOf(s.backups.last, 0))
	}
	id, text, _ := strings.Cut(part, "-")
	offset, err := strconv.Atoi(text)
	switch {
	case err != nil || offset < 0:
		return encode(refusef(rollout.CodeInvalid, "%q is no part of a snapshot: write id-offset", part))
	case id != s.backups.last.ID || offset > s.backups.last.Size:
		return encode(refusef(rollout.CodeStale, "snapshot %s is not kept any more; begin again", id))
	}
	return answer(partOf(s.backups.last, offset))
}

func (s *server) backUp(state *rollout.State) error {
	data, err := s.Cluster.Backup(state)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	s.backups.made++
	s.backups.last = api.SnapshotPart{
		// Another leader's backups have other names.
		ID:    strconv.FormatUint(s.Term, 10) + "_" + strconv.Itoa(s.backups.made),
		Index: state.Index, Size: len(data), SHA256: hex.EncodeToString(sum[:]), Data: data,
	}
	return nil
}

func partOf(all api.SnapshotPart, offset int) api.SnapshotPart {
	all.Offset, all.Data = offset, all.Data[offset:min(offset+partSize, all.Size)]
	return all
}
