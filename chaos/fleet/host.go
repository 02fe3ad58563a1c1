package fleet

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/serin-rollouts/serin/internal/demoimage"
	"github.com/serin-rollouts/serin/internal/localfleet"
)

// Where a host's daemons listen, on the host.
const (
	dockerSocket     = "/run/docker.sock"
	containerdSocket = "/run/containerd.sock"
)

// CgroupName begins the names of the cgroups of all containers of a run in dir.
func CgroupName(dir string) string { return filepath.Base(dir) }

// HAProxySocket is where a host's HAProxy is steered, as seen from here.
func (n *Node) HAProxySocket() string { return filepath.Join(n.State(), "haproxy", "admin.sock") }

// Push builds the app's images and stores them in the registry, which forgets
// them when it ends.
func (f *Fleet) Push(ctx context.Context) error {
	address := f.Store.Address + ":" + registryPort
	if err := awaitListener(ctx, address); err != nil {
		return err
	}
	for _, v := range f.Versions {
		_, err := demoimage.Push(ctx, address, demoimage.App{
			Name: imageName, Tag: v.Tag, Binary: f.program("serin"), Port: localfleet.AppPort, Args: v.Args(),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Private

// layHost configures a Docker host. Its containerd is a program of its own, as
// with Debian's units, so that dockerd may die without it.
func (f *Fleet) layHost(n *Node) error {
	containerd, err := n.write("containerd.toml", fmt.Sprintf(`version = 2
root = %q
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = %q
`, filepath.Join(n.Dir, "containerd"), containerdSocket))
	if err != nil {
		return err
	}
	dockerd, err := n.write("daemon.json", fmt.Sprintf(`{"live-restore": true, "insecure-registries": [%q]}`, prefix+"0"+prefixLength))
	if err != nil {
		return err
	}
	agent, err := n.write("agent.yaml", fmt.Sprintf(`host: %s
labels: {role: web}
data: %s
docker: unix://%s
nats: {urls: [%s]}
`, n.Name, n.State(), dockerSocket, quoted(f.urls())))
	if err != nil {
		return err
	}
	n.add(Containerd, "/usr/bin/containerd", "-c", containerd)
	n.add(Dockerd, "/usr/sbin/dockerd", "--config-file", dockerd, "--containerd", containerdSocket,
		"--data-root", filepath.Join(n.Dir, "docker"), "--exec-root", "/run/docker", "--pidfile", "/run/docker.pid",
		"-H", "unix://"+dockerSocket, "--cgroup-parent", "/"+CgroupName(f.Dir)+"-"+n.Name, "--storage-driver", "overlay2",
		"--iptables=false", "--ip6tables=false", "--userland-proxy=false")
	n.programs[len(n.programs)-1].ready = n.awaitDocker
	n.add(Agent, f.program(Agent), "--config", agent)
	n.programs[len(n.programs)-1].watched = true
	const megabytes = 16
	return n.addDisk(megabytes)
}

// awaitDocker waits until the host's dockerd answers, as systemd does before it
// starts the agent.
func (n *Node) awaitDocker(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		err := n.docker(ctx, http.MethodGet, "/_ping", nil, nil)
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func awaitListener(ctx context.Context, address string) error {
	const patience = time.Minute
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", address, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
