package main

import (
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// A replica that was killed after its log had been compacted starts again: a long run comes there.
func TestBareReplicaReturnsAfterItsLogWasCompacted(t *testing.T) {
	const peers = "b1=127.0.0.1:0"
	dir := t.TempDir()
	r, err := openBare("b1", dir, peers)
	if err != nil {
		t.Fatal(err)
	}
	for r.State() != raft.Leader {
		select {
		case <-r.LeaderCh():
		case <-time.After(time.Minute):
			t.Fatal("a group of one has no leader")
		}
	}
	var last raft.ApplyFuture
	for range raft.DefaultConfig().TrailingLogs + 100 {
		last = r.Apply(nil, 0)
	}
	if err := last.Error(); err != nil {
		t.Fatal(err)
	}
	if err := r.Snapshot().Error(); err != nil {
		t.Fatal(err)
	}
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	again, err := openBare("b1", dir, peers)
	if err != nil {
		t.Fatal(err)
	}
	if again.LastIndex() < last.Index() {
		t.Errorf("the log ends at %d, want %d", again.LastIndex(), last.Index())
	}
	if err := again.close(); err != nil {
		t.Fatal(err)
	}
}
