package haproxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// load is a set of strict clients: anything but a whole 200 counts as failed.
type load struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex
	requests int
	failed   map[string][]string // method -> what went wrong
}

// startLoad runs keepalive, short, slow and posting clients, each with a pause
// between its requests: a few hundred requests a second in all.
func startLoad(t *testing.T, listen string) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{cancel: cancel, failed: map[string][]string{}}
	t.Cleanup(func() { l.stop() })
	base := "http://" + listen
	for range 4 {
		l.client(ctx, base+"/", http.MethodGet, true, 15*time.Millisecond)
	}
	for range 2 {
		l.client(ctx, base+"/", http.MethodGet, false, 25*time.Millisecond)
		l.client(ctx, base+"/", http.MethodPost, true, 20*time.Millisecond)
		l.client(ctx, base+"/slow", http.MethodGet, true, 5*time.Millisecond)
	}
	return l
}

func (l *load) client(ctx context.Context, url, method string, keepalive bool, gap time.Duration) {
	transport := &http.Transport{DisableKeepAlives: !keepalive}
	c := &http.Client{Transport: transport, Timeout: patience}
	l.wg.Go(func() {
		defer transport.CloseIdleConnections()
		tick := time.NewTicker(gap)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				// A request under way at the end is finished, not cut.
				l.count(method, request(context.WithoutCancel(ctx), c, url, method))
			}
		}
	})
}

func request(ctx context.Context, c *http.Client, url, method string) error {
	const payload = "some order"
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader(payload)
	}
	// Go's client silently asks again when a kept connection ends without an
	// answer. Another client would not.
	var tries atomic.Int32
	trace := httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { tries.Add(1) }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, &trace), method, url, body)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if n := tries.Load(); n > 1 {
		return fmt.Errorf("answered at the %d. try", n)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	if !strings.HasSuffix(string(got), "xxxx") || (body != nil && !strings.Contains(string(got), " 10 ")) {
		return fmt.Errorf("not a whole answer: %d bytes", len(got))
	}
	return nil
}

func (l *load) count(method string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests++
	if err != nil {
		l.failed[method] = append(l.failed[method], err.Error())
	}
}

// more waits until n more requests were answered.
func (l *load) more(t *testing.T, n int) {
	t.Helper()
	start := l.total()
	eventually(t, "more requests", func() bool { return l.total() >= start+n })
}

func (l *load) total() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.requests
}

func (l *load) stop() {
	l.cancel()
	l.wg.Wait()
}

// none fails the test if a request failed, of the methods or of any.
func (l *load) none(t *testing.T, methods ...string) {
	t.Helper()
	l.stop()
	if len(methods) == 0 {
		methods = []string{http.MethodGet, http.MethodPost}
	}
	for _, m := range methods {
		if f := l.failed[m]; len(f) > 0 {
			t.Errorf("%d of %d requests failed (%s): %.300q", len(f), l.requests, m, f)
		}
	}
	t.Logf("%d requests", l.requests)
}
