package docker_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"

	"github.com/serin-rollouts/serin/agent/docker"
)

func TestInfo(t *testing.T) {
	inEachWorld(t, func(w *world) {
		t := w.T
		info, err := w.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if info.APIVersion < docker.MinAPI || info.EngineVersion == "" {
			t.Errorf("got %+v", info)
		}
	})
}

func TestLifecycle(t *testing.T) {
	inEachWorld(t, func(w *world) {
		t := w.T
		ctx := t.Context()
		ref, imageID := w.load(t, "v1")
		spec := w.spec("a", ref)
		spec.Env = map[string]string{"GREETING": "hello=world"}
		id := w.create(t, spec)
		if again := w.create(t, spec); again != id {
			t.Errorf("created twice: %s and %s", id, again)
		}

		// What a crash between create and start leaves behind is found.
		orphan := w.find(t, id)
		if orphan.State != docker.StateCreated || orphan.IP.IsValid() || !orphan.StartedAt.IsZero() {
			t.Errorf("created container: %+v", orphan)
		}
		for range 2 {
			if err := w.Start(ctx, id); err != nil {
				t.Fatal(err)
			}
		}
		c := w.find(t, id)
		if c.Name != spec.Name || c.Image != ref || c.ImageID != imageID || c.State != docker.StateRunning ||
			!c.IP.IsValid() || c.Labels[testLabel] != w.id || c.StartedAt.IsZero() || c.Health != "" {
			t.Errorf("running container: %+v", c)
		}
		checkLogs(t, w, id)

		for range 2 {
			if err := w.Stop(ctx, id, 20*time.Second); err != nil {
				t.Fatal(err)
			}
		}
		c = w.find(t, id)
		if c.State != docker.StateExited || c.IP.IsValid() || c.ExitCode != 0 || c.FinishedAt.IsZero() {
			t.Errorf("stopped container: %+v", c)
		}
		for range 2 {
			if err := w.Remove(ctx, id); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Stop(ctx, id, 0); err != nil {
			t.Errorf("stop of a removed container: %v", err)
		}
		if err := w.Start(ctx, id); !errors.Is(err, docker.ErrNotFound) {
			t.Errorf("start of a removed container: %v", err)
		}
		if list, err := w.List(ctx, w.labels()); err != nil || len(list) != 0 {
			t.Errorf("after removal: %v, %v", list, err)
		}
	})
}

func checkLogs(t *testing.T, w *world, id string) {
	t.Helper()
	var lines []string
	eventually(t, "three lines are logged", func() bool {
		var err error
		if lines, err = w.Logs(t.Context(), id, 100); err != nil {
			t.Fatal(err)
		}
		return len(lines) == 3
	})
	if lines[2] != "GREETING=hello=world" && lines[1] != "GREETING=hello=world" {
		t.Errorf("logs: %q", lines)
	}
	last, err := w.Logs(t.Context(), id, 1)
	if err != nil || !cmp.Equal(last, lines[2:]) {
		t.Errorf("last line: %q, %v; want %q", last, err, lines[2:])
	}
}

func TestListIsByLabels(t *testing.T) {
	inEachWorld(t, func(w *world) {
		t := w.T
		ref, _ := w.load(t, "v1")
		for _, name := range []string{"c", "a", "b"} {
			w.create(t, w.spec(name, ref))
		}
		list, err := w.List(t.Context(), w.labels())
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, c := range list {
			names = append(names, c.Name)
		}
		if diff := cmp.Diff([]string{w.name("a"), w.name("b"), w.name("c")}, names); diff != "" {
			t.Error(diff)
		}
		list, err = w.List(t.Context(), map[string]string{testLabel: w.id, testLabel + ".name": "b"})
		if err != nil || len(list) != 1 || list[0].Name != w.name("b") {
			t.Errorf("by two labels: %v, %v", list, err)
		}
		if list, err = w.List(t.Context(), map[string]string{testLabel: w.id, testLabel + ".name": ""}); err != nil || len(list) != 0 {
			t.Errorf("by a label with an empty value: %v, %v", list, err)
		}
		if _, err = w.List(t.Context(), nil); err == nil {
			t.Error("without labels strangers are listed")
		}
	})
}

func TestNameOfStranger(t *testing.T) {
	inEachWorld(t, func(w *world) {
		t := w.T
		ref, _ := w.load(t, "v1")
		spec := w.spec("a", ref)
		id := w.create(t, spec)
		spec.Labels = map[string]string{testLabel: w.id, "serin.host": "h1"}
		_, err := w.Create(t.Context(), spec)
		if !errors.Is(err, docker.ErrNameTaken) || !strings.Contains(err.Error(), id[:12]) {
			t.Errorf("got %v", err)
		}
	})
}

func TestWhatIsMissing(t *testing.T) {
	inEachWorld(t, func(w *world) {
		t := w.T
		_, err := w.Create(t.Context(), w.spec("a", "serin-test-none:v1"))
		if !errors.Is(err, docker.ErrNotFound) {
			t.Errorf("image: %v", err)
		}
		ref, _ := w.load(t, "v1")
		spec := w.spec("b", ref)
		spec.Network = "serin-test-none"
		if err := w.Start(t.Context(), w.create(t, spec)); !errors.Is(err, docker.ErrNotFound) {
			t.Errorf("network: %v", err)
		}
		if _, err := w.Logs(t.Context(), "serin-test-none", 5); !errors.Is(err, docker.ErrNotFound) {
			t.Errorf("logs: %v", err)
		}
		spec = w.spec("c", ref)
		spec.EnvFile = filepath.Join(t.TempDir(), "none.env")
		if _, err := w.Create(t.Context(), spec); err == nil || !strings.Contains(err.Error(), spec.EnvFile) {
			t.Errorf("env file: %v", err)
		}
	})
}

func TestSpec(t *testing.T) {
	inEachWorld(t, func(w *world) {
		t := w.T
		ref, _ := w.load(t, "v1")
		spec := w.spec("a", ref)
		spec.EnvFile = filepath.Join(t.TempDir(), "app.env")
		if err := os.WriteFile(spec.EnvFile, []byte("# secrets\nTOKEN=\"a b\"\nLEVEL=info\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		spec.Env = map[string]string{"LEVEL": "debug"}
		spec.Command = []string{"serve"}
		spec.User = "65534"
		spec.Memory, spec.CPUs, spec.PidsLimit = 64<<20, 1500, 50
		spec.Mounts = []docker.Mount{{Source: t.TempDir(), Target: "/data", ReadOnly: true}, {Target: "/tmp"}}
		spec.StopSignal, spec.StopTimeout = "SIGINT", 2500*time.Millisecond
		spec.RestartPolicy = "on-failure:3"
		spec.ReadOnly, spec.NoNewPrivileges, spec.CapDrop = true, true, []string{"ALL"}
		got, err := w.raw.ContainerInspect(t.Context(), w.create(t, spec))
		if err != nil {
			t.Fatal(err)
		}
		checkConfig(t, got.Config, spec)
		checkHostConfig(t, got.HostConfig, spec)
	})
}

func checkConfig(t *testing.T, c *container.Config, spec docker.Spec) {
	t.Helper()
	for _, v := range []string{"LEVEL=debug", `TOKEN="a b"`} {
		if !strings.Contains(strings.Join(c.Env, "\n"), v) {
			t.Errorf("environment %q lacks %s", c.Env, v)
		}
	}
	if c.User != spec.User || !cmp.Equal([]string(c.Cmd), spec.Command) || c.StopSignal != "SIGINT" || *c.StopTimeout != 3 {
		t.Errorf("configuration: %+v", c)
	}
}

func checkHostConfig(t *testing.T, h *container.HostConfig, spec docker.Spec) {
	t.Helper()
	if h.Memory != spec.Memory || h.MemorySwap != spec.Memory || h.NanoCPUs != 1_500_000_000 || *h.PidsLimit != 50 {
		t.Errorf("limits: %+v", h.Resources)
	}
	if len(h.Mounts) != 2 || h.Mounts[0].Type != "bind" || !h.Mounts[0].ReadOnly || h.Mounts[1].Type != "tmpfs" {
		t.Errorf("mounts: %+v", h.Mounts)
	}
	if h.RestartPolicy.Name != "on-failure" || h.RestartPolicy.MaximumRetryCount != 3 {
		t.Errorf("restart policy: %+v", h.RestartPolicy)
	}
	if !h.ReadonlyRootfs || len(h.SecurityOpt) != 1 || !cmp.Equal([]string(h.CapDrop), []string{"ALL"}) {
		t.Errorf("lock-down: %+v", h)
	}
	if len(h.PortBindings) != 0 || h.PublishAllPorts {
		t.Errorf("ports are published: %+v", h.PortBindings)
	}
}

func TestUserDefinedNetwork(t *testing.T) {
	inEachWorld(t, func(w *world) {
		t := w.T
		ref, _ := w.load(t, "v1")
		spec := w.spec("a", ref)
		spec.Network = w.net(t)
		inNet := w.run(t, spec)
		onBridge := w.run(t, w.spec("b", ref))
		if !inNet.IP.IsValid() || inNet.IP.As4()[0] == onBridge.IP.As4()[0] && inNet.IP.As4()[1] == onBridge.IP.As4()[1] {
			t.Errorf("addresses: %s in its network, %s on the bridge", inNet.IP, onBridge.IP)
		}
	})
}

// The address of a stopped container is given to the next one at once.
func TestAddressIsReused(t *testing.T) {
	inEachWorld(t, func(w *world) {
		t := w.T
		ref, _ := w.load(t, "v1")
		spec := w.spec("a", ref)
		spec.Network = w.net(t)
		a := w.run(t, spec)
		if err := w.Stop(t.Context(), a.ID, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		spec = w.spec("b", ref)
		spec.Network = "serin-test-" + w.id
		if b := w.run(t, spec); b.IP != a.IP {
			t.Errorf("a had %s, b got %s", a.IP, b.IP)
		}
	})
}

func TestRestartPolicy(t *testing.T) {
	inEachWorld(t, func(w *world) {
		t := w.T
		ref, _ := w.load(t, "v1")
		spec := w.spec("a", ref)
		spec.RestartPolicy = "unless-stopped"
		c := w.run(t, spec)
		w.die(t, c, 3)
		eventually(t, "the container is restarted", func() bool {
			now := w.find(t, c.ID)
			return now.Restarts == 1 && now.State == docker.StateRunning && now.IP.IsValid()
		})
		if err := w.Stop(t.Context(), c.ID, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		if now := w.find(t, c.ID); now.State != docker.StateExited {
			t.Errorf("after Stop: %+v", now)
		}
	})
}

// A program that ignores its stop signal is killed after the grace.
func TestStopKills(t *testing.T) {
	needDocker(t)
	w := realWorld(t)
	ref, _ := w.load(t, "v1")
	spec := w.spec("a", ref)
	spec.Env = map[string]string{"STUBBORN": "1"}
	c := w.run(t, spec)
	ask(t, c, "/")
	if err := w.Stop(t.Context(), c.ID, time.Second); err != nil {
		t.Fatal(err)
	}
	if now := w.find(t, c.ID); now.State != docker.StateExited || now.ExitCode != 137 {
		t.Errorf("after Stop: %+v", now)
	}
}
