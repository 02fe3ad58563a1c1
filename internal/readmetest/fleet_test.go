package readmetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/serin-rollouts/serin/agent/docker"
	"github.com/serin-rollouts/serin/internal/demoimage"
	"github.com/serin-rollouts/serin/internal/localfleet"
	"github.com/serin-rollouts/serin/internal/needtest"
)

const (
	replicas = 3
	hosts    = 2
	appPort  = 8080
)

// readmePorts are the ports of README.md.
var readmePorts = []string{":4222", ":6222", ":7311", ":8080"}

// rig is the README's fleet on this machine: its own configuration files, with
// other addresses, directories and host names in them.
type rig struct {
	dir      string // of everything
	bin      string
	network  string   // three numbers and a dot: stands for the README's 10.0.0.
	hostName string   // stands for the README's web-
	registry string   // stands for registry.example.com
	ports    []string // old, new, ...: with a colon each
	env      []string
	files    map[string]string // of README.md, by name
}

// newRig writes the README's files and picks addresses. It starts nothing.
func newRig(t *testing.T, bin string, blocks []block) *rig {
	t.Helper()
	needRuntime(t)
	name, dir := localfleet.NewName("readme")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ports, err := localfleet.FreePorts(t.Context(), len(readmePorts)+1)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{dir: dir, bin: bin, files: map[string]string{}, hostName: name + "-", registry: "127.0.0.1:" + ports[0]}
	for i, port := range readmePorts {
		r.ports = append(r.ports, port, ":"+ports[i+1])
	}
	var id [2]byte
	_, _ = rand.Read(id[:]) // never fails
	r.network = fmt.Sprintf("127.%d.%d.", id[0]%250+2, id[1])
	r.env = append(os.Environ(), "PATH="+r.bin+":"+os.Getenv("PATH"), "NO_COLOR=1", "USER=ann", "NATS_TIMEOUT=1m")
	r.install(t)
	for _, b := range blocks {
		if name := b.file(); name != "" {
			r.files[name] = r.here(b.text())
			r.write(t, name, r.files[name])
		}
	}
	return r
}

// here puts this machine's names for the README's.
func (r *rig) here(text string) string {
	return strings.NewReplacer(append(slices.Clone(r.ports),
		"10.0.0.", r.network,
		"registry.example.com", r.registry,
		"web-", r.hostName,
		"/etc/serin", r.dir+"/etc",
		"/var/lib/", r.dir+"/var/",
		"/run/haproxy", r.dir,
		// The holds of the README are for people.
		"hold: 1m", "hold: 1s", "hold: 5m", "hold: 1s",
		// The default is the container's port, which is not ours to choose.
		"\ncontainer:\n", fmt.Sprintf("\nlisten: %q\ncontainer:\n", r.port(":8080")),
	)...).Replace(text)
}

// port returns this machine's port for one of the README's.
func (r *rig) port(readmes string) string {
	return r.ports[slices.Index(r.ports, readmes)+1]
}

// there is the contrary, for the log of the test.
func (r *rig) there(text string) string {
	return strings.NewReplacer(r.network, "10.0.0.", r.registry, "registry.example.com", r.hostName, "web-", r.dir, "$DIR").Replace(text)
}

func (r *rig) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// start brings the fleet up. All of it ends with the test, and also if the
// test is killed.
func (r *rig) start(t *testing.T) {
	t.Helper()
	r.startSweeper(t)
	r.serveImages(t)
	for i := 1; i <= replicas; i++ {
		id := fmt.Sprintf("c%d", i)
		// Every replica's own lines; peers and routes are the same on all.
		config := r.files["coordinator.yaml"]
		for _, key := range []string{"id: c", "etc/c", "listen: " + r.network, "cluster: " + r.network} {
			config = strings.ReplaceAll(config, key+"1", fmt.Sprintf("%s%d", key, i))
		}
		config = strings.ReplaceAll(config, "/var/serin-coordinator", "/var/"+id)
		r.write(t, id+".yaml", config)
		r.daemon(t, id, "serin-coordinator", "--config", filepath.Join(r.dir, id+".yaml"))
	}
	for i := 1; i <= hosts; i++ {
		name := fmt.Sprintf("%s0%d", r.hostName, i)
		config := strings.ReplaceAll(r.files["agent.yaml"], r.hostName+"01", name)
		config = strings.ReplaceAll(config, "/var/serin-agent", "/var/"+name)
		r.write(t, name+".yaml", config)
		// All hosts of this fleet are one machine, so each has an address of its own.
		r.daemon(t, name, "serin-agent", "--config", filepath.Join(r.dir, name+".yaml"), "--haproxy-bind", fmt.Sprintf("%s1%d", r.network, i))
	}
}

// daemon starts one of the programs; the sweeper ends it.
func (r *rig) daemon(t *testing.T, name, program string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(r.dir, name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	args = append(args, "--http-listen", "127.0.0.1:0") // the default is every replica's and every agent's
	cmd := exec.Command(filepath.Join(r.bin, program), args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait() }()
	t.Cleanup(func() {
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("the end of %s.log:\n%s", name, text[max(0, len(text)-3000):])
		}
	})
}

// startSweeper has everything removed at the end of the test, or of this process.
func (r *rig) startSweeper(t *testing.T) {
	t.Helper()
	remains := localfleet.Remains{Dir: r.dir, Images: r.registry + "/checkout"}
	for i := 1; i <= hosts+1; i++ { // and the one with a HAProxy of its own
		remains.Hosts = append(remains.Hosts, fmt.Sprintf("%s0%d", r.hostName, i))
	}
	sweeper, err := localfleet.StartSweeper(r.bin, remains, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sweeper.End(); err != nil {
			t.Error(err)
		}
	})
}

// serveImages is the registry of the README, with three versions of checkout.
func (r *rig) serveImages(t *testing.T) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", r.registry)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- demoimage.Serve(ctx, listener, "") }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("registry: %v", err)
		}
	})
	for _, version := range []string{"1.4.0", "1.5.0"} {
		_, err := demoimage.Push(t.Context(), r.registry, demoimage.App{
			Name: "checkout", Tag: version, Binary: filepath.Join(r.bin, "serin"), Port: appPort,
			Args: []string{"demo", "app", "--version", version, "--error-percent", "0"},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// build makes the programs and returns their directory.
func build(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", bin+"/", "./cmd/...")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

// install puts what the README's commands expect beside the programs.
func (r *rig) install(t *testing.T) {
	t.Helper()
	tree, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(tree, "deploy"), filepath.Join(r.dir, "deploy")); err != nil {
		t.Fatal(err)
	}
	client, err := exec.CommandContext(t.Context(), filepath.Join(tree, "internal/tools/nats.sh")).Output()
	if err != nil {
		t.Fatalf("the nats client: %v", err)
	}
	if err := os.Symlink(strings.TrimSpace(string(client)), filepath.Join(r.bin, "nats")); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
}

func needRuntime(t *testing.T) {
	t.Helper()
	_, err := exec.LookPath("haproxy")
	if err == nil {
		ctx, stop := context.WithTimeout(t.Context(), patience)
		defer stop()
		var engine io.Closer
		if engine, err = docker.Open(ctx, docker.Config{}); err == nil {
			err = engine.Close()
		}
	}
	needtest.Need(t, "Docker and HAProxy", err)
}
