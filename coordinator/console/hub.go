package console

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
)

const (
	refresh = time.Second            // how old a view gets that somebody looks at
	restful = 200 * time.Millisecond // between two questions about the same, however much changes
)

// hub asks the leader what open pages look at: once a second for all of them
// together, and only while there are any.
type hub struct {
	live    *live
	mu      sync.Mutex
	topics  map[string]*topic
	running sync.WaitGroup
}

// topic is one thing that pages look at, like rollout/checkout-7.
type topic struct {
	key, subject string
	stop         context.CancelFunc

	mu      sync.Mutex
	version int // of answer and trouble together
	answer  []byte
	trouble string                     // why answer is old; empty if it is not
	wakes   map[chan struct{}]struct{} // who looks
}

func newHub(l *live) *hub { return &hub{live: l, topics: map[string]*topic{}} }

// subjectOf translates a key of a page into a question for the leader.
func subjectOf(key string) (string, bool) {
	what, id, _ := strings.Cut(key, "/")
	switch what {
	case api.GetServices, api.GetHosts, api.GetCluster:
		return bus.GetSubject(what, ""), id == ""
	case api.GetRollout, api.GetService, api.GetHistory:
		return bus.GetSubject(what, id), bus.ValidToken(id) == nil
	}
	return "", false
}

// join begins to look at a key that subjectOf knows; wake hears of changes.
func (h *hub) join(key, subject string, wake chan struct{}) *topic {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topics[key]
	if t == nil {
		t = &topic{key: key, subject: subject, wakes: map[chan struct{}]struct{}{}}
		var ctx context.Context
		ctx, t.stop = context.WithCancel(h.live.ctx)
		h.topics[key] = t
		h.running.Go(func() { h.keep(ctx, t) })
	}
	t.mu.Lock()
	t.wakes[wake] = struct{}{}
	t.mu.Unlock()
	ring(wake)
	return t
}

// leave ends it.
func (h *hub) leave(t *topic, wake chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t.mu.Lock()
	delete(t.wakes, wake)
	last := len(t.wakes) == 0
	t.mu.Unlock()
	if last {
		t.stop()
		delete(h.topics, t.key)
	}
}

func (h *hub) wait() { h.running.Wait() }

// Private

// keep asks again and again until ctx ends.
func (h *hub) keep(ctx context.Context, t *topic) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		changed := h.live.ledger.Changed()
		answer, err := h.live.try(ctx, question{subject: t.subject})
		if ctx.Err() != nil {
			return
		}
		t.put(answer, err)
		if !wait(ctx, timer, restful, nil) || !wait(ctx, timer, refresh-restful, changed) {
			return
		}
	}
}

// wait returns after d or when sooner is closed; false if ctx ends.
func wait(ctx context.Context, timer *time.Timer, d time.Duration, sooner <-chan struct{}) bool {
	timer.Reset(d)
	select {
	case <-timer.C:
	case <-sooner:
	case <-ctx.Done():
		return false
	}
	return true
}

func (t *topic) put(answer []byte, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	trouble := ""
	if err != nil {
		trouble, answer = unanswered(err), t.answer
	}
	if trouble == t.trouble && bytes.Equal(answer, t.answer) {
		return
	}
	t.version++
	t.answer, t.trouble = answer, trouble
	for wake := range t.wakes {
		ring(wake)
	}
}

// get returns what is known.
func (t *topic) get() (answer []byte, trouble string, version int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.answer, t.trouble, t.version
}

func ring(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default: // it has been rung already
	}
}
