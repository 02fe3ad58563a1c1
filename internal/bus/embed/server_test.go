package embed_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/bus/bustest"
	"github.com/serin-rollouts/serin/internal/bus/embed"
	"github.com/serin-rollouts/serin/internal/identity"
	"github.com/serin-rollouts/serin/internal/identity/identitytest"
	"github.com/serin-rollouts/serin/internal/porttest"
)

// patience is how long something real may take before a test calls it lost:
// JetStream alone needs up to 8 s to elect a stream's leader.
const patience = 2 * time.Minute

func timeout(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), d)
	t.Cleanup(stop)
	return ctx
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

func start(t *testing.T, cfg embed.Config) *embed.Server {
	t.Helper()
	s, err := embed.Start(timeout(t, patience), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func connect(t *testing.T, cfg bus.Config) *bus.Conn {
	t.Helper()
	cfg.Name, cfg.Log = t.Name(), zerolog.Nop()
	c, err := bus.Connect(timeout(t, patience), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil && !errors.Is(err, bus.ErrNotConnected) {
			t.Error(err)
		}
	})
	return c
}

func TestConfigNamesWhatIsWrong(t *testing.T) {
	good := embed.Config{Name: "c1", Dir: "x", Listen: "127.0.0.1:0", Cluster: "127.0.0.1:0", Routes: []string{"127.0.0.1:1"}}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*embed.Config){
		"name":            func(c *embed.Config) { c.Name = "" },
		"dir":             func(c *embed.Config) { c.Dir = "" },
		"listen":          func(c *embed.Config) { c.Listen = "127.0.0.1" },
		"cluster":         func(c *embed.Config) { c.Cluster = "127.0.0.1:port" },
		"route":           func(c *embed.Config) { c.Routes = []string{"there"} },
		"tls":             func(c *embed.Config) { c.TLS.CA = "ca.pem" },
		"in_process_only": func(c *embed.Config) { c.InProcessOnly = true },
	} {
		cfg := good
		spoil(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestPortInUseIsSaid(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	address := taken.Addr().String()
	for what, cfg := range map[string]embed.Config{
		"clients": {Listen: address},
		"routes":  {Listen: "127.0.0.1:0", Cluster: address, Routes: []string{"127.0.0.1:1"}},
	} {
		cfg.Name, cfg.Dir, cfg.Log = "c1", t.TempDir(), zerolog.Nop()
		s, err := embed.Start(timeout(t, patience), cfg)
		if err == nil {
			t.Errorf("%s: started", what)
			_ = s.Shutdown()
			continue
		}
		if !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "in use") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestUnwritableDirIsSaid(t *testing.T) {
	_, err := embed.Start(timeout(t, patience), embed.Config{Name: "c1", Dir: "/proc/serin", InProcessOnly: true, Log: zerolog.Nop()})
	if err == nil || !strings.Contains(err.Error(), "/proc/serin") {
		t.Errorf("got %v", err)
	}
}

func TestStreamsSurviveARestart(t *testing.T) {
	cfg := embed.Config{Name: "c1", Dir: t.TempDir(), Listen: porttest.Address(t), Log: zerolog.Nop()}
	s := start(t, cfg)
	c := connect(t, bus.Config{URLs: []string{s.URL()}})
	if err := c.EnsureStreams(timeout(t, patience), 1); err != nil {
		t.Fatal(err)
	}
	ev := bus.Event{Seq: 7, Subject: bus.EventSubject("a", "a-1", "started")}
	if err := c.PublishEvent(timeout(t, patience), ev, 0); err != nil {
		t.Fatal(err)
	}
	reconnected := make(chan struct{})
	c.OnReconnect(sync.OnceFunc(func() { close(reconnected) }))
	if err := s.Shutdown(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the loss is noticed", func() bool { return !c.Connected() })
	if err := c.PublishEvent(t.Context(), bus.Event{Seq: 8, Subject: ev.Subject}, 7); !errors.Is(err, bus.ErrNotConnected) {
		t.Errorf("publish to nobody: %v", err)
	}
	start(t, cfg)
	select {
	case <-reconnected:
	case <-time.After(patience):
		t.Fatal("not reconnected")
	}
	if last, err := c.LastEvent(timeout(t, patience)); last != 7 || err != nil {
		t.Errorf("after the restart: %d, %v", last, err)
	}
	if c.ConnectedURL() != s.URL() {
		t.Errorf("connected to %q", c.ConnectedURL())
	}
}

func TestTLSIsMutual(t *testing.T) {
	ours, theirs := identitytest.New(t), identitytest.New(t)
	s := start(t, embed.Config{Name: "c1", Dir: t.TempDir(), Listen: "127.0.0.1:0", TLS: ours.Leaf(t, "c1"), Log: zerolog.Nop()})
	own := connect(t, bus.Config{URLs: []string{s.URL()}, TLS: ours.Leaf(t, "agent")})
	eventually(t, "its own to be let in", own.Connected)
	for what, files := range map[string]identity.Files{
		"no certificate":    {},
		"another authority": theirs.Leaf(t, "agent"),
	} {
		if c := connect(t, bus.Config{URLs: []string{s.URL()}, TLS: files}); c.Connected() {
			t.Errorf("%s: accepted", what)
		}
	}
	// A certificate, yet a server that is not who it says.
	if c := connect(t, bus.Config{URLs: []string{s.URL()}, TLS: identity.Files{
		CA: theirs.Leaf(t, "x").CA, Cert: ours.Leaf(t, "y").Cert, Key: ours.Leaf(t, "y").Key,
	}}); c.Connected() {
		t.Error("a server of another authority: accepted")
	}
	if c := connect(t, bus.Config{InProcess: s}); !c.Connected() {
		t.Error("in process: refused")
	}
}

func TestAConnectionInsistsOnTLS(t *testing.T) {
	s := start(t, embed.Config{Name: "c1", Dir: t.TempDir(), Listen: "127.0.0.1:0", Log: zerolog.Nop()})
	if c := connect(t, bus.Config{URLs: []string{s.URL()}, TLS: identitytest.New(t).Leaf(t, "agent")}); c.Connected() {
		t.Error("a plain text server was accepted by a client with an identity")
	}
}

func TestSeveralBubblesRunInOneProcess(t *testing.T) {
	bustest.Hold(t)
	for range 3 {
		synctest.Test(t, func(t *testing.T) {
			s := bustest.Start(t)
			c, observer := bustest.Connect(t, s), bustest.Connect(t, s)
			ctx, cancel := context.WithCancel(t.Context())
			got, ended := 0, make(chan error, 2)
			go func() {
				ended <- observer.Events(ctx, bus.Filter{Follow: true}, func(bus.EventMsg) error { got++; return nil })
			}()
			go func() {
				ended <- observer.Serve(ctx, bus.ServiceInfo{Name: "x", Version: "1.0.0"}, map[string]bus.Handler{
					bus.AllGets: func(context.Context, bus.Msg) ([]byte, error) { return []byte("ok"), nil },
				})
			}()
			synctest.Wait()
			for seq := range uint64(100) {
				ev := bus.Event{Seq: seq + 1, Subject: bus.EventSubject("a", "a-1", "x")}
				if err := c.PublishEvent(ctx, ev, seq); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
			}
			if m, err := c.Request(ctx, bus.GetSubject("x", ""), nil); err != nil || string(m.Data) != "ok" {
				t.Errorf("request: %q, %v", m.Data, err)
			}
			cancel()
			for range 2 {
				if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			}
			if got != 100 {
				t.Errorf("observer saw %d of 100", got)
			}
		})
	}
}
