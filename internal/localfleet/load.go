package localfleet

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	workers        = 32
	requestTimeout = 20 * time.Second
	// A client has to give up an idle connection before the server does, or else a
	// request may meet its end.
	idleTimeout = 30 * time.Second
	maxExamples = 5
)

// Load asks the frontends in turn, at a fixed rate, over kept connections, and
// counts what users would see.
type Load struct {
	urls     []string
	interval time.Duration
	client   *http.Client

	mu    sync.Mutex
	stats Stats
}

// Stats is what users saw since the last Reset.
type Stats struct {
	Requests  int
	Failed    int            // no answer, or a 5xx that the app did not give
	AppErrors int            // 5xx that the app gave
	Versions  map[string]int // answers by version
	// Began is when each version gave its first answer, FirstBad when one first
	// gave a 5xx.
	Began    map[string]time.Time
	FirstBad time.Time
	Examples []string // the first failures in words
}

// NewLoad makes a load of so many requests per second on all URLs together.
func NewLoad(urls []string, perSecond int) *Load {
	transport := &http.Transport{MaxIdleConnsPerHost: workers, IdleConnTimeout: idleTimeout, DisableCompression: true}
	return &Load{
		urls: urls, interval: time.Second / time.Duration(perSecond),
		client: &http.Client{Transport: transport, Timeout: requestTimeout}, stats: newStats(),
	}
}

// Start begins the load; the returned function ends it and waits for the last
// answer.
func (l *Load) Start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ticks := make(chan question, workers)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for q := range ticks {
				l.ask(context.WithoutCancel(ctx), q) // what was begun counts, also when the load is being stopped
			}
		})
	}
	wg.Go(func() {
		defer close(ticks)
		l.tick(ctx, ticks)
	})
	return func() {
		cancel()
		wg.Wait()
		l.client.CloseIdleConnections()
	}
}

// Take returns what has been counted since the last Take, and counts anew.
func (l *Load) Take() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.stats
	l.stats = newStats()
	return taken
}

// Stats returns what has been counted so far.
func (l *Load) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Versions, s.Began, s.Examples = maps.Clone(s.Versions), maps.Clone(s.Began), slices.Clone(s.Examples)
	return s
}

// Private

func newStats() Stats { return Stats{Versions: map[string]int{}, Began: map[string]time.Time{}} }

// question is one request: where, and which by the load's own count.
type question struct {
	url    string
	number uint64
}

func (l *Load) tick(ctx context.Context, ticks chan<- question) {
	ticker := time.NewTicker(l.interval)
	defer ticker.Stop()
	for i := uint64(0); ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		select {
		case ticks <- question{l.urls[i%uint64(len(l.urls))], i}:
		case <-ctx.Done():
			return
		}
	}
}

// ask sends one request to its end; the client's timeout bounds it.
func (l *Load) ask(ctx context.Context, q question) {
	// Go's client silently asks again when a kept connection ends without an
	// answer. Another client would not, so that is a failure.
	var tries atomic.Int32
	trace := httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { tries.Add(1) }}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, &trace), http.MethodGet, q.url, http.NoBody)
	if err != nil {
		l.count(0, "", err.Error())
		return
	}
	request.Header.Set(NumberHeader, strconv.FormatUint(q.number, 10))
	answer, err := l.client.Do(request)
	if n := tries.Load(); err == nil && n > 1 {
		_ = answer.Body.Close()
		err = fmt.Errorf("%s: answered at the %d. try only: a connection was closed without an answer", q.url, n)
	}
	if err != nil {
		l.count(0, "", err.Error())
		return
	}
	_, err = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	if err != nil {
		l.count(0, "", "cut short: "+err.Error())
		return
	}
	l.count(answer.StatusCode, answer.Header.Get(VersionHeader), fmt.Sprintf("%s: %s without the app's header", q.url, answer.Status))
}

func (l *Load) count(status int, version, failure string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Requests++
	bad := status >= http.StatusInternalServerError
	switch {
	case status == 0 || bad && version == "":
		l.stats.Failed++
		if len(l.stats.Examples) < maxExamples {
			l.stats.Examples = append(l.stats.Examples, failure)
		}
	case bad:
		l.stats.AppErrors++
		if l.stats.FirstBad.IsZero() {
			l.stats.FirstBad = time.Now()
		}
	}
	if l.stats.Versions[version]++; l.stats.Began[version].IsZero() {
		l.stats.Began[version] = time.Now()
	}
}
