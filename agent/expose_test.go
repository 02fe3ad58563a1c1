package agent

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/agent/docker/dockertest"
)

// web is the network in memory that an agent serves HTTP on.
type web struct {
	conns chan net.Conn

	mu     sync.Mutex
	closed chan struct{}
}

func (w *web) open(context.Context, string, string) (net.Listener, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = make(chan struct{})
	return w, nil
}

func (w *web) Accept() (net.Conn, error) {
	w.mu.Lock()
	closed := w.closed
	w.mu.Unlock()
	select {
	case c := <-w.conns:
		return c, nil
	case <-closed:
		return nil, net.ErrClosed
	}
}

func (w *web) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.closed:
	default:
		close(w.closed)
	}
	return nil
}

func (w *web) Addr() net.Addr { return &net.TCPAddr{} }

// get asks the agent for a page.
func (b *bench) get(path string) (int, string) {
	b.t.Helper()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			select {
			case b.web.conns <- theirs:
				return ours, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
	}, Timeout: time.Minute}
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, "http://agent"+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	answer, err := client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// wantReady asks whether the agent is ready, and for why not.
func (b *bench) wantReady(status int, text string) {
	b.t.Helper()
	if got, said := b.get("/readyz"); got != status || !strings.Contains(said, text) {
		b.t.Errorf("readyz: %d %q, want %d with %q", got, said, status, text)
	}
}

// TestReadyWithDockerAndHAProxy: it lives before it has them, and is ready only
// while it has them.
func TestReadyWithDockerAndHAProxy(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.end()
		b.http = "agent:9311"
		heal := b.docker.Inject(dockertest.Fault{Hang: true, Times: -1})
		b.start()
		if status, _ := b.get("/healthz"); status != 200 {
			t.Errorf("healthz: %d while Docker hangs", status)
		}
		b.wantReady(503, "starting")
		heal()
		time.Sleep(time.Minute)
		b.wantReady(200, "ok") // HAProxy is started with the first service
		r1 := b.revision("1", 1)
		b.assign(b.want(5, r1, nil, 0))
		b.settled(5)
		b.wantReady(200, "ok")
		b.haproxy.FailNext(1)
		b.wantReady(503, "HAProxy")
		b.wantReady(200, "ok")
		b.docker.Inject(dockertest.Fault{Path: "/containers/json", Status: 500, Message: "the disk is full"})
		b.wantReady(503, "the disk is full")
		b.wantReady(200, "ok")
	})
}

// TestMetricsOfARollout: what a rollout does shows on the page.
func TestMetricsOfARollout(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.end()
		b.http = "agent:9311"
		b.start()
		r1, r2 := b.revision("1", 1), b.revision("2", 1)
		b.assign(b.want(5, r1, nil, 0))
		b.settled(5)
		b.assign(b.want(6, r1, r2, 1000))
		b.settled(6)
		b.serve(1000)
		time.Sleep(3 * time.Second)
		_, page := b.get("/metrics")
		for _, want := range []string{
			`serin_agent_requests_total{service="shop",track="canary"} 100`,
			`serin_agent_requests_total{service="shop",track="stable"} 900`,
			`serin_agent_request_errors_total{service="shop",track="canary"} 0`,
			`serin_agent_request_duration_seconds_count{service="shop",track="canary"} 100`,
			`serin_agent_weight_ratio{service="shop"} 0.1`, `serin_agent_epoch{service="shop"} 6`,
			`serin_agent_containers_ready{service="shop",track="canary"} 1`,
			`serin_agent_settled{service="shop"} 1`, `serin_agent_troubled{service="shop"} 0`,
			`serin_agent_operations_total{operation="create"} 2`, `serin_agent_operations_total{operation="share"} 1`,
			`serin_agent_haproxy_command_duration_seconds_count{command="show info"}`,
			`serin_agent_reconcile_duration_seconds_count{service="shop"}`, "serin_nats_connected 1",
			"serin_nats_round_trip_seconds ", `serin_agent_lease_seconds `,
		} {
			if !strings.Contains(page, want) {
				t.Errorf("%s is missing", want)
			}
		}
		b.assign(b.want(7, r1, nil, 0)) // back
		b.settled(7)
		b.serve(100)
		time.Sleep(3 * time.Second)
		_, page = b.get("/metrics")
		for _, want := range []string{
			`serin_agent_requests_total{service="shop",track="stable"} 1000`,
			`serin_agent_weight_ratio{service="shop"} 0`, `serin_agent_operations_total{operation="stop"} 1`,
		} {
			if !strings.Contains(page, want+"\n") {
				t.Errorf("%s is missing", want)
			}
		}
		if t.Failed() {
			t.Log(page)
		}
	})
}
