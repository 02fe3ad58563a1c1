package localfleet

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	workers        = 32
	requestTimeout = 20 * time.Second
	maxExamples    = 5
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
	FirstBad  time.Time      // the first 5xx that the app gave
	Examples  []string       // the first failures in words
}

// NewLoad makes a load of so many requests per second on all URLs together.
func NewLoad(urls []string, perSecond int) *Load {
	transport := &http.Transport{MaxIdleConnsPerHost: workers, DisableCompression: true}
	return &Load{
		urls: urls, interval: time.Second / time.Duration(perSecond),
		client: &http.Client{Transport: transport, Timeout: requestTimeout}, stats: Stats{Versions: map[string]int{}},
	}
}

// Start begins the load; the returned function ends it and waits for the last
// answer.
func (l *Load) Start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ticks := make(chan string, workers)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for url := range ticks {
				l.ask(url)
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
	l.stats = Stats{Versions: map[string]int{}}
	return taken
}

// Stats returns what has been counted so far.
func (l *Load) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Versions, s.Examples = maps.Clone(s.Versions), slices.Clone(s.Examples)
	return s
}

// Private

func (l *Load) tick(ctx context.Context, ticks chan<- string) {
	ticker := time.NewTicker(l.interval)
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		select {
		case ticks <- l.urls[i%len(l.urls)]:
		case <-ctx.Done():
			return
		}
	}
}

// ask sends one request to its end, also when the load is being stopped: what
// was begun counts.
func (l *Load) ask(url string) {
	answer, err := l.client.Get(url) //nolint:noctx // the client's timeout bounds it; a cancelled request would count as failed
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
	l.count(answer.StatusCode, answer.Header.Get(versionHeader), fmt.Sprintf("%s: %s without the app's header", url, answer.Status))
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
	l.stats.Versions[version]++
}
