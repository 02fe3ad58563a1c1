package localfleet

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/serin-rollouts/serin/internal/identity"
)

// Join prepares one more replica for a fleet that is up. Once started it waits to
// be added to the others.
func (f *Fleet) Join(ctx context.Context) (Replica, error) {
	ports, err := FreePorts(ctx, replicaPorts)
	if err != nil {
		return Replica{}, err
	}
	r := f.addReplica(ports)
	return r, f.addDaemon(r.Name, "serin-coordinator", f.replicaConfig(r, "join: true"))
}

// Private

// prepare writes the configuration of all parts and names what they run.
func (f *Fleet) prepare() error {
	f.addPart("registry", "serin", "demo", "registry", "--listen", f.Registry, "--dir", f.path("registry"))
	for _, r := range f.Replicas {
		if err := f.addDaemon(r.Name, "serin-coordinator", f.replicaConfig(r, fmt.Sprintf("peers: [%s]", quoted(f.peers())))); err != nil {
			return err
		}
	}
	for _, h := range f.Hosts {
		if err := f.addDaemon(h.Name, "serin-agent", f.agentConfig(h)); err != nil {
			return err
		}
	}
	return nil
}

func (f *Fleet) addDaemon(name, program, config string) error {
	file := f.path(name + ".yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return fmt.Errorf("configure %s: %w", name, err)
	}
	f.addPart(name, program, "--config", file)
	return nil
}

func (f *Fleet) peers() []string {
	var peers []string
	for _, r := range f.Replicas {
		peers = append(peers, r.Name+"="+r.Raft)
	}
	return peers
}

// replicaConfig is a replica's file; group says by whom its Raft group is made.
func (f *Fleet) replicaConfig(r Replica, group string) string {
	var routes []string
	for _, other := range f.Replicas {
		if other.Name != r.Name {
			routes = append(routes, other.Cluster)
		}
	}
	return fmt.Sprintf(`id: %s
data: %s
nats: {listen: %q, cluster: %q, routes: [%s]}
raft: {listen: %q, %s}
http: {listen: %q}
%s`, r.Name, f.path(r.Name), r.NATS, r.Cluster, quoted(routes), r.Raft, group, r.HTTP, f.lease()) + f.console() + tlsSection(f.identity(r.Name))
}

func (f *Fleet) console() string {
	if !f.Operate {
		return ""
	}
	return fmt.Sprintf("console: {operate: true, peers: [%s]}\n", quoted(f.Consoles()))
}

func (f *Fleet) lease() string {
	if f.Lease == 0 {
		return ""
	}
	return fmt.Sprintf("lease: %s\n", f.Lease)
}

func (f *Fleet) agentConfig(h *Host) string {
	files := f.identity(h.Name)
	if h.TLS != nil {
		files = *h.TLS
	}
	return fmt.Sprintf(`host: %s
labels: %s
data: %s
nats: {urls: [%s]}
haproxy: %s
http: {listen: %q}
`, h.Name, h.Labels, f.path(h.Name), quoted(f.URLs()), h.HAProxy, h.HTTP) + tlsSection(files)
}

func tlsSection(files identity.Files) string {
	if files.Empty() {
		return ""
	}
	return fmt.Sprintf("tls: {ca: %q, cert: %q, key: %q}\n", files.CA, files.Cert, files.Key)
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
