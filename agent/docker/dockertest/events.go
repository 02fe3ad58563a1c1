package dockertest

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	keptEvents    = 256  // as many as Docker keeps
	laggingEvents = 1024 // a reader that is further behind loses events, as with Docker
)

// event is a container event as it goes over the wire.
type event struct {
	Status   string `json:"status"`
	ID       string `json:"id"`
	From     string `json:"from"`
	Type     string
	Action   string
	Actor    actor
	Scope    string `json:"scope"`
	Time     int64  `json:"time"`
	TimeNano int64  `json:"timeNano"`
}

type actor struct {
	ID         string
	Attributes map[string]string
}

// eventLog keeps the last events and hands new ones to the readers.
type eventLog struct {
	mu      sync.Mutex
	lost    bool  // nothing is kept or handed on
	last    int64 // nanoseconds; no two events bear the same time
	kept    []event
	readers map[*reader]struct{}
}

type reader struct {
	filters filters
	since   int64
	more    chan struct{} // holds a token if pending is not empty

	pending []event // guarded by the log's mu
}

func (l *eventLog) publish(c *instance, action string, extra map[string]string) {
	attributes := maps.Clone(c.Labels)
	if attributes == nil {
		attributes = map[string]string{}
	}
	attributes["name"], attributes["image"] = c.Name, c.Image
	maps.Copy(attributes, extra)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost {
		return
	}
	l.last = max(l.last+1, time.Now().UnixNano())
	e := event{
		Status: action, ID: c.ID, From: c.Image, Type: "container", Action: action,
		Actor: actor{ID: c.ID, Attributes: attributes}, Scope: "local",
		Time: l.last / int64(time.Second), TimeNano: l.last,
	}
	l.kept = append(l.kept, e)
	if len(l.kept) > keptEvents {
		l.kept = slices.Delete(l.kept, 0, 1)
	}
	for r := range l.readers {
		r.offer(e)
	}
}

func (l *eventLog) lose(lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = lost
}

func (l *eventLog) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = nil
}

func (l *eventLog) subscribe(r *reader) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.readers == nil {
		l.readers = map[*reader]struct{}{}
	}
	l.readers[r] = struct{}{}
	if r.since == 0 {
		return
	}
	for _, e := range l.kept {
		if e.TimeNano >= r.since {
			r.offer(e)
		}
	}
}

func (l *eventLog) unsubscribe(r *reader) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.readers, r)
}

func (l *eventLog) take(r *reader) []event {
	l.mu.Lock()
	defer l.mu.Unlock()
	batch := r.pending
	r.pending = nil
	return batch
}

func (r *reader) offer(e event) {
	if len(r.pending) == laggingEvents || !r.filters.matchEvent(e) {
		return
	}
	r.pending = append(r.pending, e)
	select {
	case r.more <- struct{}{}:
	default:
	}
}

// streamEvents answers GET /events. Like Docker, it answers before it
// subscribes.
func (f *Fake) streamEvents(w http.ResponseWriter, r *http.Request) {
	want, err := parseFilters(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	since, err := parseInstant(r.URL.Query().Get("since"))
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_ = out.Flush()
	in := &reader{filters: want, since: since, more: make(chan struct{}, 1)}
	f.events.subscribe(in)
	defer f.events.unsubscribe(in)
	lines := json.NewEncoder(w)
	for {
		select {
		case <-in.more:
		case <-r.Context().Done():
			return
		case <-f.closed:
			return
		}
		if !f.awake(r.Context()) {
			return
		}
		for _, e := range f.events.take(in) {
			if lines.Encode(e) != nil {
				return
			}
		}
		if out.Flush() != nil {
			return
		}
	}
}

// parseInstant reads "seconds[.nanoseconds]"; "" is 0.
func parseInstant(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	whole, part, _ := strings.Cut(text, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return 0, err
	}
	nanos, err := strconv.ParseInt((part + "000000000")[:9], 10, 64)
	return seconds*int64(time.Second) + nanos, err
}

// filters is Docker's form of them: by kind, the values that are let through.
type filters map[string]map[string]bool

func parseFilters(r *http.Request) (filters, error) {
	text := r.URL.Query().Get("filters")
	if text == "" {
		return filters{}, nil
	}
	var want filters
	err := json.Unmarshal([]byte(text), &want)
	return want, err
}

func (w filters) matchLabels(labels map[string]string) bool {
	for pair := range w["label"] {
		k, v, hasValue := strings.Cut(pair, "=")
		got, ok := labels[k]
		if !ok || hasValue && got != v {
			return false
		}
	}
	return true
}

func (w filters) matchEvent(e event) bool {
	if len(w["type"]) > 0 && !w["type"][e.Type] || !w.matchLabels(e.Actor.Attributes) {
		return false
	}
	if len(w["event"]) == 0 {
		return true
	}
	for action := range w["event"] {
		if strings.HasPrefix(e.Action, action) {
			return true
		}
	}
	return false
}
