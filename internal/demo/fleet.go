package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/serin-rollouts/serin/internal/api"
	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/demoimage"
)

// up starts the registry with the app's images, the replicas and the agents,
// and waits until the leader knows all hosts.
func (r *run) up(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "serin-demo-")
	if err != nil {
		return fmt.Errorf("make the demo's directory: %w", err)
	}
	r.dir = dir
	if err := r.startSweeper(); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	r.say("starting %d coordinator replicas and %d agents; logs are in %s", r.Replicas, len(r.hosts), dir)
	if err := r.start("registry", "serin", "demo", "registry", "--listen", r.registry, "--dir", r.path("registry")); err != nil {
		return err
	}
	for i := range r.replicas {
		if err := r.startReplica(i); err != nil {
			return err
		}
	}
	for _, h := range r.hosts {
		if err := r.startAgent(h); err != nil {
			return err
		}
	}
	if err := r.pushImages(ctx); err != nil {
		return err
	}
	return r.awaitHosts(ctx)
}

// Private

func (r *run) path(elements ...string) string {
	return filepath.Join(append([]string{r.dir}, elements...)...)
}

// start runs one of the programs with its output in a log file. It is in a
// session of its own: Ctrl-C at the terminal reaches the demo alone.
func (r *run) start(name, program string, args ...string) error {
	log, err := os.Create(r.path(name + ".log"))
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	defer func() { _ = log.Close() }()
	command := exec.Command(filepath.Join(r.bin, program), args...) //nolint:noctx // the sweeper ends it
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	go func() { _ = command.Wait() }()
	return nil
}

func (r *run) startReplica(i int) error {
	c := r.replicas[i]
	var routes, peers []string
	for _, other := range r.replicas {
		peers = append(peers, other.id+"="+other.raft)
		if other.id != c.id {
			routes = append(routes, other.cluster)
		}
	}
	config := fmt.Sprintf(`id: %s
data: %s
nats: {listen: %q, cluster: %q, routes: [%s]}
raft: {listen: %q, peers: [%s]}
`, c.id, r.path(c.id), c.nats, c.cluster, quoted(routes), c.raft, quoted(peers))
	return r.startDaemon(c.id, "serin-coordinator", config)
}

func (r *run) startAgent(h host) error {
	config := fmt.Sprintf(`host: %s
labels: {fleet: demo}
data: %s
nats: {urls: [%s]}
haproxy: {bind: %s}
`, h.name, r.path(h.name), quoted(r.natsURLs()), h.address)
	return r.startDaemon(h.name, "serin-agent", config)
}

func (r *run) startDaemon(name, program, config string) error {
	file := r.path(name + ".yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return fmt.Errorf("configure %s: %w", name, err)
	}
	return r.start(name, program, "--config", file)
}

func quoted(items []string) string {
	var b strings.Builder
	for i, item := range items {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", item)
	}
	return b.String()
}

// pushImages builds the three versions of the app from this very program.
func (r *run) pushImages(ctx context.Context) error {
	if err := r.poll(ctx, 30*time.Second, "the registry", func() error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", r.registry)
		if err == nil {
			err = conn.Close()
		}
		return err
	}); err != nil {
		return err
	}
	for version, percent := range map[string]string{"v1": "0", "v2": "0", "v3": "5"} {
		_, err := demoimage.Push(ctx, r.registry, demoimage.App{
			Name: imageName, Tag: version, Binary: filepath.Join(r.bin, "serin"), Port: AppPort,
			Args: []string{"demo", "app", "--version", version, "--error-percent", percent},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *run) connect(ctx context.Context) (*bus.Conn, error) {
	return bus.Connect(ctx, bus.Config{URLs: r.natsURLs(), Name: "serin-demo"})
}

// awaitHosts waits until a leader knows all hosts and the streams are there.
func (r *run) awaitHosts(ctx context.Context) error {
	conn, err := r.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() //nolint:contextcheck // it bounds itself
	return r.poll(ctx, time.Minute, "the fleet", func() error {
		ask, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		answer, err := conn.Request(ask, bus.GetSubject(api.GetCluster, ""), nil)
		if err != nil {
			return err
		}
		status, err := api.DecodeAnswer[api.ClusterStatus](answer.Data)
		if err != nil {
			return err
		}
		if status.Hosts < len(r.hosts) {
			return fmt.Errorf("%d of %d agents are here", status.Hosts, len(r.hosts))
		}
		// A trigger that is published and forgotten needs the streams.
		_, err = conn.LastEvent(ask)
		return err
	})
}

// poll tries until it works; its error says what the last try said.
func (r *run) poll(ctx context.Context, patience time.Duration, what string, try func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s did not come up in %s: %w; see the logs in %s", what, patience, err, r.dir)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
