package coordinator

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/coordinator/replica"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/event"
	"github.com/serin-rollouts/serin/internal/porttest"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// A group with a bus of its own shrinks to one replica, which goes on with
// everything, also when it is restarted: triggers, decisions and events.
func TestAGroupShrinksToOne(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("runs in real time")
	}
	t.Run("by others", func(t *testing.T) {
		t.Parallel()
		shrink(t, func(_ string, others []string) string { return others[0] })
	})
	t.Run("by its leaders", func(t *testing.T) {
		t.Parallel()
		shrink(t, func(leader string, _ []string) string { return leader })
	})
}

func shrink(t *testing.T, choose func(leader string, others []string) string) {
	t.Helper()
	var listen, cluster, urls []string
	for range 3 {
		listen, cluster = append(listen, porttest.Address(t)), append(cluster, porttest.Address(t))
		urls = append(urls, "nats://"+listen[len(listen)-1])
	}
	replicas := startReplicas(t, t.TempDir(), func(i int) NATS {
		return NATS{Embed: true, Listen: listen[i], Cluster: cluster[i], Routes: cluster}
	})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	conn := dial(t, urls)
	startAgent(ctx, t, dial(t, urls), "web-1")
	whole := `,"gates":{"errors":"off"},"steps":[{"hosts":"100%","weight":"100%"}]`
	rolled := 0
	roll := func() {
		t.Helper()
		rolled++
		version := strconv.Itoa(rolled)
		triggerUntil(t, conn, api.Trigger{ID: version, Spec: specText("shop/checkout:"+version, whole)})
		wantEvent(t, conn, "checkout-"+version, rollout.KindSucceeded)
	}
	roll()
	for len(replicas) > 1 {
		leader := clusterOf(t, conn).Leader
		others := slices.DeleteFunc(slices.Sorted(maps.Keys(replicas)), func(id string) bool { return id == leader })
		gone := choose(leader, others)
		remove(t, conn, gone)
		replicas[gone].stop()
		if err := <-replicas[gone].ended; err != nil && !errors.Is(err, replica.ErrRemoved) {
			t.Errorf("%s ended with %v", gone, err)
		}
		delete(replicas, gone)
		roll()
	}
	for id, last := range replicas {
		last.stop()
		if err := <-last.ended; err != nil {
			t.Errorf("%s ended with %v", id, err)
		}
		ended := make(chan error, 1)
		go func() { ended <- Run(ctx, last.cfg) }()
		roll()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("%s ended with %v", id, err)
		}
	}
}

// remove repeats a removal until the group is without that replica.
func remove(t *testing.T, conn *bus.Conn, id string) {
	t.Helper()
	keepAsking(t, conn, bus.CommandSubject(api.Cluster, api.Remove), encodeJSON(t, api.Member{ID: id}), func(data []byte) bool {
		r, err := api.DecodeReply(data)
		return err == nil && (r.OK || r.Code == rollout.CodeUnknown)
	})
}

// wantEvent waits until observers see an event. Servers that have just lost one of
// them, or start, know of no stream for a moment.
func wantEvent(t *testing.T, conn *bus.Conn, id string, kind rollout.Kind) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	found := errors.New("found")
	for {
		err := conn.Events(ctx, bus.Filter{Follow: true}, func(m bus.EventMsg) error {
			e, err := event.Decode(m.Data)
			if err == nil && e.Rollout == id && e.Kind == kind {
				return found
			}
			return err
		})
		switch {
		case errors.Is(err, found):
			return
		case !errors.Is(err, bus.ErrNoStream) || ctx.Err() != nil:
			t.Fatalf("no event %s of %s: %v", kind, id, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}
