package demo

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"sync"
	"time"
)

// rate is the load on the whole fleet in requests per second.
const rate = 200

const (
	workers        = 32
	requestTimeout = 20 * time.Second
	maxExamples    = 5
)

// load asks the frontends in turn, at a fixed rate, over kept connections, and
// counts what users would see.
type load struct {
	urls   []string
	client *http.Client

	mu    sync.Mutex
	stats stats
}

type stats struct {
	requests  int
	failed    int            // no answer, or a 5xx that the app did not give
	appErrors int            // 5xx that the app gave
	versions  map[string]int // answers by version
	firstBad  time.Time
	examples  []string // the first failures in words
}

func newLoad(urls []string) *load {
	transport := &http.Transport{MaxIdleConnsPerHost: workers, DisableCompression: true}
	return &load{urls: urls, client: &http.Client{Transport: transport, Timeout: requestTimeout}, stats: stats{versions: map[string]int{}}}
}

// start begins the load; the returned function ends it and waits for the last
// answer.
func (l *load) start(ctx context.Context) (stop func()) {
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

func (l *load) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats = stats{versions: map[string]int{}}
}

func (l *load) snapshot() stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.versions = maps.Clone(s.versions)
	return s
}

// Private

func (l *load) tick(ctx context.Context, ticks chan<- string) {
	ticker := time.NewTicker(time.Second / rate)
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
func (l *load) ask(url string) {
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

func (l *load) count(status int, version, failure string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.requests++
	bad := status >= http.StatusInternalServerError
	switch {
	case status == 0 || bad && version == "":
		l.stats.failed++
		if len(l.stats.examples) < maxExamples {
			l.stats.examples = append(l.stats.examples, failure)
		}
	case bad:
		l.stats.appErrors++
		if l.stats.firstBad.IsZero() {
			l.stats.firstBad = time.Now()
		}
	}
	l.stats.versions[version]++
}
