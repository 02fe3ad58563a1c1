package coordinator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/coordinator/replica"
	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/bus/embed"
	"github.com/serin-rollouts/serin/internal/durable"
	"github.com/serin-rollouts/serin/internal/porttest"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// Three coordinators with Raft over TCP on a bus of the user's own: the leader
// is told to stop in the middle of a rollout, and another takes it to its end.
func TestRunHandsOver(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("runs in real time")
	}
	dir := t.TempDir()
	server, err := embed.Start(t.Context(), embed.Config{
		Name: "bus", Listen: "127.0.0.1:0", Dir: filepath.Join(dir, "nats"), Log: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
	}()
	handOver(t, dir, func(int) NATS { return NATS{URLs: []string{server.URL()}} }, server.URL())
}

// The same with the servers embedded: with the leader a third of the bus goes.
func TestRunHandsOverWithItsBus(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("runs in real time")
	}
	var listen, cluster, urls []string
	for range 3 {
		listen, cluster = append(listen, porttest.Address(t)), append(cluster, porttest.Address(t))
		urls = append(urls, "nats://"+listen[len(listen)-1])
	}
	handOver(t, t.TempDir(), func(i int) NATS {
		return NATS{Embed: true, Listen: listen[i], Cluster: cluster[i], Routes: cluster}
	}, urls...)
}

func handOver(t *testing.T, dir string, nats func(int) NATS, urls ...string) {
	t.Helper()
	replicas := startReplicas(t, dir, nats)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	conn := dial(t, urls)
	for i := range 3 {
		startAgent(ctx, t, dial(t, urls), fmt.Sprintf("web-%d", i+1))
	}
	steps := `,"gates":{"errors":"off"},"steps":[{"hosts":1,"weight":"10%","hold":"1s"},{"hosts":"100%","weight":"100%"}]`
	triggerUntil(t, conn, api.Trigger{ID: "1", Spec: specText("shop/checkout:1", steps)})
	ended(t, conn, "checkout-1")
	triggerUntil(t, conn, api.Trigger{ID: "2", Image: "shop/checkout:2"})
	leader := clusterOf(t, conn).Leader
	standUntil(t, conn, nats(0).Embed, "")
	examined(t, conn, "")
	replicas[leader].stop()
	if err := <-replicas[leader].ended; err != nil {
		t.Fatalf("%s ended with %v", leader, err)
	}
	if r := ended(t, conn, "checkout-2"); r.Phase != rollout.Succeeded {
		t.Errorf("ended %s: %s", r.Phase, r.Text)
	}
	if next := clusterOf(t, conn).Leader; next == leader {
		t.Errorf("%s still leads", leader)
	}
	standUntil(t, conn, nats(0).Embed, leader)
	examined(t, conn, leader)
	stop()
	for id, r := range replicas {
		r.stop()
		if err := <-r.ended; err != nil && id != leader {
			t.Errorf("%s ended with %v", id, err)
		}
	}
}

// running is a coordinator that runs.
type running struct {
	stop  context.CancelFunc
	ended chan error
	cfg   Config
}

func startReplicas(t *testing.T, dir string, nats func(int) NATS) map[string]running {
	t.Helper()
	var peers []string
	for i := range 3 {
		peers = append(peers, fmt.Sprintf("c%d=%s", i+1, porttest.Address(t)))
	}
	replicas := map[string]running{}
	for i, peer := range peers {
		id := fmt.Sprintf("c%d", i+1)
		ctx, stop := context.WithCancel(t.Context())
		r := running{stop: stop, ended: make(chan error, 2)}
		cfg := Config{
			ID: id, Data: filepath.Join(dir, id), Log: testLog(),
			NATS: nats(i),
			Raft: Raft{Listen: peer[len(id)+1:], Peers: peers},
		}
		r.cfg = cfg
		go func() {
			r.ended <- Run(ctx, cfg)
			close(r.ended)
		}()
		t.Cleanup(stop)
		replicas[id] = r
	}
	return replicas
}

func dial(t *testing.T, urls []string) *bus.Conn {
	t.Helper()
	c, err := bus.Connect(t.Context(), bus.Config{Name: t.Name(), URLs: urls, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// patience is generous: test machines are slow and shared.
const patience = 3 * time.Minute

// keepAsking repeats a request until somebody answers with what f takes.
func keepAsking(t *testing.T, conn *bus.Conn, subject string, body []byte, f func([]byte) bool) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	var last []byte
	for ctx.Err() == nil {
		bounded, done := context.WithTimeout(ctx, 10*time.Second)
		m, err := conn.Request(bounded, subject, body)
		done()
		if err == nil && f(m.Data) {
			return
		}
		if err == nil {
			last = m.Data
		}
		away := errors.Is(err, bus.ErrNoResponders) || errors.Is(err, bus.ErrNotConnected) || errors.Is(err, context.DeadlineExceeded)
		if stopping, ok := errors.AsType[*bus.ServiceError](err); ok && stopping.Code == bus.CodeStopping {
			away = true // the next leader answers
		}
		if err != nil && !away {
			t.Fatal(err)
		}
		pause(ctx, 100*time.Millisecond)
	}
	t.Fatalf("no such answer on %s within %s; the last was %s", subject, patience, last)
}

func triggerUntil(t *testing.T, conn *bus.Conn, trigger api.Trigger) {
	t.Helper()
	keepAsking(t, conn, bus.TriggerSubject(checkout), encodeJSON(t, trigger), func(data []byte) bool {
		r, err := api.DecodeReply(data)
		if err != nil || (!r.OK && r.Code != rollout.CodeBusy) { // with an id it may be repeated
			t.Fatalf("trigger: %v, %+v", err, r)
		}
		return r.OK
	})
}

func ended(t *testing.T, conn *bus.Conn, id string) api.RolloutDetail {
	t.Helper()
	var d api.RolloutDetail
	keepAsking(t, conn, bus.GetSubject(api.GetRollout, id), nil, func(data []byte) bool {
		var err error
		d, err = api.DecodeAnswer[api.RolloutDetail](data)
		return err == nil && d.Phase.Final()
	})
	return d
}

// standUntil asks for the replicas until each but the one that is gone has said how
// it stands.
func standUntil(t *testing.T, conn *bus.Conn, embedded bool, gone string) {
	t.Helper()
	well := func(m api.ClusterMember) bool {
		s := m.Standing
		if m.ID == gone || s == nil {
			return m.ID == gone && s == nil
		}
		return s.Applied > 0 && s.Applied <= s.Last && (s.Role == "leader") == m.Leader && (s.Contact == 0 || !m.Leader) &&
			s.NATS != "" && s.Embedded == embedded && s.Streams == embedded && (s.Peers == 3) == embedded
	}
	keepAsking(t, conn, bus.GetSubject(api.GetCluster, ""), nil, func(data []byte) bool {
		status, err := api.DecodeAnswer[api.ClusterStatus](data)
		return err == nil && len(status.Members) == 3 && !slices.ContainsFunc(status.Members, func(m api.ClusterMember) bool { return !well(m) })
	})
}

// examined asks every replica how it stands, and the leader for what it finds: of the
// replicas that the one fails that is gone, and no other.
func examined(t *testing.T, conn *bus.Conn, gone string) {
	t.Helper()
	ctx, enough := context.WithTimeout(t.Context(), time.Minute)
	defer enough()
	heard := map[string]bool{}
	if err := conn.Gather(ctx, bus.GetSubject(api.GetStanding, ""), nil, func(m bus.Msg) bool {
		s, err := api.DecodeAnswer[api.Standing](m.Data)
		if err != nil || s.Disk == nil || s.Level == 0 || s.Role == "" {
			t.Errorf("standing: %v, %s", err, m.Data)
		}
		heard[s.ID] = true
		return len(heard) < 2 || gone == "" && len(heard) < 3
	}); err != nil || heard[gone] {
		t.Errorf("standings of %v: %v", heard, err)
	}
	keepAsking(t, conn, bus.GetSubject(api.GetCheckup, ""), nil, func(data []byte) bool {
		up, err := api.DecodeAnswer[api.Checkup](data)
		return err == nil && up.Leader != "" && len(up.Checks) > 4 && !slices.ContainsFunc(up.Checks, func(k api.Check) bool {
			return strings.HasPrefix(k.About, "replica ") && (k.Grade == api.GradeFail) != (k.About == "replica "+gone)
		})
	})
}

func clusterOf(t *testing.T, conn *bus.Conn) api.ClusterStatus {
	t.Helper()
	var status api.ClusterStatus
	keepAsking(t, conn, bus.GetSubject(api.GetCluster, ""), nil, func(data []byte) bool {
		var err error
		status, err = api.DecodeAnswer[api.ClusterStatus](data)
		return err == nil
	})
	return status
}

// A replica that is started on another's directory leaves all of it alone.
func TestRunTouchesNothingOfAnother(t *testing.T) {
	data := t.TempDir()
	if err := replica.Claim(filepath.Join(data, "raft"), "c1"); err != nil {
		t.Fatal(err)
	}
	err := Run(t.Context(), Config{
		ID: "c9", Data: data,
		NATS: NATS{Embed: true, Listen: "127.0.0.1:0"},
		Raft: Raft{Listen: "127.0.0.1:7311", Peers: []string{"c9=127.0.0.1:7311"}},
	})
	if !errors.Is(err, replica.ErrDirectory) {
		t.Errorf("got %v, want a refusal of the directory", err)
	}
	if _, err := os.Stat(filepath.Join(data, "nats")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the embedded server has been there: %v", err)
	}
}

// A second process on a replica's directory leaves all of it alone, the streams
// of the running server above all.
func TestRunIsAloneInItsDirectory(t *testing.T) {
	data := t.TempDir()
	release, err := durable.Lock(data)
	if err != nil {
		t.Fatal(err)
	}
	err = Run(t.Context(), Config{
		ID: "c1", Data: data,
		NATS: NATS{Embed: true, Listen: "127.0.0.1:0"},
		Raft: Raft{Listen: "127.0.0.1:7311", Peers: []string{"c1=127.0.0.1:7311"}},
	})
	if !errors.Is(err, durable.ErrInUse) {
		t.Errorf("got %v, want a refusal of the directory", err)
	}
	if left, err := os.ReadDir(data); err != nil || len(left) > 0 {
		t.Errorf("it has been there: %v, %v", left, err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}
