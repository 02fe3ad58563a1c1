package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/client"

	"github.com/serin-rollouts/serin/internal/localfleet"
	"github.com/serin-rollouts/serin/internal/needtest"
)

// prometheus is a Prometheus server that reads what a fleet's containers say of
// themselves, as README.md says how. It does not run yet.
type prometheus struct {
	program, address, dir string
}

func newPrometheus(w *world) prometheus {
	w.t.Helper()
	script := exec.CommandContext(w.t.Context(), filepath.Join("..", "tools", "debian.sh"), "prometheus")
	script.Stderr = w.t.Output()
	program, err := script.Output()
	needtest.Need(w.t, "Prometheus", err)
	ports, err := localfleet.FreePorts(w.t.Context(), 1)
	if err != nil {
		w.t.Fatal(err)
	}
	p := prometheus{strings.TrimSpace(string(program)), net.JoinHostPort("127.0.0.1", ports[0]), filepath.Join(w.Dir, "prometheus")}
	if err := os.Mkdir(p.dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	var hosts []string
	for _, h := range w.Hosts {
		hosts = append(hosts, h.Name)
	}
	docker := os.Getenv("DOCKER_HOST")
	if docker == "" {
		docker = client.DefaultDockerHost
	}
	writeFile(w.t, p.config(), fmt.Sprintf(`global: {scrape_interval: 1s}
scrape_configs:
  - job_name: serin
    docker_sd_configs: [{host: %q, refresh_interval: 1s}]
    relabel_configs:
      - {source_labels: [__meta_docker_container_label_serin_host], regex: %q, action: keep}
      - {source_labels: [__meta_docker_container_label_serin_service], target_label: service}
      - {source_labels: [__meta_docker_container_label_serin_revision], target_label: revision}
`, docker, strings.Join(hosts, "|")))
	return p
}

func (p prometheus) config() string { return filepath.Join(p.dir, "prometheus.yaml") }

// run starts it, until the test ends.
func (p prometheus) run(t *testing.T) {
	t.Helper()
	command := exec.Command(p.program, "--config.file="+p.config(), "--storage.tsdb.path", filepath.Join(p.dir, "data"),
		"--web.listen-address="+p.address, "--log.level=warn")
	command.Stdout, command.Stderr = t.Output(), t.Output()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
}
