// Package statefile is the form of what the replicas agree on, in their snapshots
// and in backups: a line that describes it, with a checksum, and the state in JSON.
package statefile

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/serin-rollouts/serin/internal/rollout"
)

const (
	snapshotFormat = 1
	// maxSnapshot bounds what a peer can make this replica read, in bytes. A
	// fleet's state is some megabytes.
	maxSnapshot = 1 << 30
	maxHeader   = 1 << 10
)

// header is the first line of a snapshot; the state follows in JSON.
type header struct {
	Format int    `json:"format"`
	Size   int    `json:"size"` // bytes of the state
	SHA256 string `json:"sha256"`
}

// Encode renders a snapshot. The same state gives the same bytes on every
// replica: encoding/json sorts the keys of maps.
func Encode(s *rollout.State) ([]byte, error) {
	body, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode state: %w", err)
	}
	sum := sha256.Sum256(body)
	head, err := json.Marshal(header{Format: snapshotFormat, Size: len(body), SHA256: hex.EncodeToString(sum[:])})
	if err != nil {
		return nil, fmt.Errorf("encode snapshot header: %w", err)
	}
	return append(append(head, '\n'), body...), nil
}

// Decode reads a snapshot and refuses one that is damaged, incomplete, or
// of a newer release.
func Decode(r io.Reader) (*rollout.State, error) {
	in := bufio.NewReaderSize(r, maxHeader)
	line, err := in.ReadSlice('\n')
	if err != nil {
		return nil, fmt.Errorf("read snapshot header: %w", err)
	}
	head, err := decodeHeader(line)
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	if _, err = io.Copy(&body, io.LimitReader(in, int64(head.Size)+1)); err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	sum := sha256.Sum256(body.Bytes())
	if body.Len() != head.Size || hex.EncodeToString(sum[:]) != head.SHA256 {
		return nil, errors.New("snapshot is damaged: its checksum does not fit")
	}
	s := rollout.NewState()
	if err = Strict(body.Bytes(), s); err != nil {
		return nil, fmt.Errorf("snapshot was written by another release, which this one does not understand: %w", err)
	}
	if s.Services == nil {
		return nil, errors.New("snapshot has no services")
	}
	for name, svc := range s.Services {
		if svc == nil || svc.Name != name {
			return nil, fmt.Errorf("snapshot has no service under the name %q", name)
		}
	}
	s.Reindex()
	return s, nil
}

// Strict decodes one JSON value with nothing unknown in it and nothing after it.
func Strict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows after its end")
	}
	return nil
}

// Private

func decodeHeader(line []byte) (header, error) {
	var head header
	if err := json.Unmarshal(line, &head); err != nil {
		return head, fmt.Errorf("read snapshot header: %w", err)
	}
	switch {
	case head.Format > snapshotFormat:
		return head, fmt.Errorf("snapshot was written by a newer release (format %d, this one knows %d): upgrade this replica", head.Format, snapshotFormat)
	case head.Format < 1 || head.Size < 0 || head.Size > maxSnapshot:
		return head, errors.New("snapshot is damaged: its header makes no sense")
	}
	return head, nil
}
