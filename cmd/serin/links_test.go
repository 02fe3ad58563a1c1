package main

import (
	"os/exec"
	"strings"
	"testing"
)

// TestLinks keeps the tool small: it talks to the bus and runs neither a
// server nor a replica.
func TestLinks(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	for path := range strings.Lines(string(out)) {
		for _, heavy := range []string{"github.com/nats-io/nats-server", "github.com/hashicorp/raft", "go.etcd.io/bbolt"} {
			if strings.HasPrefix(path, heavy) {
				t.Errorf("serin links %s", strings.TrimSpace(path))
			}
		}
	}
}
