package coordinator

import (
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/coordinator/replica"
	"github.com/serin-rollouts/serin/internal/porttest"
)

// standing is a replica that says what it is told to.
type standing struct{ now replica.Cluster }

func (s *standing) Cluster() (replica.Cluster, error) { return s.now, nil }

// A replica is ready once it has been level with its leader, and while it hears
// of it.
func TestReadyOnceCaughtUp(t *testing.T) {
	goal, silent := uint64(0), errors.New("nobody answers")
	r := &readiness{committed: func(context.Context) (uint64, error) { return goal, silent }}
	wantNot := func(why string) {
		t.Helper()
		if err := r.check(t.Context()); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%v, want %q", err, why)
		}
	}
	ready := func() {
		t.Helper()
		if err := r.check(t.Context()); err != nil {
			t.Error(err)
		}
	}
	wantNot("starting")
	s := &standing{replica.Cluster{Role: "follower", ContactMillis: -1, Applied: 7, Commit: 7}}
	var g replicated = s
	r.group.Store(&g)
	wantNot("no leader")
	s.now.Leader = "c2"
	wantNot("c2 has not been heard yet")
	s.now.ContactMillis = 20
	wantNot("nobody answers")
	goal, silent = 9, nil
	wantNot("7 of 9")
	s.now.Applied = 9
	ready()
	goal = 12 // what comes later is a matter of milliseconds
	ready()
	s.now.ContactMillis = 11_000
	wantNot("for 11s")
	s.now.Leader = ""
	wantNot("no leader")
}

// A coordinator serves its page from before it is ready.
func TestServesHTTP(t *testing.T) {
	if testing.Short() {
		t.Skip("runs in real time")
	}
	address := porttest.Address(t)
	raft := porttest.Address(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Config{
			ID: "c1", Data: filepath.Join(t.TempDir(), "c1"), HTTP: address, Version: "1.2.3", Log: testLog(),
			NATS: NATS{Embed: true, Listen: porttest.Address(t)}, Raft: Raft{Listen: raft, Peers: []string{"c1=" + raft}},
		})
	}()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	awaitPage(t, "http://"+address+"/healthz", "ok")
	awaitPage(t, "http://"+address+"/readyz", "ok")
	page := awaitPage(t, "http://"+address+"/metrics", "serin_fleet_hosts{")
	for _, want := range []string{"serin_raft_leader 1", "serin_nats_connected 1", `version="1.2.3"`, "serin_coordinator_loop_wait_seconds"} {
		if !strings.Contains(page, want) {
			t.Errorf("%s is missing in\n%s", want, page)
		}
	}
}

// awaitPage waits until a page has a text with status 200, and returns the page.
func awaitPage(t *testing.T, url, text string) string {
	t.Helper()
	last := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			last = err.Error()
			continue
		}
		body, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if last = string(body); err == nil && answer.StatusCode == http.StatusOK && strings.Contains(last, text) {
			return last
		}
	}
	t.Fatalf("%s: no %q in %s; the last was %s", url, text, patience, last)
	return ""
}
