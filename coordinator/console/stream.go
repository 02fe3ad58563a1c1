package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
)

const (
	maxStreams = 256
	maxWatched = 8
	pinging    = 10 * time.Second
	writing    = 20 * time.Second // for a page to take one frame
	maxRecent  = 1000
)

// errStream means that the request of a stream is wrong.
var errStream = errors.New("the stream is not understood")

// wanted is what a page asks of its stream.
type wanted struct {
	filter bus.Filter
	recent uint64            // begin so many events before the last; 0: at filter.FromSeq
	topics map[string]string // subjects by key
	curve  string            // rollout
	sparks bool              // of all that run
}

// stream is one page's server-sent events:
//
//	event: event   with id, the event's sequence: a CloudEvent
//	event: view    {"key":"rollout/checkout-7","answer":{...},"trouble":"..."}
//	event: curve   {"rollout":"checkout-7","reset":true,"points":[...]}
//	event: sparks  {"rollouts":{"checkout-7":[[0.01,0.002],...]}}, the last error rates
//	event: hello   which replica serves
//
// It goes on behind the event that Last-Event-ID, or the parameter after, names.
func (c *Console) stream(l *live, w http.ResponseWriter, r *http.Request, _ person) {
	want, err := parseWanted(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, rollout.CodeInvalid, err.Error())
		return
	}
	if !l.enter() {
		w.Header().Set("Retry-After", "5")
		refuse(w, http.StatusServiceUnavailable, rollout.CodeBusy, fmt.Sprintf("this replica ends, or has %d open pages already", maxStreams))
		return
	}
	defer l.leave()
	ctx, stop := context.WithCancel(r.Context())
	defer stop()
	defer context.AfterFunc(l.ctx, stop)() //nolint:contextcheck // two contexts end a stream
	f := &feed{live: l, out: w, control: http.NewResponseController(w), seen: map[*topic]int{}}
	if err := f.open(); err != nil {
		return // the page has gone
	}
	known := func() bool { _, err := c.access.who(r); return err == nil }
	if err := f.run(ctx, want, Session{Replica: c.cfg.Replica, Version: c.cfg.Version}, known); err != nil && ctx.Err() == nil {
		c.log.Debug().Err(err).Msg("console: stream ended")
	}
}

// Private

// enter counts a stream; false if there may be no more.
func (l *live) enter() bool {
	l.gate.Lock()
	defer l.gate.Unlock()
	if l.closed || l.streams >= maxStreams {
		return false
	}
	l.streams++
	l.running.Add(1)
	return true
}

func (l *live) leave() {
	l.gate.Lock()
	l.streams--
	l.gate.Unlock()
	l.running.Done()
}

// end waits until all streams have ended. Their ctx has.
func (l *live) end() {
	l.gate.Lock()
	l.closed = true
	l.gate.Unlock()
	l.running.Wait()
	l.hub.wait()
}

func parseWanted(r *http.Request) (wanted, error) {
	q := r.URL.Query()
	w := wanted{filter: bus.Filter{Service: q.Get("service"), Rollout: q.Get("rollout"), Follow: true}, topics: map[string]string{}, curve: q.Get("curve"), sparks: q.Get("sparks") != ""}
	if err := w.filter.Validate(); err != nil {
		return w, fmt.Errorf("%w: %w", errStream, err)
	}
	if len(q["watch"]) > maxWatched {
		return w, fmt.Errorf("%w: %d things are watched; %d are the most", errStream, len(q["watch"]), maxWatched)
	}
	for _, key := range q["watch"] {
		subject, ok := subjectOf(key)
		if !ok {
			return w, fmt.Errorf("%w: nothing to watch called %q", errStream, key)
		}
		w.topics[key] = subject
	}
	after := r.Header.Get("Last-Event-ID")
	if after == "" {
		after = q.Get("after")
	}
	seen, err := number(after)
	if err != nil {
		return w, fmt.Errorf("%w: %q is no number of an event", errStream, after)
	}
	if after != "" {
		w.filter.FromSeq = seen + 1
		return w, nil
	}
	if w.recent, err = number(q.Get("recent")); err != nil || w.recent > maxRecent {
		return w, fmt.Errorf("%w: recent is a number up to %d", errStream, maxRecent)
	}
	return w, nil
}

func number(text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	return strconv.ParseUint(text, 10, 62)
}

// feed writes one stream.
type feed struct {
	live    *live
	out     http.ResponseWriter
	control *http.ResponseController
	seen    map[*topic]int
	at      int64 // of the last point
	thinned int
	begun   bool   // points have been sent
	sparked []byte // sparks as they were sent last
}

// open sends the head. The server's own limits are for requests that end.
func (f *feed) open() error {
	h := f.out.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	if err := f.control.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	f.out.WriteHeader(http.StatusOK)
	return f.write("retry: 1000\n\n")
}

func (f *feed) run(ctx context.Context, want wanted, hello Session, known func() bool) error {
	if err := f.frame("hello", "", hello); err != nil {
		return err
	}
	wake := make(chan struct{}, 1)
	for key, subject := range want.topics {
		t := f.live.hub.join(key, subject, wake) //nolint:contextcheck // other pages look at the same
		f.seen[t] = 0
		defer f.live.hub.leave(t, wake)
	}
	if want.curve != "" || want.sparks {
		f.live.curves.join(want.curve, wake)
		defer f.live.curves.leave(wake)
	}
	events := make(chan bus.EventMsg)
	var reading sync.WaitGroup
	defer reading.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	reading.Go(func() { f.live.read(ctx, want, events) })
	ping := time.NewTicker(pinging)
	defer ping.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case m := <-events:
			err = f.event(m)
		case <-wake:
			err = errors.Join(f.views(), f.curve(want.curve), f.sparks(want.sparks))
		case <-ping.C:
			if !known() {
				return errToken
			}
			err = f.write(": here\n\n")
		}
		if err != nil {
			return err
		}
	}
}

// read hands on the events from the stream, over everything that interrupts it.
func (l *live) read(ctx context.Context, want wanted, to chan<- bus.EventMsg) {
	filter := want.filter
	if last := l.ledger.State().EventSeq; want.recent > 0 && last > want.recent {
		filter.FromSeq = last - want.recent + 1
	}
	for ctx.Err() == nil {
		err := l.bus.Events(ctx, filter, func(m bus.EventMsg) error {
			if m.Seq == 0 {
				return nil // not serin's
			}
			select {
			case to <- m:
				filter.FromSeq = m.Seq + 1
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if ctx.Err() != nil {
			return
		}
		l.log.Debug().Err(err).Msg("console: events not read")
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

func (f *feed) event(m bus.EventMsg) error {
	data := m.Data
	if bytes.ContainsAny(data, "\r\n") {
		var one bytes.Buffer
		if err := json.Compact(&one, data); err != nil {
			return nil //nolint:nilerr // not JSON: not an event of serin's
		}
		data = one.Bytes()
	}
	return f.write("id: " + strconv.FormatUint(m.Seq, 10) + "\nevent: event\ndata: " + string(data) + "\n\n")
}

// views sends what has changed.
func (f *feed) views() error {
	for t, seen := range f.seen {
		answer, trouble, version := t.get()
		if version == seen {
			continue
		}
		f.seen[t] = version
		if err := f.frame("view", t.key, view{t.key, answer, trouble}); err != nil {
			return err
		}
	}
	return nil
}

type view struct {
	Key     string          `json:"key"`
	Answer  json.RawMessage `json:"answer,omitempty"` // nil: never answered
	Trouble string          `json:"trouble,omitempty"`
}

// curve sends the points that are new, or all of them.
func (f *feed) curve(id string) error {
	if id == "" {
		return nil
	}
	points, thinned := f.live.curves.since(id, f.at)
	reset := !f.begun || thinned != f.thinned
	if reset {
		points, thinned = f.live.curves.since(id, 0)
	}
	if len(points) == 0 && f.begun {
		return nil
	}
	f.begun, f.thinned = true, thinned
	if n := len(points); n > 0 {
		f.at = points[n-1].At
	}
	return f.frame("curve", id, map[string]any{"rollout": id, "reset": reset, "points": points})
}

// sparks sends them if a page wants them, and they are not those of before.
func (f *feed) sparks(wanted bool) error {
	if !wanted {
		return nil
	}
	now, err := json.Marshal(f.live.curves.sparks())
	if err != nil || bytes.Equal(now, f.sparked) {
		return err
	}
	f.sparked = now
	return f.frame("sparks", "", map[string]any{"rollouts": json.RawMessage(now)})
}

func (f *feed) frame(kind, what string, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode %s: %w", strings.TrimSpace(kind+" "+what), err)
	}
	return f.write("event: " + kind + "\ndata: " + string(data) + "\n\n")
}

func (f *feed) write(text string) error {
	if err := f.control.SetWriteDeadline(time.Now().Add(writing)); err != nil {
		return err
	}
	if _, err := f.out.Write([]byte(text)); err != nil {
		return err
	}
	return f.control.Flush()
}
