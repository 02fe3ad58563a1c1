package readmetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/identity"
)

// runRoles brings up what docs/nats.md has under Permissions: a NATS server that
// knows each certificate as a user, a coordinator, an agent; and tries what each
// role may do, and what it may not.
func runRoles(t *testing.T, bin string) {
	t.Helper()
	_, blocks := blocksOf(t, natsPage)
	_, readmes := readme(t)
	r := newRig(t, bin, slices.Concat(blocks, readmes))
	r.buildServer(t)
	var sessions []block
	for _, b := range blocks {
		switch {
		case b.has("roles") && b.lang == "sh":
			r.bash(t, command{at: b.at(0), text: b.text()})
		case b.has("roles"):
			sessions = append(sessions, b)
		}
	}
	r.startSweeper(t)
	r.serveImages(t)
	r.server(t)
	r.daemon(t, "c1", "serin-coordinator", "--config", filepath.Join(r.dir, "coordinator-nats.yaml"))
	r.daemon(t, r.hostName+"01", "serin-agent", "--config", filepath.Join(r.dir, "agent-nats.yaml"), "--haproxy-bind", r.network+"11")

	operator := r.as("ann")
	operator.await(t, 1)
	// The agent hears, answers what an image stands for, and reports.
	operator.works(t, "serin start rollout.yaml")
	operator.works(t, "nats sub --raw --stream SERIN_EVENTS --last-per-subject --count 1 'serin.v1.event.checkout.checkout-1.succeeded'")
	operator.works(t, "nats req --raw serin.v1.get.snapshot ''")

	pipeline := r.as("ci")
	pipeline.env = append(pipeline.env, "SERIN_ID=build-1", "SERIN_PATIENCE=2m")
	pipeline.works(t, "deploy/ci/rollout.sh rollout.yaml")
	pipeline.refused(t, "serin.v1.cmd.abort.checkout", "serin.v1.get.snapshot", "serin.v1.trigger.search", "$JS.API.STREAM.MSG.GET.SERIN_TRIGGERS", "$JS.API.STREAM.DELETE.SERIN_EVENTS")

	board := r.as("board")
	board.works(t, "serin events")
	board.works(t, "nats sub --raw --stream SERIN_STATE --last-per-subject --count 1 'serin.v1.state.>'")
	board.refused(t, "serin.v1.trigger.checkout", "serin.v1.get.snapshot", "serin.v1.feedback.checkout", "serin.v1.beat")

	support := r.as("support")
	support.works(t, `nats req --raw serin.v1.feedback.checkout '{"revision": "1.4.0"}'`)
	support.exits(t, "8", "serin events")
	support.refused(t, "serin.v1.get.hosts", "serin.v1.trigger.checkout")

	agent := r.as(r.hostName + "01")
	agent.refused(t, "serin.v1.health.other", "serin.v1.beat", "serin.v1.trigger.checkout", "serin.v1.step.checkout")
	agent.deaf(t, "serin.v1.agent.other.assign", "serin.v1.health.>", "serin.v1.event.>")
	operator.deaf(t, "serin.v1.agent.>")

	for _, b := range sessions {
		r.session(t, b.console(t))
	}
}

// buildServer puts a NATS server beside the programs, of the version that serin
// embeds.
func (r *rig) buildServer(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", r.bin+"/", "github.com/nats-io/nats-server/v2")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build nats-server: %v\n%s", err, out)
	}
	if err := os.Rename(filepath.Join(r.bin, "nats-server"), filepath.Join(r.dir, "nats-server")); err != nil {
		t.Fatal(err)
	}
}

// server runs it with the configuration of the page, until the test ends.
func (r *rig) server(t *testing.T) {
	t.Helper()
	log, err := os.Create(filepath.Join(r.dir, "nats.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(r.dir, "nats-server"), "-c", filepath.Join(r.dir, "nats.conf"))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = log.Close()
		if text, _ := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("the end of nats.log:\n%s", text[max(0, len(text)-3000):])
		}
	})
}

// as is the same fleet, for the bearer of that certificate.
func (r *rig) as(name string) *rig {
	other := *r
	other.env = slices.Clone(r.env)
	url, ca, cert, key := "tls://"+r.network+"9"+r.port(":4222"), r.dir+"/etc/ca.pem", r.dir+"/etc/"+name+".pem", r.dir+"/etc/"+name+".key"
	other.env = append(other.env, "SERIN_SERVER="+url, "SERIN_CA="+ca, "SERIN_CERT="+cert, "SERIN_KEY="+key,
		"NATS_URL="+url, "NATS_CA="+ca, "NATS_CERT="+cert, "NATS_KEY="+key)
	return &other
}

// works runs a line that has to succeed.
func (r *rig) works(t *testing.T, line string) {
	t.Helper()
	r.exits(t, "0", line)
}

// exits runs a line that has to end so.
func (r *rig) exits(t *testing.T, code, line string) {
	t.Helper()
	if got := r.bash(t, command{at: natsPage, text: line}); got != code {
		t.Errorf("%s: exit code %s, want %s", line, got, code)
	}
}

// refused wants the server to let nothing through on these subjects.
func (r *rig) refused(t *testing.T, subjects ...string) {
	t.Helper()
	for _, subject := range subjects {
		r.violation(t, subject, func(c *bus.Conn) error { return c.Publish(subject, []byte("{}")) })
	}
}

// deaf wants the server to let nobody listen there.
func (r *rig) deaf(t *testing.T, subjects ...string) {
	t.Helper()
	for _, subject := range subjects {
		r.violation(t, subject, func(c *bus.Conn) error {
			_, err := c.Subscribe(subject, func(bus.Msg) {})
			return err
		})
	}
}

// violation does something that the server has to complain of.
func (r *rig) violation(t *testing.T, subject string, do func(*bus.Conn) error) {
	t.Helper()
	var said complaints
	conn, err := bus.Connect(t.Context(), bus.Config{
		URLs: []string{r.variable("SERIN_SERVER")}, Name: "readmetest", Log: zerolog.New(&said),
		TLS: identity.Files{CA: r.variable("SERIN_CA"), Cert: r.variable("SERIN_CERT"), Key: r.variable("SERIN_KEY")},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	r.poll(t, "a connection", conn.Connected)
	if err := do(conn); err != nil {
		t.Fatal(err)
	}
	r.poll(t, "the refusal of "+subject, func() bool { return said.contain("permissions violation", strings.ToLower(subject)) })
}

// variable is the last value of an environment variable.
func (r *rig) variable(name string) string {
	for _, entry := range slices.Backward(r.env) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// complaints are what a connection logs.
type complaints struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write takes one line.
func (c *complaints) Write(line []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.Write(line)
}

func (c *complaints) contain(words ...string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := strings.ToLower(c.text.String())
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
}
