package embed_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/bus/embed"
	"github.com/serin-rollouts/serin/internal/identity"
	"github.com/serin-rollouts/serin/internal/identity/identitytest"
	"github.com/serin-rollouts/serin/internal/porttest"
)

// childConfig in the environment makes this test binary a server, so that a
// test can kill one as a power cut would.
const childConfig = "SERIN_TEST_EMBED"

func TestMain(m *testing.M) {
	if raw := os.Getenv(childConfig); raw != "" {
		os.Exit(child(raw))
	}
	flag.Parse()
	// The parallel tests wait for elections far more than they compute.
	if err := flag.Set("test.parallel", "4"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// child runs a server until its standard input ends: it cannot outlive the test.
func child(raw string) int {
	var cfg embed.Config
	if err := json.Unmarshal([]byte(raw), &cfg); err != nil {
		fmt.Println(err)
		return 1
	}
	cfg.Log = zerolog.New(os.Stderr).Level(zerolog.WarnLevel).With().Str("server", cfg.Name).Logger()
	s, err := embed.Start(context.Background(), cfg)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("started")
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := s.Shutdown(); err != nil {
		return 1
	}
	return 0
}

// cluster is three servers, each a process of its own.
type cluster struct {
	configs  []embed.Config
	children map[string]*process
	client   identity.Files
}

type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	ca := identitytest.New(t)
	ports := freePorts(t, 6)
	c := &cluster{children: map[string]*process{}, client: ca.Leaf(t, "client")}
	for i := range 3 {
		name := fmt.Sprintf("c%d", i+1)
		c.configs = append(c.configs, embed.Config{
			Name:    name,
			Dir:     t.TempDir(),
			Listen:  ports[i],
			Cluster: ports[3+i],
			Routes:  ports[3:],
			TLS:     ca.Leaf(t, name),
		})
	}
	for _, cfg := range c.configs {
		c.start(t, cfg.Name)
	}
	t.Cleanup(func() {
		for name := range c.children {
			c.stop(t, name)
		}
	})
	return c
}

func (c *cluster) start(t *testing.T, name string) {
	t.Helper()
	i := slices.IndexFunc(c.configs, func(cfg embed.Config) bool { return cfg.Name == name })
	raw, err := json.Marshal(struct { // a logger has no JSON
		embed.Config
		Log any `json:",omitempty"`
	}{Config: c.configs[i]})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childConfig+"="+string(raw))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.children[name] = &process{cmd: cmd, stdin: stdin}
	line, _ := bufio.NewReader(stdout).ReadString('\n')
	if strings.TrimSpace(line) != "started" {
		t.Fatalf("server %s: %s", name, line)
	}
}

// stop ends a server as a service manager would.
func (c *cluster) stop(t *testing.T, name string) {
	t.Helper()
	p := c.children[name]
	delete(c.children, name)
	if err := errors.Join(p.stdin.Close(), p.cmd.Wait()); err != nil {
		t.Errorf("server %s: %v", name, err)
	}
}

// kill ends a server as a power cut would.
func (c *cluster) kill(t *testing.T, name string) {
	t.Helper()
	p := c.children[name]
	delete(c.children, name)
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait() // says that it was killed
}

func (c *cluster) connect(t *testing.T) *bus.Conn {
	t.Helper()
	return connect(t, bus.Config{URLs: c.urls(), TLS: c.client, ReconnectJitter: 100 * time.Millisecond})
}

func (c *cluster) urls() []string {
	var urls []string
	for _, cfg := range c.configs {
		urls = append(urls, "nats://"+cfg.Listen)
	}
	return urls
}

// leader returns the server that leads a stream.
func (c *cluster) leader(t *testing.T, name string) string {
	t.Helper()
	tlsConfig, err := c.client.Config()
	if err != nil {
		t.Fatal(err)
	}
	info := streamInfo(t, name, nats.Secure(tlsConfig), func(o *nats.Options) error { o.Servers = c.urls(); return nil })
	if info.Config.Replicas != 3 || len(info.Cluster.Replicas) != 2 {
		t.Fatalf("stream %s is not kept by three: %+v", name, info.Cluster)
	}
	return info.Cluster.Leader
}

// streamInfo asks about a stream until it has a leader, which on a busy machine
// may just be elected.
func streamInfo(t *testing.T, name string, opts ...nats.Option) *jetstream.StreamInfo {
	t.Helper()
	nc, err := nats.Connect("", append(opts, nats.Timeout(patience))...)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	var info *jetstream.StreamInfo
	eventually(t, "a leader of "+name, func() bool {
		stream, err := js.Stream(timeout(t, 5*time.Second), name)
		if err != nil {
			return false
		}
		info = stream.CachedInfo()
		return info.Cluster.Leader != ""
	})
	return info
}

func freePorts(t *testing.T, n int) []string {
	t.Helper()
	var addresses []string
	for range n {
		addresses = append(addresses, porttest.Address(t))
	}
	return addresses
}

// publisher is an outbox as a leader runs it: on ErrChain, and on anything
// unclear, it reads where the stream ends and goes on after that.
type publisher struct {
	conn   *bus.Conn
	next   uint64
	chains int
}

func (p *publisher) publish(ctx context.Context, upTo uint64) error {
	for p.next <= upTo {
		ev := bus.Event{Seq: p.next, Subject: bus.EventSubject("a", "a-1", "x"), Data: fmt.Appendf(nil, "%d", p.next)}
		try, stop := context.WithTimeout(ctx, 2*time.Second)
		err := p.conn.PublishEvent(try, ev, p.next-1)
		if err != nil {
			if errors.Is(err, bus.ErrChain) {
				p.chains++
			}
			if last, lastErr := p.conn.LastEvent(try); lastErr == nil {
				p.next = last + 1
			}
		} else {
			p.next++
		}
		stop()
		if ctx.Err() != nil {
			return fmt.Errorf("at event %d: %w", p.next, err)
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // else it would keep the servers from mending it
		}
	}
	return nil
}

func TestClusterLosesAndRepeatsNothingWhenItsLeaderDies(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	leader, zombie, observer := c.connect(t), c.connect(t), c.connect(t)
	ctx := timeout(t, 3*patience)
	if err := leader.EnsureStreams(ctx, 3); err != nil {
		t.Fatal(err)
	}

	const total = 120
	var seen []uint64
	observed := make(chan error, 1)
	go func() {
		done := errors.New("seen all")
		err := observer.Events(ctx, bus.Filter{Follow: true}, func(m bus.EventMsg) error {
			if seen = append(seen, m.Seq); m.Seq == total {
				return done
			}
			return nil
		})
		if errors.Is(err, done) {
			err = nil
		}
		observed <- err
	}()

	p := &publisher{conn: leader, next: 1}
	if err := p.publish(ctx, 20); err != nil {
		t.Fatal(err)
	}
	if last, err := zombie.LastEvent(ctx); last != 20 || err != nil { // the zombie led until here
		t.Fatalf("zombie: %d, %v", last, err)
	}
	killed := c.leader(t, bus.EventsStream)
	c.kill(t, killed)
	begin := time.Now()
	if err := p.publish(ctx, 21); err != nil {
		t.Fatal(err)
	}
	t.Logf("first event after kill -9 of the stream's leader: %s", time.Since(begin).Round(time.Millisecond))
	if err := p.publish(ctx, 60); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the zombie to be refused", func() bool { // its server may be the one that died
		ev := bus.Event{Seq: 1000, Subject: bus.EventSubject("a", "a-1", "zombie")}
		err := zombie.PublishEvent(timeout(t, 5*time.Second), ev, 20)
		if err == nil {
			t.Fatal("the zombie's event is taken")
		}
		return errors.Is(err, bus.ErrChain)
	})

	c.start(t, killed)
	if err := p.publish(ctx, 80); err != nil {
		t.Fatal(err)
	}
	// Gently this time; the killed one must have caught up, or no majority is left.
	c.stop(t, c.leader(t, bus.EventsStream))
	if err := p.publish(ctx, total); err != nil {
		t.Fatal(err)
	}
	if err := <-observed; err != nil {
		t.Fatal(err)
	}
	want := make([]uint64, total)
	for i := range want {
		want[i] = uint64(i) + 1
	}
	if !slices.Equal(seen, want) {
		t.Errorf("observer over two failovers saw %v", seen)
	}
	var stored []uint64
	if err := leader.Events(ctx, bus.Filter{}, func(m bus.EventMsg) error {
		stored = append(stored, m.Seq)
		if m.Kind == "zombie" {
			t.Error("the zombie's event is stored")
		}
		return nil
	}); err != nil || !slices.Equal(stored, want) {
		t.Errorf("stored %v, %v", stored, err)
	}
	t.Logf("chain refused %d of the leader's own retries", p.chains)
}

func TestClusterTriggersSurviveItsLeader(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	conn := c.connect(t)
	ctx := timeout(t, 3*patience)
	if err := conn.EnsureStreams(ctx, 3); err != nil {
		t.Fatal(err)
	}
	got := make(chan bus.Trigger, 1000)
	consume, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- conn.ConsumeTriggers(consume, func(_ context.Context, tr bus.Trigger) error {
			got <- tr
			return nil
		})
	}()
	taken := map[string]bool{}
	// Fire and forget needs somebody to take it: until a leader is elected,
	// the stream hears nothing. A sender that wants certainty asks and repeats.
	send := func(id string) {
		t.Helper()
		eventually(t, id+" is taken", func() bool {
			_ = conn.PublishHeader(bus.TriggerSubject("a"), bus.Header{"Nats-Msg-Id": {id}}, nil)
			select {
			case tr := <-got: // again, if the stream's leader died before it knew of its end
				taken[tr.ID] = true
			case <-time.After(500 * time.Millisecond):
			}
			return taken[id]
		})
	}
	send("before")
	c.kill(t, c.leader(t, bus.TriggersStream))
	send("after")
	send("last")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestRouteOfAnotherAuthorityIsRefused(t *testing.T) {
	t.Parallel()
	ours, theirs := identitytest.New(t), identitytest.New(t)
	ports := freePorts(t, 2)
	config := func(i int, files identity.Files) embed.Config {
		return embed.Config{
			Name: fmt.Sprintf("c%d", i), Dir: t.TempDir(), Listen: "127.0.0.1:0",
			Cluster: ports[i], Routes: ports, TLS: files, Log: zerolog.Nop(),
		}
	}
	first := start(t, config(0, ours.Leaf(t, "c0")))
	other := start(t, config(1, theirs.Leaf(t, "c1")))
	short := timeout(t, 5*time.Second)
	if err := first.Ready(short); !errors.Is(err, embed.ErrNotReady) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("strangers form a cluster: %v", err)
	}
	if err := other.Shutdown(); err != nil {
		t.Fatal(err)
	}
	start(t, config(1, ours.Leaf(t, "c1")))
	if err := first.Ready(timeout(t, patience)); err != nil {
		t.Errorf("friends do not: %v", err)
	}
}
