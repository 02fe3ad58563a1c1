package readmetest

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// useOwnHAProxy runs the README's haproxy.cfg, has the README's agent steer
// it, installs a service there, and restarts HAProxy under it.
func (r *rig) useOwnHAProxy(t *testing.T) {
	t.Helper()
	proxy := r.ownHAProxy(t)
	defer func() { endHAProxy(proxy) }()
	name := fmt.Sprintf("%s0%d", r.hostName, hosts+1)
	config := strings.NewReplacer(r.hostName+"01", name, "role: web", "role: own", "/var/serin-agent", "/var/"+name).Replace(r.files["agent-existing.yaml"])
	config = strings.ReplaceAll(config, "etc/"+name, "etc/operator") // a certificate is as good as another
	r.write(t, name+".yaml", config)
	for _, file := range []string{"agent.yaml", name + ".yaml"} {
		out, err := r.command(t.Context(), "serin-agent", "check", "--config", file, "--data", filepath.Join(r.dir, "checked-"+file)).CombinedOutput()
		if err != nil {
			t.Fatalf("serin-agent check --config %s: %v\n%s", file, err, out)
		}
	}
	r.daemon(t, name, "serin-agent", "--config", filepath.Join(r.dir, name+".yaml"))
	r.await(t, hosts+1)
	file := strings.NewReplacer("service: checkout", "service: own", "listen: "+strconv.Quote(r.port(":8080")), "backend: checkout", "role: web", "role: own").Replace(r.files["rollout.yaml"])
	r.write(t, "own.yaml", file)
	if code := r.bash(t, command{text: "serin start own.yaml"}); code != "0" {
		t.Fatalf("serin start own.yaml: exit code %s", code)
	}
	url := "http://" + r.network + "7" + r.port(":8080") + "/"
	r.poll(t, "the service behind the user's HAProxy", func() bool { return answers(t, url) })
	endHAProxy(proxy)
	proxy = r.ownHAProxy(t)
	r.poll(t, "the service after a restart of HAProxy", func() bool { return answers(t, url) })
}

// ownHAProxy starts HAProxy with the README's configuration.
func (r *rig) ownHAProxy(t *testing.T) *exec.Cmd {
	t.Helper()
	socket := filepath.Join(r.dir, "admin.sock")
	if err := os.RemoveAll(socket); err != nil {
		t.Fatal(err)
	}
	// By its whole path, so that the sweeper ends it too.
	cmd := exec.Command("haproxy", "-db", "-f", filepath.Join(r.dir, "haproxy.cfg"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.poll(t, "the existing HAProxy", func() bool {
		_, err := os.Stat(socket)
		return err == nil
	})
	return cmd
}

func endHAProxy(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

func answers(t *testing.T, url string) bool {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(request)
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}
