package bus_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/bus/bustest"
	"github.com/serin-rollouts/serin/internal/heaptest"
)

// patience is how long something real may take before a test calls it lost.
const patience = 2 * time.Minute

func TestConfigNamesWhatIsWrong(t *testing.T) {
	for want, cfg := range map[string]bus.Config{
		"urls":   {},
		"jitter": {URLs: []string{"nats://127.0.0.1:1"}, ReconnectJitter: -1},
		"creds":  {URLs: []string{"nats://127.0.0.1:1"}, Creds: "/nonexistent/creds"},
	} {
		c, err := bus.Connect(t.Context(), cfg)
		if err == nil {
			_ = c.Close()
			if want != "creds" { // read at each connection: may come later
				t.Errorf("%s: accepted", want)
			}
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not name %s", err, want)
		}
	}
}

func TestPublishReachesSubscribersWithHeaders(t *testing.T) {
	s := bustest.StartEmpty(t)
	a, b := bustest.Connect(t, s), bustest.Connect(t, s)
	got := make(chan bus.Msg, 1)
	if _, err := b.Subscribe(bus.AllHealth, func(m bus.Msg) { got <- m }); err != nil {
		t.Fatal(err)
	}
	flush(t, b)
	if err := a.PublishHeader(bus.HealthSubject("web-01"), bus.Header{"X": {"1"}}, []byte("ok")); err != nil {
		t.Fatal(err)
	}
	m := receive(t, got)
	if m.Subject != "serin.v1.health.web-01" || string(m.Data) != "ok" || m.Header.Get("X") != "1" {
		t.Errorf("got %+v", m)
	}
	if err := m.Respond(nil); !errors.Is(err, bus.ErrNoReply) {
		t.Errorf("respond to a publish: %v", err)
	}
}

func TestPublishRefusesPatterns(t *testing.T) {
	c := bustest.Connect(t, bustest.StartEmpty(t))
	for _, subject := range []string{"", "a.*", bus.StepSubject(">"), "a..b", bus.StepSubject("a b"), bus.StepSubject("")} {
		if err := c.Publish(subject, nil); !errors.Is(err, bus.ErrSubject) {
			t.Errorf("%q: %v", subject, err)
		}
	}
}

func TestRequestErrorsAreTyped(t *testing.T) {
	s := bustest.StartEmpty(t)
	c := bustest.Connect(t, s)
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	for pattern, subject := range map[string]string{
		bus.AllGets: bus.GetSubject("hosts", ""), bus.AllTriggers: bus.TriggerSubject("checkout"),
	} {
		if _, err := c.Request(ctx, subject, nil); !errors.Is(err, bus.ErrNoResponders) {
			t.Errorf("%s, nobody there: %v", subject, err)
		}
		if _, err := c.Subscribe(pattern, func(bus.Msg) {}); err != nil {
			t.Fatal(err)
		}
		short, stopShort := context.WithTimeout(ctx, 10*time.Millisecond)
		defer stopShort()
		if _, err := c.Request(short, subject, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s, no answer: %v", subject, err)
		}
	}
}

// What a stream says of a trigger is not the leader's word, and nothing that a
// leader says is taken for a stream's.
// Everybody who listens is heard, until the time is over or who asks has heard enough.
func TestGatherHearsAll(t *testing.T) {
	s := bustest.StartEmpty(t)
	asks := bustest.Connect(t, s)
	err := asks.Gather(t.Context(), bus.GetSubject("standing", ""), nil, func(bus.Msg) bool { return true })
	if !errors.Is(err, bus.ErrNoResponders) {
		t.Errorf("nobody listens: %v", err)
	}
	const replicas = 3
	for range replicas {
		c := bustest.Connect(t, s)
		if _, err := c.Subscribe(bus.GetSubject("standing", ""), func(m bus.Msg) { _ = m.Respond(m.Data) }); err != nil {
			t.Fatal(err)
		}
		flush(t, c)
	}
	ctx, enough := context.WithTimeout(t.Context(), patience)
	heard := 0
	err = asks.Gather(ctx, bus.GetSubject("standing", ""), []byte("how?"), func(m bus.Msg) bool {
		if string(m.Data) != "how?" {
			t.Errorf("heard %q", m.Data)
		}
		if heard++; heard == replicas {
			enough()
		}
		return true
	})
	if err != nil || heard != replicas {
		t.Errorf("%d answers until the context ended: %v", heard, err)
	}
	heard = 0
	err = asks.Gather(t.Context(), bus.GetSubject("standing", ""), nil, func(bus.Msg) bool { heard++; return heard < 2 })
	if err != nil || heard != 2 {
		t.Errorf("%d answers, want 2: %v", heard, err)
	}
	if err := asks.Gather(t.Context(), "serin.v1.get.*", nil, nil); !errors.Is(err, bus.ErrSubject) {
		t.Errorf("of a pattern: %v", err)
	}
}

func TestOnlyTheLeaderAnswersATrigger(t *testing.T) {
	c := bustest.Connect(t, bustest.StartEmpty(t))
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	answers := make(chan string, 10)
	if _, err := c.SubscribeTriggers(func(m bus.Msg) {
		for range len(answers) {
			if err := m.Respond([]byte(<-answers)); err != nil {
				t.Error(err)
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`{"ok":true}`, `{"ok":false,"message":"stream"}`, `{"stream":""}`, `"stream"`, ``, `[]`} {
		for _, text := range []string{
			`{"stream":"SERIN_TRIGGERS", "seq":8,"duplicate": true}`, `{"stream":"OTHERS","seq":1}`,
			`{"error":{"code":503,"description":"insufficient resources"},"stream":"OTHERS","seq":0}`, want,
		} {
			answers <- text
		}
		if m, err := c.Request(ctx, bus.TriggerSubject("checkout"), nil); err != nil || string(m.Data) != want {
			t.Errorf("got %s, %v; want %s", m.Data, err, want)
		}
	}
}

func TestUnreachableServerIsTriedOnAndNothingIsKeptForLater(t *testing.T) {
	c, err := bus.Connect(t.Context(), bus.Config{URLs: []string{"nats://127.0.0.1:1"}, Name: "alone", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	if c.Connected() || c.ConnectedURL() != "" {
		t.Error("connected to nothing")
	}
	if err := c.Publish(bus.BeatSubject, nil); !errors.Is(err, bus.ErrNotConnected) {
		t.Errorf("publish: %v", err)
	}
	if err := c.PublishHeader(bus.BeatSubject, bus.Header{"A": {"b"}}, nil); !errors.Is(err, bus.ErrNotConnected) {
		t.Errorf("publish with header: %v", err)
	}
	for _, subject := range []string{bus.BeatSubject, bus.TriggerSubject("checkout")} {
		if _, err := c.Request(t.Context(), subject, nil); !errors.Is(err, bus.ErrNotConnected) {
			t.Errorf("request %s: %v", subject, err)
		}
	}
	if err := c.PublishEvent(t.Context(), bus.Event{Seq: 1, Subject: bus.EventSubject("a", "a-1", "x")}, 0); !errors.Is(err, bus.ErrNotConnected) {
		t.Errorf("event: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestConnectHeedsItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if c, err := bus.Connect(ctx, bus.Config{URLs: []string{"nats://127.0.0.1:1"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v", c, err)
	}
}

func TestSlowSubscriptionDropsCountsAndLogs(t *testing.T) {
	s := bustest.StartEmpty(t)
	var log lockedBuffer
	slow, err := bus.Connect(t.Context(), bus.Config{InProcess: s, Log: zerolog.New(&log)})
	if err != nil {
		t.Fatal(err)
	}
	// The server may be about to cut off so slow a reader, and then there is nothing left to flush.
	defer func() {
		if err := slow.Close(); err != nil && !errors.Is(err, bus.ErrNotConnected) {
			t.Errorf("close: %v", err)
		}
	}()
	release := make(chan struct{})
	sub, err := slow.Subscribe(bus.AllHealth, func(bus.Msg) { <-release })
	if err != nil {
		t.Fatal(err)
	}
	defer close(release)
	flush(t, slow)
	fast := bustest.Connect(t, s)
	big := make([]byte, 512<<10)
	// 32 MiB are the limit, but what the server throws away when it cuts off so slow a reader does not count.
	for n := 0; n < 400 && sub.Dropped() == 0; n++ {
		if err := fast.Publish(bus.HealthSubject("web-01"), big); err != nil {
			t.Fatal(err)
		}
		flush(t, fast)
	}
	// It takes no more memory, however much more it is sent: what is published here is 200 MiB.
	before := heaptest.Live()
	for range 400 {
		if err := fast.Publish(bus.HealthSubject("web-01"), big); err != nil {
			t.Fatal(err)
		}
		flush(t, fast)
	}
	if grown := heaptest.Live() - before; grown > 64<<20 {
		t.Errorf("I14: a slow reader takes %d MiB more", grown>>20)
	} else {
		t.Logf("a slow reader takes %d KiB more", grown>>10)
	}
	eventually(t, "drops are counted and logged", func() bool {
		return sub.Dropped() > 0 && strings.Contains(log.String(), "too slow")
	})
}

func TestCloseHandlesWhatWasReceived(t *testing.T) {
	s := bustest.StartEmpty(t)
	c, err := bus.Connect(t.Context(), bus.Config{InProcess: s, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	started, handled := make(chan struct{}, 100), 0
	if _, err := c.Subscribe(bus.AllHealth, func(bus.Msg) {
		started <- struct{}{}
		handled++
	}); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := c.Publish(bus.HealthSubject("web-01"), nil); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, c)
	<-started
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if handled != 100 { // Close has waited for the receiver: no race
		t.Errorf("handled %d of 100", handled)
	}
}

// lockedBuffer takes log lines from several goroutines.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// flush returns after the server has handled everything that c sent before: a
// request is answered (by nobody) after what went ahead of it.
func flush(t *testing.T, c *bus.Conn) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	if _, err := c.Request(ctx, "flush."+strings.ToLower(t.Name()), nil); !errors.Is(err, bus.ErrNoResponders) {
		t.Fatalf("flush: %v", err)
	}
}

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("nothing came within %s", patience)
		panic("unreachable")
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}
