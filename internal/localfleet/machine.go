package localfleet

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/serin-rollouts/serin/agent/docker"
)

// A fleet's directory is called serin-<name>-<at least six hexadecimal digits>;
// no other is ever swept.
const (
	dirPrefix = "serin-"
	runDigits = 6
)

// isDir tells whether a directory is a fleet's, by its name.
func isDir(dir string) bool {
	name, ok := strings.CutPrefix(filepath.Base(dir), dirPrefix)
	i := strings.LastIndexByte(name, '-')
	return filepath.IsAbs(dir) && ok && i > 0 && len(name[i+1:]) >= runDigits && strings.Trim(name[i+1:], "0123456789abcdef") == ""
}

// NewName makes a name that is unique on this machine, and the fleet's directory
// that goes with it, without making that.
func NewName(prefix string) (name, dir string) {
	id := make([]byte, runDigits/2)
	_, _ = rand.Read(id) // never fails
	name = prefix + "-" + hex.EncodeToString(id)
	return name, filepath.Join(os.TempDir(), dirPrefix+name)
}

// checkMachine names what is missing on this machine, and what to do about it.
func checkMachine(ctx context.Context, bin string) error {
	for _, program := range []string{"serin", "serin-coordinator", "serin-agent"} {
		if _, err := os.Stat(filepath.Join(bin, program)); err != nil {
			return fmt.Errorf("%s is not in %s; build it with `make build`", program, bin)
		}
	}
	if _, err := exec.LookPath("haproxy"); err != nil {
		return errors.New("no haproxy on this machine; install it with `make setup`")
	}
	engine, err := docker.Open(ctx, docker.Config{})
	if err != nil {
		return fmt.Errorf("a fleet needs Docker (`make setup` starts it): %w", err)
	}
	return engine.Close()
}

// allot picks names, ports and loopback addresses. Each host has an address of
// its own, so that all of them can listen on the same port, as real hosts do.
func (f *Fleet) allot(ctx context.Context) error {
	f.Name, f.Dir = NewName(f.Config.Name)
	ports, err := FreePorts(ctx, replicaPorts*f.Config.Replicas+3)
	if err != nil {
		return err
	}
	f.Registry, f.Port = loopback+ports[0], ports[1]
	http := ports[2]
	ports = ports[3:]
	for range f.Config.Replicas {
		f.addReplica(ports[:replicaPorts])
		ports = ports[replicaPorts:]
	}
	for i := range f.Config.Hosts {
		address := fmt.Sprintf("127.0.0.%d", 11+i)
		f.Hosts = append(f.Hosts, &Host{
			Name: fmt.Sprintf("%s-%d", f.Name, i+1), Address: address, HTTP: net.JoinHostPort(address, http),
			Labels: "{fleet: demo}", HAProxy: "{bind: " + address + "}",
		})
	}
	return nil
}

// addReplica gives the next replica its place.
func (f *Fleet) addReplica(ports []string) Replica {
	r := Replica{
		Name: "c" + strconv.Itoa(len(f.Replicas)+1), NATS: loopback + ports[0], Cluster: loopback + ports[1], Raft: loopback + ports[2],
		HTTP: loopback + ports[3],
	}
	f.Replicas = append(f.Replicas, r)
	return r
}

const (
	replicaPorts = 4 // that a replica listens on
	loopback     = "127.0.0.1:"
)
