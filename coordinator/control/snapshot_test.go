package control

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// large is a cluster whose backups take several parts.
type large struct{ alone }

func (large) Backup(s *rollout.State) ([]byte, error) {
	return bytes.Repeat(fmt.Append(nil, s.Index, " "), partSize), nil
}

func TestSnapshotIsReadInParts(t *testing.T) {
	s := &server{Config: Config{ID: "c1", Term: 3, Cluster: large{}}}
	state := &rollout.State{Index: 42}
	read := func(part string) (api.SnapshotPart, error) {
		t.Helper()
		data, err := s.read(t.Context(), api.GetSnapshot, part, nil, View{})
		if err != nil {
			t.Fatal(err)
		}
		return api.DecodeAnswer[api.SnapshotPart](data)
	}
	s.Leader = still{state: state}
	first, err := read("")
	if err != nil {
		t.Fatal(err)
	}
	all := bytes.Clone(first.Data)
	for len(all) < first.Size {
		next, err := read(fmt.Sprintf("%s-%d", first.ID, len(all)))
		if err != nil || next.Offset != len(all) || len(next.Data) == 0 || len(next.Data) > partSize {
			t.Fatalf("part at %d: %v, %d bytes at %d", len(all), err, len(next.Data), next.Offset)
		}
		all = append(all, next.Data...)
		state.Index++ // the state goes on; the backup does not
	}
	want, _ := large{}.Backup(&rollout.State{Index: 42})
	if !bytes.Equal(all, want) || first.Index != 42 {
		t.Errorf("%d bytes of entry %d, want %d of 42", len(all), first.Index, len(want))
	}
	if _, err := read(""); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{first.ID + "-0", "nonsense", first.ID + "--1", "3_2-99999999"} {
		if part, err := read(bad); err == nil {
			t.Errorf("%s: read %d bytes of %s", bad, len(part.Data), part.ID)
		}
	}
}

// still is a leader of which only the state is asked.
type still struct {
	Leader

	state *rollout.State
}

func (s still) State() *rollout.State { return s.state }
