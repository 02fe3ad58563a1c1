package readmetest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	patience = 3 * time.Minute        // of one command, and for what a background one prints
	interval = 100 * time.Millisecond // between two looks at something that shall come
)

// runCommands runs the commands of README.md in their order, and then those of
// docs/nats.md, against a fleet that the README's configuration files describe: three replicas, two hosts, TLS,
// real Docker, real HAProxy.
func runCommands(t *testing.T, bin string) {
	t.Helper()
	_, blocks := readme(t)
	r := newRig(t, bin, blocks)
	r.checkFiles(t)
	for _, b := range blocks {
		if b.has("setup") {
			r.bash(t, command{at: b.at(0), text: b.text()})
		}
	}
	r.start(t)
	r.await(t, hosts)
	_, more := blocksOf(t, natsPage)
	for _, b := range slices.Concat(blocks, more) {
		if b.has("test") {
			r.session(t, b.console(t))
		}
	}
	r.useOwnHAProxy(t)
}

// checkFiles gives every file of the README to the program that it is for.
func (r *rig) checkFiles(t *testing.T) {
	t.Helper()
	for name := range r.files {
		var words []string
		switch {
		case strings.HasPrefix(name, "coordinator"):
			words = []string{"serin-coordinator", "--print-config", "--config", name}
		case strings.HasPrefix(name, "agent"):
			words = []string{"serin-agent", "--print-config", "--config", name}
		case strings.HasSuffix(name, ".cfg"):
			words = []string{"haproxy", "-c", "-f", name}
		default:
			words = []string{"serin", "check", name}
		}
		cmd := r.command(t.Context(), words...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("README's %s is wrong: %s: %v\n%s", name, strings.Join(words, " "), err, out)
		}
	}
}

// await waits until the leader knows all hosts.
func (r *rig) await(t *testing.T, want int) {
	t.Helper()
	r.poll(t, "the fleet", func() bool {
		out, _ := r.command(t.Context(), "serin", "hosts", "-o", "name").Output()
		return len(strings.Fields(string(out))) == want
	})
	// A trigger that is published and forgotten needs the streams.
	r.poll(t, "the streams", func() bool {
		return r.command(t.Context(), "serin", "events").Run() == nil
	})
}

// session runs the commands of one block, and compares what they print.
func (r *rig) session(t *testing.T, commands []command) {
	t.Helper()
	code := "0"
	var behind []*background
	for _, c := range commands {
		switch {
		case c.text == "echo $?":
			if want := strings.Join(c.want, ""); code != want {
				t.Errorf("%s: the exit code is %s, not %s", c.at, code, want)
			}
			code = "0"
			continue
		case code != "0":
			t.Errorf("%s: the command before this one ended with %s", c.at, code)
		}
		if c.background {
			behind = append(behind, r.behind(t, c))
			continue
		}
		code = r.bash(t, c)
	}
	if code != "0" {
		t.Errorf("%s: the last command ended with %s", commands[len(commands)-1].at, code)
	}
	for _, b := range behind {
		b.end(t, r)
	}
}

// bash runs a command, checks its output, keeps the environment that it
// exports, and returns its exit code.
func (r *rig) bash(t *testing.T, c command) (code string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	kept := filepath.Join(r.dir, "environment")
	cmd := r.command(ctx, "bash", "-c", r.here(c.text)+"\ncode=$?; env -0 >"+kept+"; exit $code")
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	t.Logf("%s\n$ %s\n%s", c.at, c.text, r.there(string(out)))
	if cmd.ProcessState == nil || ctx.Err() != nil {
		t.Fatalf("%s: %s: %v", c.at, c.text, err)
	}
	if text, err := os.ReadFile(kept); err == nil {
		r.env = strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")
	}
	if line := missing(r.there(string(out)), c.want); line != "" {
		t.Errorf("%s: %s\ndoes not print: %s\nbut:\n%s", c.at, c.text, line, r.there(string(out)))
	}
	return digits.FindString(cmd.ProcessState.String() + " 0") // "exit status 3"
}

func (r *rig) command(ctx context.Context, words ...string) *exec.Cmd {
	name := words[0]
	if strings.HasPrefix(name, "serin") {
		if _, err := os.Stat(filepath.Join(r.bin, name)); err == nil {
			name = filepath.Join(r.bin, name)
		}
	}
	cmd := exec.CommandContext(ctx, name, words[1:]...)
	cmd.Dir, cmd.Env = r.dir, r.env
	return cmd
}

// background is a command that prints while others run.
type background struct {
	command
	cmd *exec.Cmd

	wrote chan struct{} // has something when there is more to read
	mu    sync.Mutex
	out   bytes.Buffer
}

// Write takes what the command prints.
func (b *background) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case b.wrote <- struct{}{}:
	default:
	}
	return b.out.Write(p)
}

func (b *background) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.String()
}

func (r *rig) behind(t *testing.T, c command) *background {
	t.Helper()
	b := &background{command: c, wrote: make(chan struct{}, 1), cmd: r.command(t.Context(), "bash", "-c", "exec "+r.here(c.text))}
	b.cmd.Stdout, b.cmd.Stderr, b.cmd.WaitDelay = b, b, time.Second
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return b
}

// end waits until the command has printed all that it has to, and ends it.
func (b *background) end(t *testing.T, r *rig) {
	t.Helper()
	limit := time.After(patience)
	for waits := true; waits && missing(r.there(b.text()), b.want) != ""; {
		select {
		case <-b.wrote:
		case <-limit:
			waits = false
		}
	}
	_ = b.cmd.Process.Signal(syscall.SIGINT)
	_ = b.cmd.Wait()
	t.Logf("%s\n$ %s &\n%s", b.at, b.command.text, r.there(b.text()))
	if line := missing(r.there(b.text()), b.want); line != "" {
		t.Errorf("%s: %s\ndoes not print: %s", b.at, b.command.text, line)
	}
}

func (r *rig) poll(t *testing.T, what string, there func() bool) {
	t.Helper()
	looks := time.NewTicker(interval)
	defer looks.Stop()
	limit := time.After(patience)
	for !there() {
		select {
		case <-looks.C:
		case <-limit:
			t.Fatalf("%s did not come up in %s", what, patience)
		}
	}
}
