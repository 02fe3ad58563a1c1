package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/localfleet"
)

// TestDemoKept: a demo that is kept goes on without its maker, and the commands
// that it prints work as they stand, the last of which removes it.
func TestDemoKept(t *testing.T) {
	t.Parallel()
	needMachine(t)
	const hosts = 3 // the more, the sooner they have the evidence together
	d := startDemo(t, "--hosts", strconv.Itoa(hosts), "--replicas", "3", "--keep")
	d.await("installing")
	d.note()
	d.guard(hosts)
	if code := d.end(10 * time.Minute); code != 0 {
		t.Fatalf("exit code %d\n%s", code, d.out())
	}
	wantConsole(t, d)
	k := newKept(t, d)
	for _, c := range []struct{ command, answer string }{
		{"serin status", "v2"},
		{"serin hosts", d.name + "-1"},
		{"curl -i", "hello from v2"},
		{"curl -s", "demo_orders_total"},
		{"while sleep", ""},
		{"serin start ", "step 1/2"},
		{"serin watch ", "step 1/2"},
		{"serin explain ", "v3 over v2"},
		{" sub ", "Subscribing on"},
		{" req serin.v1.trigger", `"code":"conflict"`},
		{" req serin.v1.get.", `"ok":true`},
		{" req serin.v1.feedback.", `"ok":true`},
		{"of the coordinators", "serin_raft_members"},
		{"of the agents", "serin_agent_containers_ready"},
	} {
		k.run(c.command, c.answer)
	}
	k.wantSaid(" sub ", "dev.serin.rollout.refused.v1")
	k.run("serin demo sweep ", "") // in the middle of a rollout
	if len(k.commands) > 0 {
		t.Errorf("not tried: %q", k.commands)
	}
	k.end()
	d.wantNothingLeft()
}

// wantConsole looks at the page that a kept demo names first: it takes commands, and
// knows the other replicas' pages.
func wantConsole(t *testing.T, d *demo) {
	t.Helper()
	url := regexp.MustCompile(`(?m)^http://\S+/$`).FindString(d.out())
	if page := get(t, url); !strings.Contains(page, "<html") {
		t.Errorf("%s shows\n%s", url, page)
	}
	var session struct {
		ReadOnly string `json:"read_only"`
		Peers    []string
	}
	if err := json.Unmarshal([]byte(get(t, url+"api/v1/session")), &session); err != nil {
		t.Fatal(err)
	}
	if session.ReadOnly != "" || len(session.Peers) != 3 || !slices.Contains(session.Peers, strings.TrimSuffix(url, "/")) {
		t.Errorf("the session at %s is %+v", url, session)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v", url, answer.Status, err)
	}
	return string(body)
}

// guard has the demo removed when this process ends before the test does, too:
// a demo that is kept has no sweeper of its own.
func (d *demo) guard(hosts int) {
	d.t.Helper()
	remains := localfleet.Remains{Dir: filepath.Join(d.dir, "serin-"+d.name), Images: d.images[0]}
	for i := range hosts {
		remains.Hosts = append(remains.Hosts, fmt.Sprintf("%s-%d", d.name, i+1))
	}
	sweep := append([]string{filepath.Join(bin, "serin")}, remains.SweepArgs()...)
	// The directory must not stand on its command line, or it would be swept.
	command := exec.Command("bash", "-c", "cat; exec $SWEEP </dev/null")
	command.Env = append(os.Environ(), "SWEEP="+strings.Join(sweep, " "))
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	in, err := command.StdinPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		_ = in.Close()
		if err := command.Wait(); err != nil {
			d.t.Errorf("sweep: %v", err)
		}
	})
}

// kept is a shell beside a demo that was kept.
type kept struct {
	t        *testing.T
	env      []string
	commands []string // that were printed and have not been run yet
	ran      map[string]*spoken
}

// newKept takes the commands from what the demo has printed: they are indented.
func newKept(t *testing.T, d *demo) *kept {
	t.Helper()
	client, err := exec.CommandContext(t.Context(), "../tools/nats.sh").Output()
	if err != nil {
		t.Fatalf("the nats client: %v", err)
	}
	dir := t.TempDir()
	if err := os.Symlink(strings.TrimSpace(string(client)), filepath.Join(dir, "nats")); err != nil {
		t.Fatal(err)
	}
	k := &kept{t: t, env: append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "NATS_TIMEOUT=1m"), ran: map[string]*spoken{}}
	_, text, found := strings.Cut(d.out(), "Talk to it:")
	if !found {
		t.Fatalf("it does not say how to talk to it\n%s", d.out())
	}
	for line := range strings.Lines(text) {
		command, indented := strings.CutPrefix(strings.TrimRight(line, "\n"), "  ")
		if variable, ok := strings.CutPrefix(command, "export "); ok {
			k.env = append(k.env, variable)
		} else if indented {
			k.commands = append(k.commands, command)
		}
	}
	t.Cleanup(k.end)
	return k
}

// run runs the printed command in which those words stand, until it has answered
// so or, if no answer is named, until it ends. The traffic goes on beside it.
func (k *kept) run(words, answer string) {
	k.t.Helper()
	var command string
	for i, c := range k.commands {
		if strings.Contains(c, words) {
			command = c
			k.commands = append(k.commands[:i:i], k.commands[i+1:]...)
			break
		}
	}
	if command == "" {
		k.t.Fatalf("%q is not printed; left are %q", words, k.commands)
	}
	s := &spoken{ended: make(chan struct{}), command: exec.Command("bash", "-c", command)}
	s.command.Env, s.command.Stdout, s.command.Stderr = k.env, s, s
	s.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.command.Start(); err != nil {
		k.t.Fatal(err)
	}
	go func() {
		_ = s.command.Wait() // its state is in the command
		close(s.ended)
	}()
	k.ran[words] = s
	switch {
	case answer != "":
		k.wantSaid(words, answer)
	case !strings.HasPrefix(words, "while"):
		if err := s.succeeds(); err != nil {
			k.t.Fatalf("%s: %v", command, err)
		}
	}
}

// wantSaid waits until a command that was run has said so.
func (k *kept) wantSaid(words, answer string) {
	k.t.Helper()
	s := k.ran[words]
	eventually(k.t, s.command.Args[2]+" says "+answer, func() error {
		if said := s.said(); !strings.Contains(said, answer) {
			return fmt.Errorf("it said: %s", said)
		}
		return nil
	})
}

// end ends the commands that go on, and waits for them.
func (k *kept) end() {
	for _, s := range k.ran {
		_ = syscall.Kill(-s.command.Process.Pid, syscall.SIGKILL)
		<-s.ended
	}
	clear(k.ran)
}

// spoken is a command and what it has said.
type spoken struct {
	command *exec.Cmd
	ended   chan struct{}

	mu  sync.Mutex
	out bytes.Buffer
}

// Write takes what the command says.
func (s *spoken) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

func (s *spoken) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

// succeeds waits for the command's end.
func (s *spoken) succeeds() error {
	select {
	case <-s.ended:
	case <-time.After(patience):
		return fmt.Errorf("it goes on after %s: %s", patience, s.said())
	}
	if code := s.command.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("exit code %d: %s", code, s.said())
	}
	return nil
}
