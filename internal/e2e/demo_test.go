package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"github.com/serin-rollouts/serin/internal/demoimage"
	"github.com/serin-rollouts/serin/internal/localfleet"
)

// TestDemo runs the demo to its end and reads its report.
func TestDemo(t *testing.T) {
	t.Parallel()
	needMachine(t)
	stranger := startStranger(t)
	report := filepath.Join(t.TempDir(), "report.json")
	d := startDemo(t, "--hosts", "3", "--replicas", "1", "--report", report)
	d.await("installing")
	d.note()
	if code := d.end(10 * time.Minute); code != 0 {
		t.Fatalf("exit code %d\n%s", code, d.out())
	}
	d.wantNothingLeft()
	if !stranger() {
		t.Error("a container that is not the demo's was touched")
	}
	type result struct {
		Outcome          string
		Requests, Failed int
		CanaryErrors     int   `json:"canary_errors"`
		DetectMillis     int64 `json:"detect_ms"`
		RollbackMillis   int64 `json:"rollback_ms"`
		Gate             string
		CanaryRequests   int `json:"canary_requests"`
	}
	var r struct {
		Good, Bad       result
		Hosts, Replicas int
	}
	data, err := os.ReadFile(report)
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	if r.Good.Outcome != "Succeeded" || r.Good.Failed != 0 || r.Good.Requests == 0 {
		t.Errorf("good: %+v", r.Good)
	}
	if r.Bad.Outcome != "RolledBack" || r.Bad.Failed != 0 || r.Bad.CanaryErrors == 0 || r.Bad.DetectMillis <= 0 || r.Bad.RollbackMillis < 0 {
		t.Errorf("bad: %+v", r.Bad)
	}
	if r.Bad.Gate != "errors" || r.Bad.CanaryRequests <= r.Bad.CanaryErrors {
		t.Errorf("bad, by gate %q: %+v", r.Bad.Gate, r.Bad)
	}
	if r.Hosts != 3 || r.Replicas != 1 {
		t.Errorf("%d hosts, %d replicas", r.Hosts, r.Replicas)
	}
}

// TestDemoEnded: however a demo ends, and whenever, nothing of it stays.
func TestDemoEnded(t *testing.T) {
	t.Parallel()
	needMachine(t)
	chance := newChance(t)
	type end struct {
		when string
		by   syscall.Signal
	}
	ends := []end{{"rolling out v1", syscall.SIGTERM}, {"step 1 of 2: 10%", syscall.SIGHUP}}
	for _, when := range []string{"starting", "installing", "rolling out v1", "step 1 of 2: 10%"} {
		ends = append(ends, end{when, syscall.SIGKILL}, end{when, syscall.SIGINT})
	}
	for _, c := range ends {
		t.Run(c.by.String()+" at "+c.when, func(t *testing.T) {
			d := startDemo(t, "--hosts", "1", "--replicas", "1")
			d.await(c.when)
			wait := time.Duration(chance.IntN(800)) * time.Millisecond
			t.Logf("%s after %s", c.by, wait)
			<-time.After(wait)
			d.note()
			if err := d.command.Process.Signal(c.by); err != nil {
				t.Fatal(err)
			}
			code := d.end(patience)
			if asked := c.by != syscall.SIGKILL; asked && code != 130 {
				t.Errorf("exit code %d\n%s", code, d.out())
			}
			d.wantNothingLeft()
		})
	}
}

// TestDemoNeeds: what is missing is named, with what to do about it.
func TestDemoNeeds(t *testing.T) {
	needMachine(t)
	alone := filepath.Join(t.TempDir(), "serin")
	if err := os.Link(filepath.Join(bin, "serin"), alone); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ program, env, want string }{
		{alone, "PATH=" + os.Getenv("PATH"), "make build"},
		{filepath.Join(bin, "serin"), "PATH=/nowhere", "make setup"},
	} {
		command := exec.CommandContext(t.Context(), c.program, "demo")
		command.Env = append(os.Environ(), c.env)
		out, err := command.CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 || !strings.Contains(string(out), c.want) {
			t.Errorf("%s %s: %v, %s", c.program, c.env, err, out)
		}
	}
}

// demo is a running demo with a temporary directory of its own.
type demo struct {
	t       *testing.T
	dir     string
	command *exec.Cmd
	lines   chan string
	said    []string
	name    string   // of its run
	images  []string // its repository
}

func startDemo(t *testing.T, args ...string) *demo {
	t.Helper()
	dir, err := os.MkdirTemp("", "d") //nolint:usetesting // a socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	d := &demo{t: t, dir: dir, lines: make(chan string, 1000)}
	d.command = exec.Command(filepath.Join(bin, "serin"), append([]string{"demo"}, args...)...)
	d.command.Env = append(os.Environ(), "TMPDIR="+dir)
	d.command.Stderr = t.Output()
	out, err := d.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.command.Process.Kill() })
	go func() {
		defer close(d.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			d.lines <- lines.Text()
		}
	}()
	return d
}

// await waits for a line of the demo's.
func (d *demo) await(text string) {
	d.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case line, ok := <-d.lines:
			d.said = append(d.said, line)
			if !ok {
				d.t.Fatalf("it ended without %q\n%s", text, d.out())
			}
			if strings.Contains(line, text) {
				return
			}
		case <-deadline:
			d.t.Fatalf("no %q\n%s", text, d.out())
		}
	}
}

// note learns the run's name and its images' from what there is of it now.
func (d *demo) note() {
	d.t.Helper()
	for _, line := range commandLines(d.dir) {
		if i := slices.Index(line, "--images"); i > 0 {
			d.images = []string{line[i+1]}
		}
	}
	if found := regexp.MustCompile(`serin-(demo-[0-9a-f]+)`).FindStringSubmatch(d.out()); found != nil {
		d.name = found[1]
	}
	if d.name == "" {
		d.t.Fatalf("it does not say its directory\n%s", d.out())
	}
}

func (d *demo) out() string { return strings.Join(d.said, "\n") }

// end waits for the demo's own end and returns its exit code.
func (d *demo) end(limit time.Duration) int {
	d.t.Helper()
	deadline := time.After(limit)
	for {
		select {
		case line, ok := <-d.lines:
			if ok {
				d.said = append(d.said, line)
				continue
			}
			_ = d.command.Wait()
			return d.command.ProcessState.ExitCode()
		case <-deadline:
			d.t.Fatalf("it goes on after %s\n%s", limit, d.out())
		}
	}
}

// wantNothingLeft waits until no process, file, container or image is left.
func (d *demo) wantNothingLeft() {
	d.t.Helper()
	ctx := bounded(d.t, 2*patience)
	engine := openEngine(d.t)
	eventually(d.t, "nothing is left", func() error {
		if lines := commandLines(d.dir); len(lines) > 0 {
			return fmt.Errorf("processes: %v", lines)
		}
		if files, err := os.ReadDir(d.dir); err != nil || len(files) > 0 {
			return fmt.Errorf("files: %v, %w", files, err)
		}
		containers, err := engine.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", localfleet.HostLabel))})
		if err != nil {
			return err
		}
		for _, c := range containers {
			if strings.HasPrefix(c.Labels[localfleet.HostLabel], d.name) {
				return fmt.Errorf("container %v", c.Names)
			}
		}
		return d.noImages(ctx, engine)
	})
}

func (d *demo) noImages(ctx context.Context, engine *client.Client) error {
	images, err := engine.ImageList(ctx, image.ListOptions{All: true})
	if err != nil {
		return err
	}
	for _, i := range images {
		for _, name := range append(i.RepoTags, i.RepoDigests...) {
			for _, repository := range d.images {
				if strings.HasPrefix(name, repository) {
					return fmt.Errorf("image %s", name)
				}
			}
		}
	}
	return nil
}

// commandLines returns the command lines of all processes that name a path
// below dir.
func commandLines(dir string) [][]string {
	var found [][]string
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err == nil && bytes.Contains(line, []byte(dir+"/")) {
			found = append(found, strings.Split(string(line), "\x00"))
		}
	}
	return found
}

func openEngine(t *testing.T) *client.Client {
	t.Helper()
	engine, err := client.NewClientWithOpts(client.WithHost("unix:///var/run/docker.sock"), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	return engine
}

// startStranger runs a container that is nobody's in a fleet, from an image of
// the same name; the returned function tells whether it still runs untouched.
func startStranger(t *testing.T) (untouched func() bool) {
	t.Helper()
	engine, ctx := openEngine(t), bounded(t, 15*time.Minute)
	ref := strangeImage(t, engine)
	created, err := engine.ContainerCreate(ctx, &container.Config{
		Image: ref, Labels: map[string]string{"dev.serin.test": "stranger"},
	}, nil, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.ContainerRemove(ctx, created.ID, container.RemoveOptions{Force: true}); err != nil {
			t.Errorf("remove the stranger: %v", err)
		}
		if _, err := engine.ImageRemove(ctx, ref, image.RemoveOptions{}); err != nil {
			t.Errorf("remove the stranger's image: %v", err)
		}
	})
	if err := engine.ContainerStart(ctx, created.ID, container.StartOptions{}); err != nil {
		t.Fatal(err)
	}
	before, err := engine.ContainerInspect(ctx, created.ID)
	if err != nil {
		t.Fatal(err)
	}
	return func() bool {
		now, err := engine.ContainerInspect(ctx, created.ID)
		return err == nil && now.State.Running && now.State.StartedAt == before.State.StartedAt
	}
}

func strangeImage(t *testing.T, engine *client.Client) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- demoimage.Serve(ctx, l, "") }()
	defer func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	ref, err := demoimage.Push(ctx, l.Addr().String(), demoimage.App{
		Name: "serin-demo", Tag: "v1", Binary: filepath.Join(bin, "serin"), Args: []string{"demo", "app", "--version", "stranger"},
	})
	if err != nil {
		t.Fatal(err)
	}
	progress, err := engine.ImagePull(ctx, ref, image.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = progress.Close() }()
	if _, err := io.Copy(io.Discard, progress); err != nil {
		t.Fatal(err)
	}
	return ref
}
