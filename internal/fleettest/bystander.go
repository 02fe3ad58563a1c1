package fleettest

import (
	"context"
	"net"
	"net/http"
	"strings"

	"github.com/serin-rollouts/serin/agent/docker/dockertest"
)

// bystanderName is that of a container on every host that is none of serin's.
const bystanderName = "bystander"

// Private

// addBystander runs it.
func (h *Host) addBystander() {
	h.fleet.t.Helper()
	h.docker.AddImage(dockertest.Image{Ref: "bystander:1", Content: "1"})
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return h.docker.Dial(ctx, network, addr)
	}}}
	for _, call := range [][2]string{
		{"/v1.41/containers/create?name=" + bystanderName, `{"Image":"bystander:1"}`},
		{"/v1.41/containers/" + bystanderName + "/start", ""},
	} {
		req, err := http.NewRequestWithContext(h.fleet.ctx, http.MethodPost, "http://docker"+call[0], strings.NewReader(call[1]))
		if err != nil {
			h.fleet.t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			h.fleet.t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode >= http.StatusBadRequest {
			h.fleet.t.Fatalf("%s answers %s", call[0], resp.Status)
		}
	}
}
