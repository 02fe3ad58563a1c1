package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/serin-rollouts/serin/chaos/history"
)

// dockerPatience bounds one call that makes a dockerd work.
const dockerPatience = 30 * time.Second

// Containers are all that the host's dockerd has, whoever made them. They are
// read without serin's own adapter, which could be what is wrong.
func (n *Node) Containers(ctx context.Context) ([]history.Container, error) {
	var list []struct {
		ID string `json:"Id"`
	}
	if err := n.docker(ctx, http.MethodGet, "/containers/json?all=1", nil, &list); err != nil {
		return nil, err
	}
	var all []history.Container
	for _, item := range list {
		var c struct {
			Name            string
			State           struct{ Status, StartedAt string }
			Config          struct{ Labels map[string]string }
			NetworkSettings struct{ IPAddress string }
		}
		if err := n.docker(ctx, http.MethodGet, "/containers/"+item.ID+"/json", nil, &c); err != nil {
			return nil, err
		}
		all = append(all, history.Container{
			ID: item.ID, Name: strings.TrimPrefix(c.Name, "/"), State: c.State.Status, StartedAt: c.State.StartedAt,
			Address: c.NetworkSettings.IPAddress, Labels: c.Config.Labels,
		})
	}
	slices.SortFunc(all, func(a, b history.Container) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// Killed tells of each signal that somebody asks the host's dockerd to send to one
// of the containers with a label, and the value of that, until the stream ends.
func (n *Node) Killed(ctx context.Context, label string, tell func(value, signal string)) error {
	filters, err := json.Marshal(map[string][]string{"type": {"container"}, "event": {"kill"}, "label": {label}})
	if err != nil {
		panic(err) // strings always encode
	}
	answer, err := n.call(ctx, http.MethodGet, "/events?filters="+url.QueryEscape(string(filters)), nil)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	for stream := json.NewDecoder(answer.Body); ; {
		var e struct {
			Actor struct{ Attributes map[string]string }
		}
		if err := stream.Decode(&e); err != nil {
			return fmt.Errorf("follow the dockerd of %s: %w", n.Name, err)
		}
		tell(e.Actor.Attributes[label], e.Actor.Attributes["signal"])
	}
}

// AddStranger starts a container that is not serin's, although it looks like one
// of serin's: it runs the same image.
func (n *Node) AddStranger(ctx context.Context, tag string) (history.Stranger, error) {
	image := n.fleet.Image(tag)
	repository, _, _ := strings.Cut(image, ":"+tag)
	if err := n.docker(ctx, http.MethodPost, "/images/create?fromImage="+repository+"&tag="+tag, nil, nil); err != nil {
		return history.Stranger{}, err
	}
	var made struct {
		ID string `json:"Id"`
	}
	body := map[string]any{
		"Image": image, "Labels": map[string]string{"app": "shop"},
		"HostConfig": map[string]any{"RestartPolicy": map[string]any{"Name": "always"}},
	}
	if err := n.docker(ctx, http.MethodPost, "/containers/create?name=stranger", body, &made); err != nil {
		return history.Stranger{}, err
	}
	if err := n.docker(ctx, http.MethodPost, "/containers/"+made.ID+"/start", nil, nil); err != nil {
		return history.Stranger{}, err
	}
	all, err := n.Containers(ctx)
	if err != nil {
		return history.Stranger{}, err
	}
	for _, c := range all {
		if c.ID == made.ID {
			return history.Stranger{Host: n.Name, ID: c.ID, StartedAt: c.StartedAt}, nil
		}
	}
	return history.Stranger{}, fmt.Errorf("the stranger on %s is not there", n.Name)
}

// Private

// docker calls the host's dockerd, and decodes its answer into result unless
// that is nil.
func (n *Node) docker(ctx context.Context, method, path string, body, result any) error {
	ctx, cancel := context.WithTimeout(ctx, dockerPatience)
	defer cancel()
	answer, err := n.call(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	data, err := io.ReadAll(answer.Body)
	if err == nil && result != nil {
		err = json.Unmarshal(data, result)
	}
	if err != nil {
		return fmt.Errorf("%s %s on %s: %w", method, path, n.Name, err)
	}
	return nil
}

// call calls the host's dockerd. The caller closes the answer's body.
func (n *Node) call(ctx context.Context, method, path string, body any) (*http.Response, error) {
	socket, err := n.Path(dockerSocket)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	var payload bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&payload).Encode(body); err != nil {
			return nil, fmt.Errorf("ask the dockerd of %s: %w", n.Name, err)
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://docker"+path, &payload)
	if err != nil {
		return nil, fmt.Errorf("ask the dockerd of %s: %w", n.Name, err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask the dockerd of %s: %w", n.Name, err)
	}
	if answer.StatusCode < http.StatusBadRequest {
		return answer, nil
	}
	defer func() { _ = answer.Body.Close() }()
	why, _ := io.ReadAll(answer.Body) // as much as there is
	return nil, fmt.Errorf("%s %s on %s: %s: %s", method, path, n.Name, answer.Status, why)
}
