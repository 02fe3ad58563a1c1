package coordinator

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/serin-rollouts/serin/coordinator/replica"
	"github.com/serin-rollouts/serin/internal/durable"
)

// Salvage writes a backup of all that the directory of a replica holds, which
// must not run. It is for a group that has lost its majority for good: one that
// still has it gives a better backup over the bus.
func Salvage(cfg Config, out io.Writer) (err error) {
	release, err := durable.Lock(cfg.Data)
	if err != nil {
		return fmt.Errorf("salvage: stop this replica first: %w", err)
	}
	defer func() { err = keepFirst(err, release()) }()
	s, err := replica.Salvage(raftDir(cfg))
	if err != nil {
		return err
	}
	data, err := replica.Backup(s)
	if err != nil {
		return fmt.Errorf("salvage: %w", err)
	}
	if _, err := out.Write(data); err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	cfg.Log.Info().Uint64("index", s.Index).Int("services", len(s.Services)).Msg("salvaged")
	return nil
}

// Restore makes the directory of this replica, which must be empty, that of a
// member of a new group, made of the configured peers, with the state of a
// backup. All peers restore the same backup before any of them starts.
func Restore(cfg Config, in io.Reader) (err error) {
	release, err := durable.Lock(cfg.Data)
	if err != nil {
		return fmt.Errorf("restore: stop this replica first: %w", err)
	}
	defer func() { err = keepFirst(err, release()) }()
	peers, err := cfg.Raft.peers()
	if err != nil {
		return err
	}
	s, err := replica.Restore(replica.Config{
		ID: cfg.ID, Dir: raftDir(cfg), Peers: peers, Join: cfg.Raft.Join, Log: cfg.Log,
	}, in)
	if err != nil {
		return err
	}
	cfg.Log.Info().Uint64("index", s.Index).Int("services", len(s.Services)).Int("peers", len(peers)).
		Msg("restored; start this replica when all peers are restored")
	return nil
}

// Private

func raftDir(cfg Config) string { return filepath.Join(cfg.Data, "raft") }

func keepFirst(first, second error) error {
	if first != nil {
		return first
	}
	return second
}
