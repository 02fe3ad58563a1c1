package console

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// fake is a bus with a leader that says what it is told to, a stream of events,
// and the ledger of a replica.
type fake struct {
	mu      sync.Mutex
	answers map[string]string // by subject
	asked   []string          // subject and body
	places  []string          // in traces, of what was asked
	away    bool              // no leader
	events  []bus.EventMsg
	more    chan struct{} // closed by the next event
	state   *rollout.State
	changed chan struct{}
}

func newFake() *fake {
	return &fake{answers: map[string]string{}, more: make(chan struct{}), changed: make(chan struct{}), state: rollout.NewState()}
}

func (f *fake) RequestHeader(ctx context.Context, subject string, header bus.Header, data []byte) (bus.Msg, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, subject+" "+string(data))
	if place := bus.TraceOf(header); place != "" {
		f.places = append(f.places, place)
	}
	if f.away {
		return bus.Msg{}, bus.ErrNoResponders
	}
	answer, known := f.answers[subject]
	if !known {
		answer = `{"ok":false,"code":"unknown","message":"nothing there"}`
	}
	return bus.Msg{Data: []byte(answer)}, ctx.Err()
}

func (f *fake) Events(ctx context.Context, filter bus.Filter, to func(bus.EventMsg) error) error {
	for k := 0; ; k++ {
		for {
			f.mu.Lock()
			events, more := f.events, f.more
			f.mu.Unlock()
			if k < len(events) {
				break
			}
			select {
			case <-more:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		m := f.events[k]
		if m.Seq < filter.FromSeq || filter.Rollout != "" && filter.Rollout != m.Rollout {
			continue
		}
		if err := to(m); err != nil {
			return err
		}
	}
}

func (f *fake) State() *rollout.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

func (f *fake) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// emit adds events up to a number.
func (f *fake) emit(last uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for seq := uint64(len(f.events)) + 1; seq <= last; seq++ {
		id := "shop-" + strconv.FormatUint(seq%2+1, 10)
		f.events = append(f.events, bus.EventMsg{Seq: seq, Service: "shop", Rollout: id, Kind: "step", Data: []byte(`{"id":"` + strconv.FormatUint(seq, 10) + `"}`)})
	}
	next := *f.state
	next.EventSeq = last
	f.state = &next
	close(f.more)
	f.more = make(chan struct{})
}

// tell adds the first event.
func (f *fake) tell(seq uint64, service, id, data string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, bus.EventMsg{Seq: seq, Service: service, Rollout: id, Kind: "step", Data: []byte(data)})
}

func (f *fake) answer(subject, data string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[subject] = data
}

func (f *fake) lead(leads bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away = !leads
}

// run runs a rollout in the ledger.
func (f *fake) run(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := *f.state
	next.Services = map[string]*rollout.Service{"shop": {Name: "shop", Active: &rollout.Rollout{ID: id}}}
	f.state = &next
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fake) questions(subject string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, asked := range f.asked {
		if strings.HasPrefix(asked, subject+" ") {
			n++
		}
	}
	return n
}

// site is a console behind a real server.
type site struct {
	*httptest.Server

	t    *testing.T
	bus  *fake
	stop func()
}

// serve serves a console until the test ends. Its address is a loopback one, which
// Listen says, too, unless it says another.
func serve(t *testing.T, cfg Config) *site {
	t.Helper()
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	c, err := New(cfg, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for pattern, h := range c.Routes() {
		mux.Handle(pattern, h)
	}
	s := &site{Server: httptest.NewServer(mux), t: t, bus: newFake()}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	started := make(chan struct{})
	go func() {
		defer close(ended)
		close(started)
		c.Run(ctx, s.bus, s.bus)
	}()
	<-started
	for c.live.Load() == nil {
		select {
		case <-ended:
			t.Fatal("the console has ended")
		default:
		}
	}
	s.stop = sync.OnceFunc(func() {
		stop()
		<-ended
	})
	t.Cleanup(func() {
		s.stop()
		s.Close()
	})
	return s
}

// ask sends a request and returns status, head and body.
func (s *site) ask(method, path, body string, head map[string]string) (int, http.Header, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	for key, value := range head {
		req.Header.Set(key, value)
		if key == "Host" {
			req.Host = value
		}
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, string(said)
}

// listening is a stream that is read.
type listening struct {
	t     *testing.T
	lines *bufio.Reader
	close func()
}

type frame struct{ kind, id, data string }

func (s *site) listen(query string, head map[string]string) *listening {
	s.t.Helper()
	ctx, stop := context.WithCancel(s.t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/v1/stream?"+query, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for key, value := range head {
		req.Header.Set(key, value)
	}
	answer, err := http.DefaultClient.Do(req) //nolint:bodyclose // by close
	if err != nil {
		s.t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "text/event-stream" {
		s.t.Fatalf("stream: %s %v", answer.Status, answer.Header)
	}
	l := &listening{t: s.t, lines: bufio.NewReader(answer.Body), close: func() {
		stop()
		_ = answer.Body.Close()
	}}
	s.t.Cleanup(l.close)
	return l
}

// next returns the next frame of a kind; ok is false when the stream has ended.
func (l *listening) next(kind string) (f frame, ok bool) {
	l.t.Helper()
	for {
		line, err := l.lines.ReadString('\n')
		switch key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return f, false
		case err != nil:
			l.t.Fatal(err)
		case key == "event":
			f.kind = value
		case key == "id":
			f.id = value
		case key == "data":
			f.data = value
		case line == "\n" && f.kind == kind:
			return f, true
		case line == "\n":
			f = frame{}
		}
	}
}

// events reads as many events and returns their numbers.
func (l *listening) events(n int) string {
	l.t.Helper()
	var ids []string
	for range n {
		f, ok := l.next("event")
		if !ok {
			l.t.Fatalf("the stream has ended after %v", ids)
		}
		ids = append(ids, f.id)
	}
	return strings.Join(ids, " ")
}

func decode[T any](t *testing.T, data string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(data), &v); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return v
}
