package demoimage_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/serin-rollouts/serin/internal/demoimage"
	"github.com/serin-rollouts/serin/internal/needtest"
)

// dockerClient is one of the real Docker. Without one the test fails in CI and is skipped elsewhere.
func dockerClient(t *testing.T) *client.Client {
	t.Helper()
	docker, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err == nil {
		t.Cleanup(func() { _ = docker.Close() })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = docker.Ping(ctx)
	}
	needtest.Need(t, "Docker", err)
	return docker
}

// TestDockerPullsAndRuns takes the way of the demo: push, pull by digest, run.
func TestDockerPullsAndRuns(t *testing.T) {
	docker := dockerClient(t)
	ref := push(t, serve(t, ""), demoimage.App{
		Name: "demoimage-test", Tag: "v1", Binary: buildProgram(t), Args: []string{"a", "b"},
		Env: map[string]string{"GREETING": "hello"},
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	progress, err := docker.ImagePull(ctx, ref, image.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := io.ReadAll(progress); err != nil || bytes.Contains(out, []byte(`"error"`)) {
		t.Fatalf("pull %s: %v\n%s", ref, err, out)
	}
	_ = progress.Close()
	t.Cleanup(func() {
		if _, err := docker.ImageRemove(context.Background(), ref, image.RemoveOptions{PruneChildren: true}); err != nil {
			t.Errorf("remove image: %v", err)
		}
	})
	if got, want := runContainer(ctx, t, docker, ref), "hello [a b] 65534"; got != want {
		t.Errorf("the container said %q, want %q", got, want)
	}
}

// runContainer runs ref to its end and returns what it wrote.
func runContainer(ctx context.Context, t *testing.T, docker *client.Client, ref string) string {
	t.Helper()
	created, err := docker.ContainerCreate(ctx, &container.Config{
		Image: ref, Labels: map[string]string{"dev.serin.test": "demoimage"},
	}, &container.HostConfig{NetworkMode: "none"}, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := docker.ContainerRemove(context.Background(), created.ID, container.RemoveOptions{Force: true}); err != nil {
			t.Errorf("remove container: %v", err)
		}
	})
	ended, failed := docker.ContainerWait(ctx, created.ID, container.WaitConditionNextExit)
	if err := docker.ContainerStart(ctx, created.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-failed:
		t.Fatal(err)
	case status := <-ended:
		if status.StatusCode != 0 {
			t.Errorf("exit code %d", status.StatusCode)
		}
	}
	logs, err := docker.ContainerLogs(ctx, created.ID, container.LogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = logs.Close() }()
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &out, logs); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out.String())
}
