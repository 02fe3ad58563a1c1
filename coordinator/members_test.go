package coordinator

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/raft"

	"github.com/serin-rollouts/serin/coordinator/control"
	"github.com/serin-rollouts/serin/coordinator/replica"
)

// A lone replica says that there is nobody to hand over to (Raft would say that it
// cannot find a peer), and that it cannot be moved while it leads.
func TestTransferWithoutAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		address, transport := raft.NewInmemTransport("c1:7311")
		stores := raft.NewInmemStore()
		r, err := replica.Open(t.Context(), replica.Config{
			ID: "c1", Listen: string(address), Peers: []replica.Peer{{ID: "c1", Address: string(address)}},
			Transport: transport, Logs: stores, Stable: stores, Snapshots: raft.NewInmemSnapshotStore(), Log: testLog(),
		})
		if err != nil {
			t.Fatal(err)
		}
		refused := errors.New("as it should be")
		err = r.Lead(t.Context(), func(ctx context.Context, _ uint64) error {
			err := members{Replica: r, log: testLog()}.Transfer(ctx, "")
			if !errors.Is(err, control.ErrImpossible) || !strings.Contains(err.Error(), "there is no other replica to lead") {
				t.Errorf("transfer: %v", err)
			}
			err = members{Replica: r, log: testLog()}.Add(ctx, "c1", "elsewhere:7311")
			if !errors.Is(err, control.ErrImpossible) || !strings.Contains(err.Error(), "transfer the leadership first") {
				t.Errorf("move: %v", err)
			}
			return refused
		})
		if !errors.Is(err, refused) {
			t.Errorf("lead: %v", err)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
