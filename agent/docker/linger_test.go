package docker_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/serin-rollouts/serin/agent/docker"
)

// A container that Docker makes is known to who asked for it, also if that one was
// told to stop meanwhile.
func TestCreateIsNotLeftAlone(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	daemon := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", docker.MinAPI)
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/containers/create") {
			stop() // before there is an answer
			select {
			case <-r.Context().Done():
				return
			default:
			}
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(`{"Id": "made"}`))
		}
	}))
	defer daemon.Close()
	engine, err := docker.Open(ctx, docker.Config{Host: "tcp://" + daemon.Listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = engine.Close() }()
	id, err := engine.Create(ctx, docker.Spec{Name: "serin-web-1-shop-a1-0", Image: "shop", Labels: map[string]string{"serin.host": "web-1"}})
	if err != nil || id != "made" {
		t.Errorf("id %q, %v; want the container that was made", id, err)
	}
}
