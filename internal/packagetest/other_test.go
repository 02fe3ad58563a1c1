package packagetest

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/serin-rollouts/serin/internal/needtest"
	"github.com/serin-rollouts/serin/internal/porttest"
)

// architecture is one that packages are made for, by Go's name.
type architecture struct {
	name    string
	machine elf.Machine
	// emulator runs programs of that architecture on machines of another.
	emulator string
}

// other is the architecture that this machine is not.
func other() architecture {
	if runtime.GOARCH == "arm64" {
		return architecture{"amd64", elf.EM_X86_64, "qemu-x86_64"}
	}
	return architecture{"arm64", elf.EM_AARCH64, "qemu-aarch64"}
}

// wantOther: the packages for machines that this one is not have the same files as
// those in native, with programs that run there.
func wantOther(t *testing.T, native string) {
	t.Helper()
	dir, arch := t.TempDir(), other()
	build(t, tree, before, arch.name, dir)
	for _, f := range formats() {
		for _, program := range programs() {
			file := f.file(t, dir, program)
			if got := strings.TrimSpace(shell(t, fmt.Sprintf(f.arch, file))); got != f.archNames[arch.name] {
				t.Errorf("%s is for %s, not %s", file, got, f.archNames[arch.name])
			}
			if got, want := shell(t, fmt.Sprintf(f.list, file)), shell(t, fmt.Sprintf(f.list, f.file(t, native, program))); got != want {
				t.Errorf("%s has\n%s\nand not\n%s", file, got, want)
			}
		}
	}
	wantPrograms(t, dir, arch)
	wantRun(t, dir, arch)
}

// wantPrograms: what is in the deb packages and in the archive is for that
// architecture, and the same.
func wantPrograms(t *testing.T, dir string, arch architecture) {
	t.Helper()
	shell(t, fmt.Sprintf("tar -xzf %s/serin_*_linux_%s.tar.gz --strip-components=1 -C %[1]s", dir, arch.name))
	for _, program := range programs() {
		packed := filepath.Join(dir, program)
		shell(t, fmt.Sprintf("dpkg-deb --fsys-tarfile %s | tar -xO ./usr/bin/%s > %s", formats()[0].file(t, dir, program), program, packed))
		shell(t, fmt.Sprintf("cmp %s %s", packed, filepath.Join(dir, "bin", program)))
		file, err := elf.Open(packed)
		if err != nil {
			t.Fatal(err)
		}
		if file.Machine != arch.machine {
			t.Errorf("%s is for %s, not %s", packed, file.Machine, arch.machine)
		}
		_ = file.Close()
	}
}

// foreign are programs in a directory, for another architecture than this machine's.
type foreign struct {
	dir, emulator string
	server        string // of the bus
}

// wantRun: the programs in the archive do there what they are for: a coordinator
// leads, an agent finds this machine's Docker and reports, and a client hears of it.
func wantRun(t *testing.T, dir string, arch architecture) {
	t.Helper()
	emulator, err := exec.LookPath(arch.emulator)
	needtest.Need(t, arch.emulator, err)
	_, err = os.Stat(dockerSocket())
	needtest.Need(t, "Docker's socket", err)
	f := foreign{dir: dir, emulator: emulator, server: "nats://" + porttest.Address(t)}
	f.wantSaid(t, "linux/"+arch.name, "serin", "version")
	f.wantSaid(t, before, "serin", "version")
	f.wantSaid(t, before, "serin-coordinator", "--version")
	f.wantSaid(t, before, "serin-agent", "--version")
	f.wantSaid(t, "checkout:1.4.0", "serin", "check", filepath.Join(tree, "deploy/examples/gates.yaml"))

	replica, agent := porttest.Address(t), porttest.Address(t)
	config := f.file(t, "c.yaml", fmt.Sprintf("{id: c1, data: %s, nats: {listen: %q}, raft: {listen: %q}, http: {listen: %q}}",
		filepath.Join(dir, "c"), strings.TrimPrefix(f.server, "nats://"), porttest.Address(t), replica))
	f.wantSaid(t, "good", "serin-coordinator", "check", "--config", config)
	f.start(t, "http://"+replica, "serin-coordinator", "--config", config)
	config = f.file(t, "a.yaml", fmt.Sprintf("{host: foreign, data: %s, nats: {urls: [%q]}, docker: %q, http: {listen: %q}}",
		filepath.Join(dir, "a"), f.server, "unix://"+dockerSocket(), agent))
	f.wantSaid(t, "foreign: Docker", "serin-agent", "check", "--config", config)
	f.start(t, "http://"+agent, "serin-agent", "--config", config)
	eventually(t, func() error {
		out, err := f.command(t, "serin", "hosts").CombinedOutput()
		if err == nil && !strings.Contains(string(out), "foreign") {
			err = fmt.Errorf("the hosts are\n%s", out)
		}
		return err
	})
}

func (f foreign) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	args[0] = filepath.Join(f.dir, "bin", args[0])
	cmd := exec.CommandContext(t.Context(), f.emulator, args...)
	cmd.Env = append(os.Environ(), "SERIN_SERVER="+f.server)
	return cmd
}

func (f foreign) wantSaid(t *testing.T, want string, args ...string) {
	t.Helper()
	out, err := f.command(t, args...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), want) {
		t.Errorf("%s: %v, and not %q:\n%s", args, err, want, out)
	}
}

// start starts a daemon and waits until it is ready. When the test ends it is told to
// end, and has to end well.
func (f foreign) start(t *testing.T, url string, args ...string) {
	t.Helper()
	cmd := f.command(t, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := cmd.Wait() // it tells of the test's end in any case
		if code := cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("%s: exit code %d: %v", args, code, err)
		}
	})
	eventually(t, func() error {
		return exec.CommandContext(t.Context(), "curl", "-fsS", "--max-time", "30", url+"/readyz").Run()
	})
}

func (f foreign) file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// eventually tries until it works.
func eventually(t *testing.T, try func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(look) {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
