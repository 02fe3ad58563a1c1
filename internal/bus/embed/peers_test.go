package embed_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/bus/embed"
)

// peers starts four servers in this process, each of which a test may shut down.
func peers(t *testing.T) []*embed.Server {
	t.Helper()
	ports := freePorts(t, 4)
	servers := make([]*embed.Server, 0, len(ports))
	for i, name := range []string{"c1", "c2", "c3", "c4"} {
		servers = append(servers, start(t, embed.Config{
			Name: name, Dir: t.TempDir(), Listen: "127.0.0.1:0",
			Cluster: ports[i], Routes: ports, Log: zerolog.Nop(),
		}))
	}
	eventually(t, "four peers", func() bool { return servers[0].Peers() == 4 })
	return servers
}

func streamLeader(t *testing.T, s *embed.Server) string {
	t.Helper()
	return streamInfo(t, bus.EventsStream, nats.InProcessServer(s)).Cluster.Leader
}

func TestARemovedPeerCountsForNothing(t *testing.T) {
	t.Parallel()
	servers := peers(t)
	conns := map[string]*bus.Conn{}
	for _, s := range servers {
		conns[s.Name()] = connect(t, bus.Config{InProcess: s})
	}
	ctx := timeout(t, 3*patience)
	first := conns["c1"]
	if err := first.EnsureStreams(ctx, 3); err != nil {
		t.Fatal(err)
	}
	publish := func(c *bus.Conn, seq uint64) {
		t.Helper()
		if err := (&publisher{conn: c, next: seq}).publish(ctx, seq); err != nil {
			t.Fatal(err)
		}
	}
	publish(first, 1)

	// One that keeps a copy goes while it runs, one that did is shut down.
	gone := streamLeader(t, servers[0])
	var left []*embed.Server
	for _, s := range servers {
		if s.Name() != gone {
			left = append(left, s)
		}
	}
	if err := left[0].RemovePeer(ctx, gone); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it to be no peer", func() bool { // once a majority has agreed
		err := left[0].RemovePeer(ctx, gone)
		if err != nil && !errors.Is(err, embed.ErrNoPeer) {
			t.Fatalf("removed again: %v", err)
		}
		return err != nil
	})
	began := time.Now()
	copies := func() int { return min(3, left[0].Peers()) }
	if err := conns[left[0].Name()].AwaitCopies(ctx, gone, copies); err != nil {
		t.Fatal(err)
	}
	t.Logf("copies are complete after %s", time.Since(began).Round(time.Millisecond))
	for _, s := range servers {
		if s.Name() == gone || s == left[1] {
			if err := s.Shutdown(); err != nil {
				t.Fatal(err)
			}
		}
	}
	publish(conns[left[0].Name()], 2)

	// Now a dead one; two of two are left.
	if err := left[0].RemovePeer(ctx, left[1].Name()); err != nil {
		t.Fatal(err)
	}
	if err := conns[left[0].Name()].AwaitCopies(ctx, left[1].Name(), copies); err != nil {
		t.Fatal(err)
	}
	publish(conns[left[2].Name()], 3)
	if last, err := conns[left[0].Name()].LastEvent(ctx); last != 3 || err != nil {
		t.Errorf("last event %d, %v", last, err)
	}
}

func TestTheSystemAccountIsClosed(t *testing.T) {
	ports := freePorts(t, 2)
	s := start(t, embed.Config{
		Name: "c1", Dir: t.TempDir(), Listen: "127.0.0.1:0", Cluster: ports[0], Routes: ports, Log: zerolog.Nop(),
	})
	if _, err := nats.Connect(s.URL(), nats.UserInfo("serin-system", "guess"), nats.Timeout(patience)); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("a guess: %v", err)
	}
	nc, err := nats.Connect(s.URL(), nats.UserInfo("anybody", "x"), nats.Timeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.RequestWithContext(timeout(t, patience), "$SYS.REQ.SERVER.PING", nil); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("a client asks the system: %v", err)
	}
}

// The last server of a cluster keeps its events when it is restarted, alone, and
// when others join it again after that.
func TestTheLastPeerRestartsAlone(t *testing.T) {
	t.Parallel()
	ports := freePorts(t, 3)
	var configs []embed.Config
	servers := map[string]*embed.Server{}
	for i, name := range []string{"c1", "c2", "c3"} {
		configs = append(configs, embed.Config{
			Name: name, Dir: t.TempDir(), Listen: "127.0.0.1:0", Cluster: ports[i], Routes: ports, Log: zerolog.Nop(),
		})
		servers[name] = start(t, configs[i])
	}
	ctx := timeout(t, 3*patience)
	publish := func(s *embed.Server, copies int, upTo uint64) {
		t.Helper()
		if err := s.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		c := connect(t, bus.Config{InProcess: s})
		if err := c.EnsureStreams(ctx, copies); err != nil {
			t.Fatal(err)
		}
		if err := (&publisher{conn: c, next: upTo - 4}).publish(ctx, upTo); err != nil {
			t.Fatal(err)
		}
		var seen []uint64
		if err := c.Events(ctx, bus.Filter{}, func(m bus.EventMsg) error { seen = append(seen, m.Seq); return nil }); err != nil {
			t.Fatal(err)
		}
		if uint64(len(seen)) != upTo || seen[0] != 1 || seen[upTo-1] != upTo {
			t.Fatalf("events: %v, want 1 to %d", seen, upTo)
		}
	}
	last := servers["c1"]
	eventually(t, "three peers", func() bool { return last.Peers() == 3 })
	publish(last, 3, 5)
	for i, gone := range []string{"c3", "c2"} {
		if err := last.RemovePeer(ctx, gone); err != nil {
			t.Fatal(err)
		}
		if err := connect(t, bus.Config{InProcess: last}).AwaitCopies(ctx, gone, func() int { return 2 - i }); err != nil {
			t.Fatal(err)
		}
		if err := servers[gone].Shutdown(); err != nil {
			t.Fatal(err)
		}
		publish(last, 3, uint64(10+5*i))
	}
	for i := range uint64(2) { // it stays alone
		if err := last.Shutdown(); err != nil {
			t.Fatal(err)
		}
		if last = start(t, configs[0]); !last.Alone() {
			t.Fatal("it waits for routes")
		}
		publish(last, 1, 20+5*i)
	}
	if err := last.Shutdown(); err != nil {
		t.Fatal(err)
	}
	start(t, embed.Config{
		Name: "c4", Dir: t.TempDir(), Listen: "127.0.0.1:0", Cluster: freePorts(t, 1)[0], Routes: ports[:1], Log: zerolog.Nop(),
	})
	if last = start(t, configs[0]); last.Alone() {
		t.Fatal("it is alone beside another")
	}
	eventually(t, "two peers", func() bool { return last.Peers() == 2 })
	publish(last, 3, 30)
}
