package docker_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-rollouts/serin/agent/docker"
	"github.com/serin-rollouts/serin/agent/docker/dockertest"
)

// bubbled is what a test in a bubble works with.
type bubbled struct {
	*testing.T
	fake   *dockertest.Fake
	engine *docker.Engine
}

// bubble runs a test against a Fake under virtual time: deadlines cost
// nothing, and a goroutine that does not end fails it.
func bubble(t *testing.T, cfg dockertest.Config, test func(b bubbled)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := dockertest.New(cfg)
		defer func() { _ = f.Close() }()
		f.AddImage(dockertest.Image{Ref: "app:v1"})
		e, err := docker.Open(t.Context(), docker.Config{Dial: f.Dial, Log: logTo(t)})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = e.Close() }()
		test(bubbled{T: t, fake: f, engine: e})
	})
}

func spec(name string) docker.Spec {
	return docker.Spec{Name: name, Image: "app:v1", Labels: map[string]string{testLabel: "x"}}
}

func runOn(t *testing.T, e *docker.Engine, name string) string {
	t.Helper()
	id, err := e.Create(t.Context(), spec(name))
	if err == nil {
		err = e.Start(t.Context(), id)
	}
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestOpenWithoutDaemon(t *testing.T) {
	for name, test := range map[string]struct {
		host string
		dial func(context.Context, string, string) (net.Conn, error)
		says string
	}{
		"no socket": {host: "unix://" + filepath.Join(t.TempDir(), "none.sock"), says: "systemctl start docker"},
		"no address": {
			says: "systemctl start docker",
			dial: func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED },
		},
		"forbidden": {
			says: "group docker",
			dial: func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Net: "unix", Err: fs.ErrPermission}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := docker.Open(t.Context(), docker.Config{Host: test.host, Dial: test.dial})
			if !errors.Is(err, docker.ErrUnavailable) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := docker.Open(t.Context(), docker.Config{Host: "docker"}); err == nil || !strings.Contains(err.Error(), `"docker"`) {
		t.Errorf("a host without a scheme: %v", err)
	}
}

func TestOpenOfOldDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := dockertest.New(dockertest.Config{APIVersion: "1.40"})
		defer func() { _ = f.Close() }()
		_, err := docker.Open(t.Context(), docker.Config{Dial: f.Dial})
		if err == nil || !strings.Contains(err.Error(), "upgrade Docker") {
			t.Errorf("got %v", err)
		}
	})
}

// A stopped daemon accepts connections and never answers: every method comes
// back within its deadline, and says so.
func TestFrozenDaemon(t *testing.T) {
	bubble(t, dockertest.Config{Registry: dockertest.NewRegistry()}, func(b bubbled) {
		t, f, e := b.T, b.fake, b.engine
		id := runOn(t, e, "a")
		f.Freeze()
		defer f.Thaw()
		ctx := t.Context()
		labels := map[string]string{testLabel: "x"}
		for what, call := range map[string]func() error{
			"Info":     func() error { _, err := e.Info(ctx); return err },
			"List":     func() error { _, err := e.List(ctx, labels); return err },
			"Resolve":  func() error { _, err := e.Resolve(ctx, "app:v1"); return err },
			"HasImage": func() error { _, err := e.HasImage(ctx, "app:v1"); return err },
			"Pull":     func() error { return e.Pull(ctx, "app@"+noDigest) },
			"Create":   func() error { _, err := e.Create(ctx, spec("b")); return err },
			"Start":    func() error { return e.Start(ctx, id) },
			"Stop":     func() error { return e.Stop(ctx, id, 30*time.Second) },
			"Remove":   func() error { return e.Remove(ctx, id) },
			"Logs":     func() error { _, err := e.Logs(ctx, id, 10); return err },
			"Open": func() error {
				_, err := docker.Open(ctx, docker.Config{Dial: f.Dial})
				return err
			},
		} {
			began := time.Now()
			err := call()
			if took := time.Since(began); took > 40*time.Second {
				t.Errorf("%s took %s", what, took)
			}
			if !errors.Is(err, docker.ErrUnavailable) || !strings.Contains(err.Error(), "systemctl status docker") {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

// The end of the caller's context is the caller's, not the daemon's fault.
func TestCancelledCall(t *testing.T) {
	bubble(t, dockertest.Config{}, func(b bubbled) {
		t, f, e := b.T, b.fake, b.engine
		f.Inject(dockertest.Fault{Path: "/containers/json", Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := e.List(ctx, map[string]string{testLabel: "x"})
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, docker.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	})
}

// The answer to a request may be lost after the work was done: doing it again
// finds the work done.
func TestLostAnswers(t *testing.T) {
	bubble(t, dockertest.Config{}, func(b bubbled) {
		t, f, e := b.T, b.fake, b.engine
		ctx := t.Context()
		for _, fault := range []dockertest.Fault{{Late: true, Drop: true}, {Late: true, Hang: true}} {
			var id string
			fault.Method = http.MethodPost
			twice(t, f, fault, "/create", func() (err error) { id, err = e.Create(ctx, spec("a")); return err })
			twice(t, f, fault, "/start", func() error { return e.Start(ctx, id) })
			twice(t, f, fault, "/stop", func() error { return e.Stop(ctx, id, time.Second) })
			fault.Method = http.MethodDelete
			twice(t, f, fault, "/containers/", func() error { return e.Remove(ctx, id) })
			if all := f.Containers(); len(all) != 0 {
				t.Errorf("left: %+v", all)
			}
		}
	})
}

func twice(t *testing.T, f *dockertest.Fake, fault dockertest.Fault, path string, call func() error) {
	t.Helper()
	fault.Path = path
	f.Inject(fault)
	// A broken connection may have been replaced at once, and the call made again.
	if err := call(); !errors.Is(err, docker.ErrUnavailable) && (err != nil || fault.Hang) {
		t.Errorf("%s without an answer: %v", path, err)
	}
	if err := call(); err != nil {
		t.Errorf("%s again: %v", path, err)
	}
}

// A start that the runtime refuses is an error with its words, and leaves a
// container that can be started later.
func TestStartThatFails(t *testing.T) {
	broken := errors.New("exec format error")
	bubble(t, dockertest.Config{OnStart: func(dockertest.Container) error { return broken }}, func(b bubbled) {
		t, f, e := b.T, b.fake, b.engine
		id, err := e.Create(t.Context(), spec("a"))
		if err != nil {
			t.Fatal(err)
		}
		if err = e.Start(t.Context(), id); err == nil || !strings.Contains(err.Error(), "exec format error") {
			t.Errorf("got %v", err)
		}
		if c, _ := f.Container("a"); c.State != "created" || c.IP.IsValid() {
			t.Errorf("left: %+v", c)
		}
	})
}

// A connection that breaks in the middle of a pull is not a success.
func TestPullInterrupted(t *testing.T) {
	reg := dockertest.NewRegistry()
	digest := reg.Push(dockertest.Image{Ref: "registry.test/app:v1"})
	slow := dockertest.Config{Registry: reg, Latency: func(string) time.Duration { return time.Minute }}
	bubble(t, slow, func(b bubbled) {
		t, f, e := b.T, b.fake, b.engine
		time.AfterFunc(30*time.Second, f.Cut)
		if err := e.Pull(t.Context(), "registry.test/app@"+digest); !errors.Is(err, docker.ErrPull) || !strings.Contains(err.Error(), "broke off") {
			t.Errorf("cut: %v", err)
		}
		if err := e.Pull(t.Context(), "registry.test/app@"+digest); err != nil {
			t.Errorf("again: %v", err)
		}
	})
}

func TestSpecIsChecked(t *testing.T) {
	bubble(t, dockertest.Config{}, func(b bubbled) {
		t, f, e := b.T, b.fake, b.engine
		for says, change := range map[string]func(*docker.Spec){
			"Name":                func(s *docker.Spec) { s.Name = "" },
			"Image":               func(s *docker.Spec) { s.Image = "" },
			"Labels":              func(s *docker.Spec) { s.Labels = nil },
			"Memory":              func(s *docker.Spec) { s.Memory = -1 },
			"address of its own":  func(s *docker.Spec) { s.Network = "host" },
			"an absolute path":    func(s *docker.Spec) { s.Mounts = []docker.Mount{{Source: "/a", Target: "b"}} },
			`RestartPolicy "on-f`: func(s *docker.Spec) { s.RestartPolicy = "on-failure:x" },
			`RestartPolicy "alw`:  func(s *docker.Spec) { s.RestartPolicy = "always:3" },
		} {
			s := spec("a")
			change(&s)
			if _, err := e.Create(t.Context(), s); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v", says, err)
			}
		}
		if n := len(f.Containers()); n != 0 {
			t.Errorf("%d containers made", n)
		}
	})
}
