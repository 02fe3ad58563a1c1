package demo

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/serin-rollouts/serin/agent/docker"
)

// service is what the demo rolls out.
const service = "demo"

// run is one demo: a name, a directory, ports and processes.
type run struct {
	Options
	name     string // unique: part of every host's name
	dir      string
	bin      string // directory of the three programs
	replicas []replica
	hosts    []host
	registry string // address
	listen   string // port of every host's frontend
	screen   *screen
	sweeper  *sweeper
}

type replica struct{ id, nats, cluster, raft string }

type host struct{ name, address string }

// prepare checks what a demo needs, before it starts anything.
func prepare(ctx context.Context, o Options) (*run, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	r := &run{Options: o, bin: filepath.Dir(self), screen: &screen{out: o.Out, live: o.Live}}
	for _, program := range []string{"serin-coordinator", "serin-agent"} {
		if _, err := os.Stat(filepath.Join(r.bin, program)); err != nil {
			return nil, fmt.Errorf("%s is not beside this program in %s; build it with `make build`", program, r.bin)
		}
	}
	if _, err := exec.LookPath("haproxy"); err != nil {
		return nil, errors.New("no haproxy on this machine; install it with `make setup`")
	}
	engine, err := docker.Open(ctx, docker.Config{})
	if err != nil {
		return nil, fmt.Errorf("the demo needs Docker (`make setup` starts it): %w", err)
	}
	if err := engine.Close(); err != nil {
		return nil, err
	}
	return r, r.allot(ctx)
}

// Private

// allot picks names, ports and loopback addresses. Each host has an address of
// its own, so that all of them can listen on the same port, as real hosts do.
func (r *run) allot(ctx context.Context) error {
	id := make([]byte, 3)
	if _, err := io.ReadFull(rand.Reader, id); err != nil {
		return fmt.Errorf("name the run: %w", err)
	}
	r.name = "demo-" + hex.EncodeToString(id)
	ports, err := freePorts(ctx, 3*r.Replicas+2)
	if err != nil {
		return err
	}
	next := func() string {
		port := ports[0]
		ports = ports[1:]
		return port
	}
	for i := range r.Replicas {
		r.replicas = append(r.replicas, replica{
			id: "c" + strconv.Itoa(i+1), nats: "127.0.0.1:" + next(), cluster: "127.0.0.1:" + next(), raft: "127.0.0.1:" + next(),
		})
	}
	r.registry, r.listen = "127.0.0.1:"+next(), next()
	for i := range r.Hosts {
		r.hosts = append(r.hosts, host{name: fmt.Sprintf("%s-%d", r.name, i+1), address: fmt.Sprintf("127.0.0.%d", 11+i)})
	}
	return nil
}

// freePorts asks the kernel for ports that nobody listens on, on any address.
func freePorts(ctx context.Context, n int) ([]string, error) {
	var ports []string
	for range n {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", ":0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer func() { _ = listener.Close() }()
		_, port, err := net.SplitHostPort(listener.Addr().String())
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		ports = append(ports, port)
	}
	return ports, nil
}

func (r *run) frontends() []string {
	var urls []string
	for _, h := range r.hosts {
		urls = append(urls, "http://"+net.JoinHostPort(h.address, r.listen)+"/")
	}
	return urls
}

func (r *run) natsURLs() []string {
	var urls []string
	for _, c := range r.replicas {
		urls = append(urls, "nats://"+c.nats)
	}
	return urls
}
