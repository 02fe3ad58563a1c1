package coordinator

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/bus/bustest"
	"github.com/serin-rollouts/serin/internal/bus/embed"
	"github.com/serin-rollouts/serin/internal/event"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const checkout = "checkout"

// bench is a coordinator's leaders, a bus and a fleet in one bubble.
type bench struct {
	t      *testing.T
	server *embed.Server
	conn   *bus.Conn // the operator's
	group  *group
	agents []*fakeAgent
	ctx    context.Context //nolint:containedctx // of the bubble: it ends everything
	ends   map[string]context.CancelFunc
	done   sync.WaitGroup

	replicas map[string]parts // that follow
	book     logbook
}

// logbook keeps what a coordinator logs.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// messages returns what the lines say.
func (l *logbook) messages(t *testing.T) []string {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for line := range bytes.Lines(l.text.Bytes()) {
		var said struct{ Message string }
		if err := json.Unmarshal(line, &said); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		all = append(all, said.Message)
	}
	return all
}

// inBubble runs f on a fleet of n hosts under virtual time.
func inBubble(t *testing.T, n int, f func(b *bench)) {
	t.Helper()
	bustest.Hold(t)
	synctest.Test(t, func(t *testing.T) {
		server := bustest.Start(t)
		ctx, stop := context.WithCancel(t.Context())
		b := &bench{
			t: t, server: server, conn: bustest.Connect(t, server), ctx: ctx,
			group: newGroup("c1", "c2", "c3"), ends: map[string]context.CancelFunc{},
			replicas: map[string]parts{},
		}
		defer b.done.Wait()
		defer stop()
		for i := range n {
			b.agents = append(b.agents, startAgent(ctx, t, bustest.Connect(t, server), fmt.Sprintf("web-%02d", i+1)))
		}
		b.lead("c1", 1)
		f(b)
	})
}

// lead lets a member lead until it is ended.
func (b *bench) lead(id string, term uint64) {
	b.t.Helper()
	ctx, end := context.WithCancel(b.ctx)
	b.ends[id] = end
	p, known := b.replicas[id]
	if !known {
		p = b.replica(id)
	}
	b.done.Go(func() {
		if err := p.lead(ctx, term); err != nil {
			b.t.Errorf("lead: %v", err)
		}
	})
	synctest.Wait()
}

// follow lets a member hear the fleet until it leads, and again after that.
func (b *bench) follow(id string) {
	b.t.Helper()
	p := b.replica(id)
	b.replicas[id] = p
	b.done.Go(func() { p.listener.follow(b.ctx) })
	synctest.Wait()
}

func (b *bench) replica(id string) parts {
	b.t.Helper()
	p := parts{
		cfg: Config{ID: id, Lease: DefaultLease}, log: b.log(),
		ledger: b.group.members[id], bus: bustest.Connect(b.t, b.server), cluster: noCluster{},
	}
	p.listener = newListener(p)
	subs, err := p.listener.subscribe(p.bus)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, s := range subs {
		b.t.Cleanup(func() { _ = s.Close() }) // the bus may be gone
	}
	return p
}

// log keeps what is logged in the book.
func (b *bench) log() zerolog.Logger {
	if os.Getenv("SERIN_TEST_LOG") == "" {
		return zerolog.New(&b.book)
	}
	return zerolog.New(zerolog.MultiLevelWriter(&b.book, zerolog.ConsoleWriter{Out: os.Stderr}))
}

func testLog() zerolog.Logger {
	if os.Getenv("SERIN_TEST_LOG") == "" {
		return zerolog.Nop()
	}
	return zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr})
}

func (b *bench) request(subject string, body any) []byte {
	b.t.Helper()
	data, ok := body.(string)
	if !ok {
		data = string(encodeJSON(b.t, body))
	}
	ctx, stop := context.WithTimeout(b.ctx, time.Minute)
	defer stop()
	m, err := b.conn.Request(ctx, subject, []byte(data))
	if err != nil {
		b.t.Fatalf("request %s: %v", subject, err)
	}
	return m.Data
}

func encodeJSON(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (b *bench) reply(subject string, body any) api.Reply {
	b.t.Helper()
	r, err := api.DecodeReply(b.request(subject, body))
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *bench) trigger(t api.Trigger) api.Reply {
	b.t.Helper()
	return b.reply(bus.TriggerSubject(checkout), t)
}

// must starts a rollout and returns its id.
func (b *bench) must(t api.Trigger) string {
	b.t.Helper()
	r := b.trigger(t)
	if !r.OK {
		b.t.Fatalf("trigger refused: %+v", r)
	}
	return r.Rollout
}

// until waits until a rollout is in one of the phases.
func (b *bench) until(id string, phases ...rollout.Phase) rollout.Rollout {
	b.t.Helper()
	for range 7200 {
		b.group.mu.Lock()
		r, ok := b.group.state.Find(id)
		b.group.mu.Unlock()
		for _, p := range phases {
			if ok && r.Phase == p {
				return r
			}
		}
		time.Sleep(500 * time.Millisecond)
	}
	b.group.mu.Lock()
	defer b.group.mu.Unlock()
	r, _ := b.group.state.Find(id)
	b.t.Fatalf("%s is %s at step %d (%s), not %v after an hour", id, r.Phase, r.Step+1, r.Text, phases)
	return r
}

func specText(image, more string) json.RawMessage {
	text := `{"service":"checkout","image":"` + image + `","container":{"port":8080},"listen":":8443"` + more + `}`
	return json.RawMessage(text)
}

const gated = `,"gates":{"errors":{"max_increase":"1%"}},"steps":[{"hosts":1,"weight":"20%"},{"hosts":"100%","weight":"50%","hold":"20s"},{"hosts":"100%","weight":"100%","hold":"10s"}]`

func (b *bench) install() {
	b.t.Helper()
	b.until(b.must(api.Trigger{ID: "install", Spec: specText("shop/checkout:1", gated)}), rollout.Succeeded)
}

func TestInstallThenCanaryPasses(t *testing.T) {
	inBubble(t, 3, func(b *bench) {
		b.install()
		id := b.must(api.Trigger{ID: "second", Image: "shop/checkout:2"})
		r := b.until(id, rollout.Succeeded, rollout.RolledBack)
		if r.Phase != rollout.Succeeded {
			t.Fatalf("ended %s: %s", r.Phase, r.Text)
		}
		for _, a := range b.agents {
			if got := a.stables()[checkout]; got != r.To.ID {
				t.Errorf("%s runs %s, want %s", a.name, got, r.To.ID)
			}
		}
		b.checkEvents()
	})
}

func TestBadCanaryIsTakenBack(t *testing.T) {
	inBubble(t, 3, func(b *bench) {
		b.install()
		id := b.must(api.Trigger{ID: "second", Image: "shop/checkout:bad-2"})
		r := b.until(id, rollout.Succeeded, rollout.RolledBack)
		if r.Phase != rollout.RolledBack || r.Cause != rollout.CauseGate {
			t.Fatalf("ended %s for %q: %s", r.Phase, r.Cause, r.Text)
		}
		events := b.checkEvents()
		last := events[len(events)-1]
		if last.Kind != rollout.KindRolledBack || last.ZeroMillis < 0 || last.ZeroMillis > 5000 {
			t.Errorf("last event: %s, zero after %d ms", last.Kind, last.ZeroMillis)
		}
		for _, a := range b.agents {
			a.mu.Lock()
			found := false
			for _, w := range a.waves {
				found = found || w.Rollout == id && w.Canary == r.From.ID
			}
			a.mu.Unlock()
			if !found {
				t.Errorf("%s has heard no broadcast of the rollback", a.name)
			}
		}
		var detail api.RolloutDetail
		detail, err := api.DecodeAnswer[api.RolloutDetail](b.request(bus.GetSubject(api.GetExplain, id), ""))
		if err != nil || len(detail.Decisions) < 4 || !strings.Contains(detail.Explanation, "RolledBack") {
			t.Errorf("explanation: %v, %d decisions, %q", err, len(detail.Decisions), detail.Explanation)
		}
	})
}

// checkEvents reads the journal: every event of the state, in order, once.
func (b *bench) checkEvents() []rollout.Event {
	b.t.Helper()
	var events []rollout.Event
	want := uint64(0)
	for range 100 {
		b.group.mu.Lock()
		want = b.group.state.EventSeq
		b.group.mu.Unlock()
		events = nil
		err := b.conn.Events(b.ctx, bus.Filter{}, func(m bus.EventMsg) error {
			e, err := event.Decode(m.Data)
			events = append(events, e)
			return err
		})
		if err != nil {
			b.t.Fatal(err)
		}
		if len(events) > 0 && events[len(events)-1].Seq >= want {
			break
		}
		time.Sleep(time.Second)
	}
	for i, e := range events {
		if e.Seq != uint64(i+1) {
			b.t.Fatalf("event %d of the stream has number %d", i+1, e.Seq)
		}
	}
	if uint64(len(events)) != want {
		b.t.Errorf("%d events in the stream, %d in the state", len(events), want)
	}
	return events
}
