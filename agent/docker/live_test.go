package docker_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	ggcr "github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/serin-rollouts/serin/agent/docker"
	"github.com/serin-rollouts/serin/agent/docker/dockertest"
	"github.com/serin-rollouts/serin/internal/needtest"
)

const socket = "/var/run/docker.sock"

// needDocker skips, or fails on CI, where the real Engine is missing.
func needDocker(t *testing.T) {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "unix", socket)
	needtest.Need(t, "Docker", err)
	_ = c.Close() // it was to answer, no more
}

// realWorld is the Docker Engine of this machine. All that a test makes
// carries its label, and is removed in the end.
func realWorld(t *testing.T) *world {
	t.Helper()
	needDocker(t)
	w := open(t, &wire{dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}})
	t.Cleanup(func() { w.sweep(t) })
	w.load = func(t *testing.T, tag string) (string, string) {
		t.Helper()
		ref := "serin-test-" + w.id + ":" + tag
		return ref, loadImage(t, w.raw, ref, appImage(t, w.id+tag))
	}
	w.sick = func(t *testing.T) string {
		t.Helper()
		ref := "serin-test-" + w.id + ":sick"
		loadImage(t, w.raw, ref, appImage(t, w.id+"sick", func(c *v1.Config) {
			c.Healthcheck = &v1.HealthConfig{Test: []string{"CMD", "/app", "check"}, Interval: time.Second, Retries: 1}
		}))
		return ref
	}
	w.fall = func(t *testing.T, c docker.Container) {
		t.Helper()
		ask(t, c, "/fall")
	}
	w.push = func(t *testing.T) (string, string) {
		t.Helper()
		return pushImage(t, w.id, registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	}
	w.die = func(t *testing.T, c docker.Container, code int) {
		t.Helper()
		ask(t, c, fmt.Sprintf("/exit?code=%d", code))
	}
	w.oom = func(t *testing.T, c docker.Container) {
		t.Helper()
		ask(t, c, "/eat")
	}
	w.uses = func(docker.Container, dockertest.Usage) {}
	w.net = func(t *testing.T) string {
		t.Helper()
		name := "serin-test-" + w.id
		if _, err := w.raw.NetworkCreate(t.Context(), name, network.CreateOptions{Labels: w.labels()}); err != nil {
			t.Fatal(err)
		}
		return name
	}
	return w
}

// sweep removes what the test has left.
func (w *world) sweep(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	ours := filters.NewArgs(filters.Arg("label", testLabel+"="+w.id))
	left, err := w.raw.ContainerList(ctx, container.ListOptions{All: true, Filters: ours})
	for _, c := range left {
		err = w.raw.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
	}
	images, listErr := w.raw.ImageList(ctx, image.ListOptions{All: true, Filters: ours})
	for _, i := range images {
		_, err = w.raw.ImageRemove(ctx, i.ID, image.RemoveOptions{Force: true})
	}
	nets, netErr := w.raw.NetworkList(ctx, network.ListOptions{Filters: ours})
	for _, n := range nets {
		err = w.raw.NetworkRemove(ctx, n.ID)
	}
	for _, e := range []error{err, listErr, netErr} {
		if e != nil {
			t.Errorf("clean up: %v", e)
		}
	}
}

// ask makes the program in a container do something that it may not survive.
func ask(t *testing.T, c docker.Container, path string) {
	t.Helper()
	eventually(t, "the app of "+c.Name+" accepts connections", func() bool {
		conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(t.Context(), "tcp", net.JoinHostPort(c.IP.String(), "8080"))
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(c.IP.String(), "8080")+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_ = resp.Body.Close()
	}
}

// buildApp compiles testdata/app once, statically.
var buildApp = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "serin-test-app")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	out := filepath.Join(dir, "app")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, "./testdata/app")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, said)
	}
	return os.ReadFile(out)
})

// appImage is an image of its own, told from others by its label.
func appImage(t *testing.T, label string, more ...func(*v1.Config)) v1.Image {
	t.Helper()
	app, err := buildApp()
	if err != nil {
		t.Fatal(err)
	}
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	if err := w.WriteHeader(&tar.Header{Name: "app", Mode: 0o755, Size: int64(len(app))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(app); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	config.Config.Entrypoint = []string{"/app"}
	config.Config.Labels = map[string]string{"image": label, testLabel: label[:12]}
	for _, change := range more {
		change(&config.Config)
	}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

// loadImage puts an image on the host as `docker load` does, and returns its
// id.
func loadImage(t *testing.T, raw *client.Client, ref string, img v1.Image) string {
	t.Helper()
	tag, err := ggcr.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	if err := tarball.Write(tag, img, &archive); err != nil {
		t.Fatal(err)
	}
	resp, err := raw.ImageLoad(t.Context(), &archive)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	id, err := img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	return id.String()
}

// pushImage serves a registry on the loopback, which Docker trusts without
// TLS, with one image in it. opts are for the push.
func pushImage(t *testing.T, label string, handler http.Handler, opts ...remote.Option) (ref, digest string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	ref = strings.TrimPrefix(server.URL, "http://") + "/serin-test-" + label + ":v1"
	tag, err := ggcr.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	img := appImage(t, label)
	if err := remote.Write(tag, img, opts...); err != nil {
		t.Fatal(err)
	}
	sum, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return ref, sum.String()
}
